//! Every attack of the page, each by a prover that lies in one place only. The control, the same
//! claim without the lie, is accepted first.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;

use super::naive::{Claim, prove_claim};
use super::*;
use crate::encoding::ScalarBytes;
use crate::generators;

/// Rows of one slot.
fn batch() -> Batch {
    Batch::random(&mixed(), 7, 1)
}

/// Rows of two slots, the last of which misses one.
fn wide() -> Batch {
    let schema = schema(&[(Class::Stock, 2), (Class::Flow, 1)]);
    let batch = Batch::random(&schema, 7, 2);
    assert_eq!(batch.layout().row_slots(), 2);
    batch
}

fn proves(batch: &Batch, claim: &Claim) -> bool {
    batch.accepts(&prove_claim(batch, claim, &mut batch.rng.clone()))
}

/// The batch, with the stocks or flows commitment of a record replaced by one to these values.
fn recommit(batch: &mut Batch, class: Class, k: usize, values: &[Scalar]) {
    let schema = batch.key.verifying().schema().clone();
    let blinding = match class {
        Class::Stock => batch.blindings[k].stocks,
        Class::Flow => batch.blindings[k].flows,
    };
    let point = schema
        .positions(class)
        .zip(values)
        .map(|(a, x)| x * generators::attribute(&schema.attributes()[a]))
        .sum::<RistrettoPoint>()
        + blinding * generators::blinding();
    match class {
        Class::Stock => batch.stocks[k] = point.into(),
        Class::Flow => batch.flows[k] = point.into(),
    }
}

/// Values of a class under the page's weights, for any "bits"; `present` is 1.
fn values(batch: &Batch, class: Class, bits: &[Scalar]) -> Vec<Scalar> {
    let schema = batch.key.verifying().schema();
    let mut values: Vec<Scalar> = schema
        .ranged()
        .filter(|r| r.attribute.class == class)
        .map(|r| {
            (0..r.bits)
                .map(|l| Scalar::from(r.attribute.weight(l)) * bits[r.offset + l as usize])
                .sum()
        })
        .collect();
    if class == Class::Stock {
        values.insert(0, Scalar::ONE);
    }
    values
}

#[test]
fn something_that_is_no_bit() {
    for mut batch in [batch(), wide()] {
        assert!(proves(&batch, &Claim::honest(&batch)));
        let two = Scalar::from(2u64);
        for k in 0..batch.records.len() {
            let honest = Claim::honest(&batch).bits[k].clone();
            for column in [0, honest.len() - 1] {
                for lie in [two, -Scalar::ONE, two.invert()] {
                    // Rows, values and commitments all agree; only the element is no bit.
                    let mut claim = Claim::honest(&batch);
                    claim.bits[k][column] = lie;
                    for class in [Class::Stock, Class::Flow] {
                        let values = values(&batch, class, &claim.bits[k]);
                        recommit(&mut batch, class, k, &values);
                    }
                    assert!(!proves(&batch, &claim), "record {k}, column {column}");
                }
                // The control: the same road with a bit.
                for bit in [Scalar::ZERO, Scalar::ONE] {
                    let mut claim = Claim::honest(&batch);
                    claim.bits[k][column] = bit;
                    for class in [Class::Stock, Class::Flow] {
                        let values = values(&batch, class, &claim.bits[k]);
                        recommit(&mut batch, class, k, &values);
                    }
                    assert!(proves(&batch, &claim), "record {k}, column {column}");
                }
                for class in [Class::Stock, Class::Flow] {
                    let values = values(&batch, class, &honest);
                    recommit(&mut batch, class, k, &values);
                }
            }
        }
    }
}

#[test]
fn one_above_the_largest_value() {
    for class in [Class::Stock, Class::Flow] {
        let mut batch = batch();
        // Record 0 holds every maximum, all bits set.
        let claim = Claim::honest(&batch);
        let mut values = values(&batch, class, &claim.bits[0]);
        recommit(&mut batch, class, 0, &values);
        assert!(proves(&batch, &claim));
        *values.last_mut().expect("attributes") += Scalar::ONE;
        recommit(&mut batch, class, 0, &values);
        assert!(!proves(&batch, &claim), "{class:?}");
    }
}

