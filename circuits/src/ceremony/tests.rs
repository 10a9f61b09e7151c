//! Minutes alone: limits, encodings, and what proofs of knowledge are bound to. Whole transcripts are
//! tested in `params/ceremony`.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::encoding::Document;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn secrets(seed: u64) -> PowersSecrets {
    let mut rng = rng(seed);
    PowersSecrets {
        tau: Fr::rand(&mut rng),
        alpha: Fr::rand(&mut rng),
        beta: Fr::rand(&mut rng),
    }
}

const START: Start = Start {
    inputs: [9; 32],
    fixed: [10; 32],
    queries: [11; 32],
};

/// Two contributions to each phase. The digests are made up: minutes do not know vectors.
fn minutes() -> Minutes {
    let mut m = Minutes::new("test", 13).expect("a title");
    for (i, name) in ["A", "B"].into_iter().enumerate() {
        (m.contribute_powers(name, [i as u8; 32], &secrets(i as u64), &mut rng(1)))
            .expect("honest");
    }
    m.begin_phase_two([8; 32], START).expect("two");
    for (i, name) in ["A", "B"].into_iter().enumerate() {
        let delta = Fr::rand(&mut rng(100 + i as u64));
        (m.contribute_delta(name, [i as u8; 32], &delta, &mut rng(1))).expect("honest");
    }
    m
}

fn says(m: &Minutes) -> String {
    m.check_complete()
        .map_or_else(|e| e.to_string(), |_| "accepted".into())
}

#[test]
fn complete_minutes_are_accepted_and_hashes_differ() {
    let m = minutes();
    let standing = m.check_complete().expect("complete");
    let mut all: Vec<_> = standing.powers_hashes().to_vec();
    all.extend(standing.delta_hashes());
    assert_eq!(all.last(), Some(standing.hash()));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
    assert_eq!(m, minutes(), "made of the same randomness");
}

#[test]
fn encoding() {
    let m = minutes();
    let bytes = m.to_bytes();
    assert_eq!(Minutes::from_bytes(&bytes).as_ref(), Ok(&m));
    for cut in 0..bytes.len() {
        assert!(Minutes::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    // Whatever bit is flipped: not minutes, not accepted, or (circuit, start) other minutes whose
    // next contribution does not continue them.
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        if let Ok(other) = Minutes::from_bytes(&flipped) {
            assert!(other.check().is_err(), "byte {at}");
        }
    }
}

#[test]
fn limits() {
    let m = minutes();
    let longest = "n".repeat(MAX_NAME);
    let mut many = m.clone();
    let mut one = m.powers[0].clone();
    one.name.clone_from(&longest);
    many.powers = vec![one; MAX_CONTRIBUTIONS];
    let two = many.phase_two.as_mut().expect("phase 2");
    let mut one = two.contributions[0].clone();
    one.name.clone_from(&longest);
    two.contributions = vec![one; MAX_CONTRIBUTIONS];
    many.title = longest;
    assert!(many.to_bytes().len() <= Minutes::MAX_BYTES);
    let mut more = m.clone();
    more.powers = vec![m.powers[0].clone(); MAX_CONTRIBUTIONS + 1];
    assert_eq!(says(&more), "phase 1: 257 contributions; at most 256 fit");
    let mut more = m.clone();
    let two = more.phase_two.as_mut().expect("phase 2");
    two.contributions = vec![two.contributions[0].clone(); MAX_CONTRIBUTIONS + 1];
    assert_eq!(says(&more), "phase 2: 257 contributions; at most 256 fit");
    // Names in a file that are none are cut in messages.
    let mut foreign = m;
    foreign.powers[1].name = "\u{1F980}".repeat(1000);
    assert!(says(&foreign).len() < 2000);
}

#[test]
fn closed_phases_have_two_contributions() {
    for keep in 0..2 {
        let mut m = minutes();
        m.powers.truncate(keep);
        assert_eq!(
            says(&m),
            format!("phase 1: {keep} contributions; at least 2 are needed")
        );
        let mut m = minutes();
        m.phase_two
            .as_mut()
            .expect("phase 2")
            .contributions
            .truncate(keep);
        assert_eq!(
            says(&m),
            format!("phase 2: {keep} contributions; at least 2 are needed")
        );
    }
    let mut m = minutes();
    m.phase_two = None;
    assert_eq!(says(&m), "phase 2: has not begun");
    assert!(
        m.contribute_delta("C", [0; 32], &Fr::from(5u64), &mut rng(1))
            .is_err()
    );
    let mut one = Minutes::new("test", 13).expect("a title");
    (one.contribute_powers("A", [0; 32], &secrets(1), &mut rng(1))).expect("honest");
    let before = one.clone();
    assert!(one.begin_phase_two([8; 32], START).is_err());
    assert_eq!(one, before, "a refused step changes nothing");
}

#[test]
fn phase_one_is_closed_once() {
    let mut m = minutes();
    assert!(m.begin_phase_two([8; 32], START).is_err());
    // A contribution to phase 1 after phase 2 began does not go with what phase 2 continued.
    assert!(
        m.contribute_powers("C", [0; 32], &secrets(7), &mut rng(1))
            .is_err()
    );
}

#[test]
fn the_hash_of_a_circuit_is_that_of_its_matrices() {
    let f = |n: u64| Fr::from(n);
    let matrix = vec![vec![(f(1), 0), (f(2), 3)], vec![], vec![(f(5), 1)]];
    let of = |m: &Vec<Vec<(Fr, usize)>>| circuit_hash(&[m.clone(), vec![], vec![]], 2, 2);
    let hash = of(&matrix);
    // The same rows, otherwise written.
    let mut same = matrix.clone();
    same[0] = vec![(f(4), 3), (f(1), 0), (-f(2), 3), (f(0), 1)];
    assert_eq!(of(&same), hash);
    for change in 0..4 {
        let mut other = matrix.clone();
        match change {
            0 => other[0][1].0 = f(3),
            1 => other[0][1].1 = 2,
            2 => other.swap(0, 1),
            _ => other.push(vec![]),
        }
        assert_ne!(of(&other), hash, "change {change}");
    }
    assert_ne!(circuit_hash(&[matrix.clone(), vec![], vec![]], 1, 3), hash);
    assert_ne!(circuit_hash(&[vec![], matrix, vec![]], 2, 2), hash);
}
