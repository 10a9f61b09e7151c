//! Bit flips, truncation and limits of everything that goes into an answer.

use borsh::BorshDeserialize;

use super::*;

/// All prefixes and an extension are refused.
fn no_other_length<T: BorshDeserialize>(bytes: &[u8]) {
    for cut in 0..bytes.len() {
        assert!(T::try_from_slice(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(T::try_from_slice(&longer).is_err());
}

fn bytes<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("encoding into memory")
}

/// One flipped bit in every byte, a different bit each time.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len()).map(|i| {
        let mut flipped = bytes.to_vec();
        flipped[i] ^= 1 << (i % 8);
        flipped
    })
}

#[test]
fn images() {
    let mut answer = answer(&["total(balance) <= 500", "total(payments, 3m) >= 1"]);
    let honest = bytes(&answer.images[0]);
    assert_eq!(
        Option::<Images>::try_from_slice(&honest).expect("decodes"),
        answer.images[0]
    );
    let honest = bytes(answer.images[0].as_ref().expect("a holder"));
    no_other_length::<Images>(&honest);
    for flipped in flips(&honest) {
        if let Ok(images) = Images::try_from_slice(&flipped) {
            answer.images[0] = Some(images);
            assert_eq!(answer.verify_images(), Err(VerifyError));
        }
    }
}

#[test]
fn proofs_and_verdicts() {
    let texts = ["total(balance) <= 5000", "total(months_90_late, 1m) == 0"];
    let mut answer = answer(&texts);
    let honest = bytes(&answer.proof);
    no_other_length::<VerdictProof>(&honest);
    let proof = answer.proof.clone();
    for flipped in flips(&honest) {
        if let Ok(other) = VerdictProof::try_from_slice(&flipped) {
            answer.proof = other;
            assert_eq!(answer.verify_verdicts(), Err(VerifyError));
        }
    }
    answer.proof = proof;
    let honest = bytes(&answer.verdicts);
    let verdicts = answer.verdicts.clone();
    for flipped in flips(&honest) {
        if let Ok(other) = Vec::<Verdict>::try_from_slice(&flipped) {
            answer.verdicts = other;
            assert_eq!(answer.verify_verdicts(), Err(VerifyError));
        }
    }
    answer.verdicts = verdicts;
    assert_eq!(answer.verify(), Ok(()));
}

#[test]
fn verdicts_round_trip() {
    let agency = AgencyId(3);
    for verdict in [
        Verdict::True,
        Verdict::False {
            at: None,
            side: Side::Below,
        },
        Verdict::False {
            at: Some(agency),
            side: Side::Above,
        },
        Verdict::InsufficientHistory { at: None },
        Verdict::InsufficientHistory { at: Some(agency) },
        Verdict::Unavailable { agency },
        Verdict::Refused,
    ] {
        let encoded = bytes(&verdict);
        assert_eq!(Verdict::try_from_slice(&encoded).expect("decodes"), verdict);
        no_other_length::<Verdict>(&encoded);
        let json = serde_json::to_string(&verdict).expect("encodes");
        assert_eq!(
            serde_json::from_str::<Verdict>(&json).expect("decodes"),
            verdict
        );
    }
    let json = serde_json::to_string(&Verdict::False {
        at: Some(agency),
        side: Side::Below,
    });
    assert_eq!(
        json.expect("encodes"),
        r#"{"verdict":"false","at":3,"side":"below"}"#
    );
}

#[test]
fn openings_and_texts_round_trip() {
    let opening = FormOpening::from_parts(-5, Scalar::from(7u64));
    let encoded = bytes(&opening);
    assert_eq!(encoded.len(), 40);
    assert_eq!(
        FormOpening::try_from_slice(&encoded).expect("decodes"),
        opening
    );
    no_other_length::<FormOpening>(&encoded);
    assert_eq!(format!("{opening:?}"), "FormOpening(..)");
    let text = FactText::new("total(balance) <= 5").expect("short");
    let encoded = bytes(&text);
    assert_eq!(FactText::try_from_slice(&encoded).expect("decodes"), text);
    no_other_length::<FactText>(&encoded);
    assert!(FactText::new("a".repeat(1025)).is_err());
    assert!(serde_json::from_str::<FactText>(&format!("{:?}", "a".repeat(1025))).is_err());
    for hit in [HitPolicy::Zero, HitPolicy::NoHit] {
        assert_eq!(
            HitPolicy::try_from_slice(&bytes(&hit)).expect("decodes"),
            hit
        );
    }
}

#[test]
fn lists_are_refused_by_their_count() {
    // The count alone is refused: nothing of that size is read or allocated.
    let count = |n: u32| n.to_le_bytes().to_vec();
    let refuses = |error: std::io::Error, limit: &str| {
        assert!(error.to_string().contains(limit), "{error}");
    };
    let with = |parts: &[Vec<u8>]| parts.concat();
    refuses(
        Images::try_from_slice(&count(81)).expect_err("count"),
        "at most 80",
    );
    refuses(
        LinearImageProof::try_from_slice(&count(113)).expect_err("count"),
        "at most 112",
    );
    let responses = with(&[count(0), count(32 * 65 + 81)]);
    refuses(
        LinearImageProof::try_from_slice(&responses).expect_err("count"),
        "at most 2160",
    );
    refuses(
        VerdictProof::try_from_slice(&with(&[vec![0], count(17)])).expect_err("count"),
        "at most 16",
    );
    let long = with(&[vec![0], count(1), count(32 * 33 + 1)]);
    refuses(
        VerdictProof::try_from_slice(&long).expect_err("count"),
        "at most 1056",
    );
    refuses(
        FactText::try_from_slice(&count(1025)).expect_err("count"),
        "at most 1024",
    );
    for huge in [u32::MAX, 1 << 31] {
        assert!(Images::try_from_slice(&count(huge)).is_err());
        assert!(VerdictProof::try_from_slice(&with(&[vec![0], count(huge)])).is_err());
    }
}