#[test]
fn present_other_than_one() {
    for mut batch in [batch(), wide()] {
        let claim = Claim::honest(&batch);
        for k in [0, batch.records.len() - 1] {
            let honest = values(&batch, Class::Stock, &claim.bits[k]);
            for present in [0u64, 2] {
                let mut values = honest.clone();
                values[0] = Scalar::from(present);
                recommit(&mut batch, Class::Stock, k, &values);
                assert!(!proves(&batch, &claim), "record {k}, present {present}");
            }
            recommit(&mut batch, Class::Stock, k, &honest);
            assert!(proves(&batch, &claim));
        }
    }
}

#[test]
fn rows_of_other_values_than_the_commitments() {
    for batch in [batch(), wide()] {
        for k in 0..batch.records.len() {
            for column in 0..batch.layout().slot_bits {
                let mut claim = Claim::honest(&batch);
                claim.bits[k][column] = Scalar::ONE - claim.bits[k][column];
                assert!(!proves(&batch, &claim), "record {k}, column {column}");
            }
        }
    }
}

#[test]
fn swapped_slots() {
    // Two slots of one row, two rows, stocks and flows alone and together.
    for (mut batch, (a, b)) in [(wide(), (0, 1)), (wide(), (0, 2)), (batch(), (2, 3))] {
        let mut claim = Claim::honest(&batch);
        batch.stocks.swap(a, b);
        assert!(!proves(&batch, &claim));
        batch.flows.swap(a, b);
        assert!(!proves(&batch, &claim));
        claim.blindings.swap(a, b);
        assert!(!proves(&batch, &claim));
        claim.bits.swap(a, b);
        assert!(
            proves(&batch, &claim),
            "everything swapped is another true batch"
        );
    }
}

#[test]
fn bits_in_a_missing_slot() {
    let batch = wide();
    let mut claim = Claim::honest(&batch);
    let missing = claim.bits.last_mut().expect("rows");
    missing[0] = Scalar::ONE;
    assert!(!proves(&batch, &claim));
}

#[test]
fn a_row_of_another_batch() {
    let batch = batch();
    let other = Batch::random(&mixed(), 7, 99);
    let foreign = prove_claim(&other, &Claim::honest(&other), &mut other.rng.clone());
    for j in 0..batch.layout().rows {
        let mut claim = Claim::honest(&batch);
        claim.replace_row = Some((j, foreign.rows[j]));
        assert!(!proves(&batch, &claim), "row {j}");
    }
}

#[test]
fn the_claim_chain_broken_in_one_round() {
    for batch in [batch(), wide()] {
        for round in 0..batch.layout().rounds {
            let mut claim = Claim::honest(&batch);
            claim.shift_a1 = Some((round, Scalar::ONE));
            assert!(!proves(&batch, &claim), "a1 of round {round}");
            claim.shift_a1 = None;
            claim.shift_a2 = Some((round, Scalar::ONE));
            assert!(!proves(&batch, &claim), "a2 of round {round}");
            claim.shift_a1 = Some((round, -Scalar::ONE));
            assert!(!proves(&batch, &claim), "both of round {round}");
        }
    }
}

#[test]
fn a_value_of_the_other_class() {
    // A stocks commitment that holds flows, and flows that hold `present` or G.
    let batch = batch();
    let schema = mixed();
    let claim = Claim::honest(&batch);
    for extra in [
        generators::attribute(&schema.attributes()[2]),
        generators::attribute(&schema.attributes()[0]),
        generators::scalar(),
        generators::bit(0, 1, 0),
    ] {
        let mut bad = Batch::random(&schema, 7, 1);
        let honest = bad.stocks[3].decode().expect("a point");
        bad.stocks[3] = (honest + extra).into();
        assert!(!proves(&bad, &claim));
        let mut bad = Batch::random(&schema, 7, 1);
        let honest = bad.flows[3].decode().expect("a point");
        bad.flows[3] = (honest + extra).into();
        assert!(!proves(&bad, &claim));
    }
    assert!(proves(&batch, &claim));
}

