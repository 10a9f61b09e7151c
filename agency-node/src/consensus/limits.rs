//! Every size that consensus allows, in one place.
//!
//! A message above what the network carries would be a line in a log and then rounds without end,
//! so the network takes its frame limits from here, the proposer cuts its block by them, and the
//! codecs refuse whatever is larger before decoding it.

use zkbureau_ledger::block::MAX_BLOCK_BYTES;
use zkbureau_ledger::genesis::MAX_AGENCIES;

/// Bytes of the block in one part; the last may be shorter.
pub const PART_BYTES: usize = 256 << 10;

/// Parts of the largest block.
pub const MAX_PARTS: usize = MAX_BLOCK_BYTES.div_ceil(PART_BYTES);

/// What a signature with its signer takes, with room for kind and value.
const SIGNATURE_BYTES: usize = 64 + 4 + 64;

/// A part with its envelope.
pub const MAX_PART_MESSAGE_BYTES: usize = PART_BYTES + 512;

/// A vote or a proposal.
pub const MAX_CONSENSUS_MESSAGE_BYTES: usize = 256;

/// A certificate of any kind. One that justifies a round may hold two votes of a validator.
pub const MAX_CERTIFICATE_BYTES: usize = 128 + 2 * MAX_AGENCIES * SIGNATURE_BYTES;

/// A vote or certificate that keeps a round moving.
pub const MAX_LIVENESS_MESSAGE_BYTES: usize = MAX_CERTIFICATE_BYTES + 64;

/// How far a node is.
pub const MAX_STATUS_BYTES: usize = 128;

/// A request for decided blocks.
pub const MAX_SYNC_REQUEST_BYTES: usize = 32;

/// Decided blocks in one answer, with their certificates.
pub const MAX_SYNC_RESPONSE_BYTES: usize = 32 << 20;

/// Decided blocks that one request may ask for.
pub const MAX_SYNC_BATCH: usize = 64;

/// Blocks of rounds that are further ahead than this are not taken: whoever proposes in them could send as
/// many as it likes. The engine takes no votes and proposals of such rounds either.
pub const MAX_ROUNDS_AHEAD: u32 = 10;

/// A stream's name.
pub const MAX_STREAM_ID_BYTES: usize = 32;

const _: () = assert!(MAX_SYNC_RESPONSE_BYTES > MAX_BLOCK_BYTES + MAX_CERTIFICATE_BYTES + 1024);
