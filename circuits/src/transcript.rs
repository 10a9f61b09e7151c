//! Merlin transcripts with ristretto255 messages.
//!
//! Every relation has one `absorb` function that prover and verifier both call, so that their
//! transcripts cannot drift apart. Every challenge is 64 bytes reduced modulo ℓ.

use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;

use crate::encoding::PointBytes;

/// What relations put into a transcript and draw from it.
pub trait TranscriptExt {
    /// Absorbs one encoded element.
    fn append_point(&mut self, label: &'static [u8], point: &PointBytes);
    /// Absorbs a list of encoded elements, its length first.
    fn append_points(&mut self, label: &'static [u8], points: &[PointBytes]);
    /// Absorbs a scalar.
    fn append_scalar(&mut self, label: &'static [u8], scalar: &Scalar);
    /// Draws a scalar: 64 bytes reduced modulo ℓ.
    fn challenge_scalar(&mut self, label: &'static [u8]) -> Scalar;
    /// Draws `count` scalars under one label.
    fn challenge_scalars(&mut self, label: &'static [u8], count: usize) -> Vec<Scalar> {
        (0..count).map(|_| self.challenge_scalar(label)).collect()
    }
}

impl TranscriptExt for Transcript {
    fn append_point(&mut self, label: &'static [u8], point: &PointBytes) {
        self.append_message(label, point.as_bytes());
    }

    fn append_points(&mut self, label: &'static [u8], points: &[PointBytes]) {
        self.append_u64(label, points.len() as u64);
        for chunk in points.chunks(POINTS_PER_MESSAGE) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|p| p.0).collect();
            self.append_message(label, &bytes);
        }
    }

    fn append_scalar(&mut self, label: &'static [u8], scalar: &Scalar) {
        self.append_message(label, scalar.as_bytes());
    }

    fn challenge_scalar(&mut self, label: &'static [u8]) -> Scalar {
        let mut bytes = [0u8; 64];
        self.challenge_bytes(label, &mut bytes);
        Scalar::from_bytes_mod_order_wide(&bytes)
    }
}

/// Points in one message of [`TranscriptExt::append_points`]: 32 KiB, so that a large batch does
/// not need a second copy of itself. Part of the format.
pub const POINTS_PER_MESSAGE: usize = 1024;