#[test]
fn each_equation_is_checked_by_itself() {
    let batch = batch();
    let good = prove_claim(&batch, &Claim::honest(&batch), &mut batch.rng.clone());
    assert!(batch.accepts(&good));
    let one = Scalar::ONE;
    let edits: [fn(&mut RangeArgument, Scalar); 5] = [
        |a, d| a.theta.0 += d,
        |a, d| a.phi_stocks.0 += d,
        |a, d| a.phi_flows.0 += d,
        |a, d| a.kappa.0 += d,
        |a, d| a.z[0].0 += d,
    ];
    for (i, edit) in edits.iter().enumerate() {
        let mut bad = good.clone();
        edit(&mut bad, one);
        assert!(!batch.accepts(&bad), "response {i}");
        // Errors that cancel in a sum without weights.
        for (k, other) in edits[..4].iter().enumerate().filter(|(k, _)| *k != i) {
            let mut bad = good.clone();
            edit(&mut bad, one);
            other(&mut bad, -one);
            assert!(!batch.accepts(&bad), "responses {i} and {k}");
        }
    }
}

#[test]
fn errors_of_two_batches_do_not_cancel() {
    let batch = batch();
    let good = prove_claim(&batch, &Claim::honest(&batch), &mut batch.rng.clone());
    let (mut plus, mut minus) = (good.clone(), good.clone());
    plus.kappa.0 += Scalar::ONE;
    minus.kappa.0 -= Scalar::ONE;
    let statement = batch.statement();
    let all = [(statement, &plus), (statement, &good), (statement, &minus)];
    assert_eq!(
        verify_many(batch.key.verifying(), &all, &mut batch.rng.clone()),
        Err(BadBatches {
            indices: vec![0, 2]
        })
    );
}

#[test]
fn points_that_are_not_canonical() {
    let batch = batch();
    let good = prove_claim(&batch, &Claim::honest(&batch), &mut batch.rng.clone());
    let edits: [fn(&mut RangeArgument) -> &mut PointBytes; 8] = [
        |a| &mut a.rows[0],
        |a| &mut a.rounds[0].0,
        |a| &mut a.rounds[0].1,
        |a| &mut a.t,
        |a| &mut a.t_stocks,
        |a| &mut a.t_flows,
        |a| &mut a.e1,
        |a| &mut a.e0,
    ];
    for (i, edit) in edits.iter().enumerate() {
        for bytes in [[0xff; 32], [1; 32]] {
            assert!(PointBytes(bytes).decode().is_err());
            let mut bad = good.clone();
            *edit(&mut bad) = PointBytes(bytes);
            assert!(!batch.accepts(&bad), "point {i}");
        }
    }
}

#[test]
fn lists_of_another_length() {
    for batch in [batch(), wide()] {
        let good = prove_claim(&batch, &Claim::honest(&batch), &mut batch.rng.clone());
        let edits: [fn(&mut RangeArgument); 6] = [
            |a| a.rows.push(PointBytes::IDENTITY),
            |a| a.rows.truncate(a.rows.len() - 1),
            |a| a.rounds.push((PointBytes::IDENTITY, PointBytes::IDENTITY)),
            |a| a.rounds.truncate(a.rounds.len() - 1),
            |a| a.z.push(ScalarBytes(Scalar::ZERO)),
            |a| a.z.truncate(a.z.len() - 1),
        ];
        for (i, edit) in edits.iter().enumerate() {
            let mut bad = good.clone();
            edit(&mut bad);
            assert!(!batch.accepts(&bad), "edit {i}");
        }
    }
}
