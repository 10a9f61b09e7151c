//! Statement, transcript and proof (spec: `circuits/spec/scorecard.md`, headings "Statement",
//! "Transcript", "Encoding").

use ark_bn254::Fr;
use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use zkbureau_params::domain;

use super::MAX_VARIABLES;
use super::claim::{Claim, Reasons};
use super::encoding::{FrBytes, GrothBytes, PROOF_BYTES, fr_bytes};
use super::link::{Commitment, Z_BYTES};
use super::relation::Public;
use super::table::PreparedCard;
use crate::encoding::{Digest32, Document, PointBytes, ScalarBytes};
use crate::transcript::TranscriptExt;

/// What is proven: the values that these commitments open to score, under this card, as claimed.
#[derive(Clone, Copy, Debug)]
pub struct ScoreStatement<'a> {
    /// Binds request, chain and height.
    pub context: &'a Digest32,
    /// The card, prepared for the key in force.
    pub card: &'a PreparedCard,
    /// What is claimed of the score.
    pub claim: Claim,
    /// The variables shown as reasons, if the consent allows it.
    pub reasons: Option<Reasons>,
    /// `C[a]`, one per variable of the card, each counted from the variable's smallest value.
    pub commitments: &'a [Commitment],
}

impl ScoreStatement<'_> {
    /// The transcript of statement and commitments of the prover. Everything public is in it before
    /// the first weight is drawn.
    pub(super) fn absorb(&self, commitment: &Fr, mask: &PointBytes) -> Transcript {
        let mut t = self.absorb_statement();
        t.append_message(b"P", &fr_bytes(commitment));
        t.append_point(b"K", mask);
        t
    }

    /// The statement alone, from which nonces are drawn.
    pub(super) fn absorb_statement(&self) -> Transcript {
        let encode = |r: std::io::Result<Vec<u8>>| r.expect("encoding into memory");
        let mut t = Transcript::new(domain::SCORECARD.as_bytes());
        t.append_message(b"context", self.context);
        t.append_message(b"key", self.card.key());
        t.append_message(b"card", self.card.hash());
        t.append_message(b"claim", &encode(borsh::to_vec(&self.claim)));
        t.append_message(b"reasons", &encode(borsh::to_vec(&self.reasons)));
        let commitments: Vec<PointBytes> = self.commitments.iter().map(|c| *c.bytes()).collect();
        t.append_points(b"C", &commitments);
        t
    }

    /// Whether the statement can hold at all, and its bounds on the total shortfall.
    pub(super) fn bounds(&self) -> Option<(u64, u64)> {
        let card = self.card.card();
        let fits = self.commitments.len() == card.variables().len()
            && self.reasons.is_none_or(|r| r.fits(card));
        fits.then(|| self.claim.bounds(card)).flatten()
    }

    /// The public inputs of the circuit.
    pub(super) fn public(
        &self,
        (lower, upper): (u64, u64),
        commitment: Fr,
        z: Fr,
        weights: [u128; MAX_VARIABLES],
    ) -> Public {
        Public {
            commitment,
            z,
            lower,
            upper,
            full: self.reasons.is_none_or(|r| r.full()),
            reasons: self.reasons.map_or(0, |r| r.set.0),
            weights,
        }
    }
}

/// `c[a]`: 128 bits each, for the card's variables; 0 for the others.
pub(super) fn draw_weights(t: &mut Transcript, variables: usize) -> [u128; MAX_VARIABLES] {
    let mut weights = [0; MAX_VARIABLES];
    for c in &mut weights[..variables] {
        let mut bytes = [0; 16];
        t.challenge_bytes(b"c", &mut bytes);
        *c = u128::from_le_bytes(bytes);
    }
    weights
}

/// A Groth16 proof with its link: 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreProof {
    pub(super) groth: GrothBytes,
    /// `P`.
    pub(super) commitment: FrBytes,
    /// `K`.
    pub(super) mask: PointBytes,
    /// `z`, below 2^248.
    pub(super) z: [u8; Z_BYTES],
    /// `s`.
    pub(super) s: Scalar,
}

impl ScoreProof {
    /// Length of the encoding.
    pub const BYTES: usize = 1 + PROOF_BYTES + 32 + 32 + Z_BYTES + 32;
}

impl BorshSerialize for ScoreProof {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(&self.groth.0)?;
        self.commitment.serialize(writer)?;
        self.mask.serialize(writer)?;
        writer.write_all(&self.z)?;
        ScalarBytes(self.s).serialize(writer)
    }
}

impl BorshDeserialize for ScoreProof {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let groth = GrothBytes(<[u8; PROOF_BYTES]>::deserialize_reader(reader)?);
        Ok(Self {
            groth,
            commitment: FrBytes::deserialize_reader(reader)?,
            mask: PointBytes::deserialize_reader(reader)?,
            z: <[u8; Z_BYTES]>::deserialize_reader(reader)?,
            s: ScalarBytes::deserialize_reader(reader)?.0,
        })
    }
}

impl Document for ScoreProof {
    const NAME: &'static str = domain::SCORE_PROOF;
    const MAX_BYTES: usize = Self::BYTES;
}
