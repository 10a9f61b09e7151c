//! What a batch says in public, what its publisher knows, and how both enter the transcript
//! (spec: "Transcript").

use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use zkbureau_params::domain;

use super::layout::Layout;
use crate::commitment::{Record, RecordBlindings};
use crate::encoding::{Digest32, PointBytes};
use crate::transcript::TranscriptExt;

/// The public side of one batch. The schema comes with the key.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Chain identifier.
    pub chain: &'a Digest32,
    /// Agency identifier.
    pub agency: u32,
    /// Number of the batch.
    pub batch: u64,
    /// Hash of everything else the batch says: indexes, periods, tags.
    pub body: &'a Digest32,
    /// The stocks commitment of every record.
    pub stocks: &'a [PointBytes],
    /// The flows commitment of every record, in the same order.
    pub flows: &'a [PointBytes],
}

/// The secret side of one batch: openings of all its commitments, in the statement's order.
#[derive(Clone, Copy, Debug)]
pub struct Witness<'a> {
    /// The records.
    pub records: &'a [Record],
    /// Their blindings.
    pub blindings: &'a [RecordBlindings],
}

/// Starts the transcript with the statement (steps 1 to 8).
pub(super) fn absorb_statement(
    schema: &Digest32,
    layout: &Layout,
    statement: &Statement<'_>,
) -> Transcript {
    let mut t = Transcript::new(domain::RANGE_BATCH.as_bytes());
    t.append_message(b"chain", statement.chain);
    t.append_u64(b"agency", u64::from(statement.agency));
    t.append_u64(b"batch", statement.batch);
    t.append_message(b"schema", schema);
    t.append_u64(b"slots", layout.slots as u64);
    t.append_message(b"body", statement.body);
    t.append_points(b"stocks", statement.stocks);
    t.append_points(b"flows", statement.flows);
    t
}

/// Absorbs the rows and draws `y` and `τ` (steps 9 to 11).
pub(super) fn absorb_rows(
    t: &mut Transcript,
    layout: &Layout,
    rows: &[PointBytes],
) -> (Scalar, Vec<Scalar>) {
    t.append_points(b"rows", rows);
    let y = t.challenge_scalar(b"y");
    (y, t.challenge_scalars(b"tau", layout.rounds))
}

/// Absorbs one round of the sum-check and draws `r_k` (step 12).
pub(super) fn absorb_round(t: &mut Transcript, a1: &PointBytes, a2: &PointBytes) -> Scalar {
    t.append_point(b"A1", a1);
    t.append_point(b"A2", a2);
    t.challenge_scalar(b"r")
}

/// Draws `σ` (step 13).
pub(super) fn draw_sigma(t: &mut Transcript, layout: &Layout) -> Vec<Scalar> {
    t.challenge_scalars(b"sigma", layout.row_log)
}

/// The points of the masks, in the order of the transcript.
pub(super) struct MaskPoints {
    pub t: PointBytes,
    pub t_stocks: PointBytes,
    pub t_flows: PointBytes,
    pub e1: PointBytes,
    pub e0: PointBytes,
}

/// Absorbs the masks and draws `e` (steps 14 to 19).
pub(super) fn absorb_masks(t: &mut Transcript, masks: &MaskPoints) -> Scalar {
    t.append_point(b"T", &masks.t);
    t.append_point(b"T-stocks", &masks.t_stocks);
    t.append_point(b"T-flows", &masks.t_flows);
    t.append_point(b"E1", &masks.e1);
    t.append_point(b"E0", &masks.e0);
    t.challenge_scalar(b"e")
}
