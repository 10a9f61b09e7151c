//! Bit flips and truncation of every encoding.

use super::*;
use crate::encoding::Document;

#[test]
fn proofs() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    let proof = prove(key(), &statement, &p.openings, &mut rng(7)).expect("holds");
    let bytes = proof.to_bytes();
    assert_eq!(bytes.len(), ScoreProof::BYTES);
    // The bar is 400 bytes for Groth16 proof and link.
    assert_eq!(bytes.len(), 256);
    assert_eq!(ScoreProof::from_bytes(&bytes), Ok(proof));
    for cut in 0..bytes.len() {
        assert!(ScoreProof::from_bytes(&bytes[..cut]).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(ScoreProof::from_bytes(&longer).is_err());
    for byte in 0..bytes.len() {
        for bit in [byte % 8, 7] {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            if let Ok(proof) = ScoreProof::from_bytes(&flipped) {
                assert_eq!(
                    check(&statement, &proof),
                    Err(VerifyError),
                    "byte {byte}, bit {bit}"
                );
            }
        }
    }
    // A second encoding of P: P + p.
    let p_bytes: [u8; 32] = bytes[129..161].try_into().expect("32 bytes");
    let modulus = <ark_bn254::Fr as ark_ff::PrimeField>::MODULUS;
    let mut carry = 0u16;
    let mut again = bytes.clone();
    for (i, byte) in ark_ff::BigInteger::to_bytes_le(&modulus).iter().enumerate() {
        let sum = u16::from(p_bytes[i]) + u16::from(*byte) + carry;
        again[129 + i] = sum as u8;
        carry = sum >> 8;
    }
    assert!(ScoreProof::from_bytes(&again).is_err());
    // The identity in place of a point.
    for range in [1..33, 33..97, 97..129] {
        let mut identity = bytes.clone();
        identity[range.clone()].fill(0);
        identity[range.end - 1] = 0x40;
        let read = ScoreProof::from_bytes(&identity).expect("bytes");
        assert_eq!(check(&statement, &read), Err(VerifyError));
    }
}

#[test]
fn cards() {
    let bytes = card().to_bytes();
    let hash = card().content_hash();
    for cut in 0..bytes.len() {
        assert!(Card::from_bytes(&bytes[..cut]).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Card::from_bytes(&longer).is_err());
    for byte in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            // What is still a card is another card.
            if let Ok(other) = Card::from_bytes(&flipped) {
                assert_ne!(other.content_hash(), hash, "byte {byte}, bit {bit}");
                assert_ne!(other, card());
            }
        }
    }
    assert!(Card::from_bytes(&vec![1; Card::MAX_BYTES + 1]).is_err());
    // A list longer than the bytes allocates nothing.
    let name = 1 + 4 + card().name().len();
    let mut huge = bytes;
    huge[name + 4 + 8 + 1..][..4].fill(0xff);
    assert!(Card::from_bytes(&huge).is_err());
}

#[test]
fn points_in_decimals() {
    let with =
        |scale| Card::new("c".into(), scale, 0, true, card().variables().to_vec()).expect("valid");
    assert_eq!(with(1).show(-293), "-293");
    assert_eq!(with(100).show(29_305), "293.05");
    assert_eq!(with(100).show(-5), "-0.05");
    assert_eq!(with(8).show(-293), "-36+5/8");
}
