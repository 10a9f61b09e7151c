//! The vault: an agency's keys, its borrowers' raw values and salts, and its publishing state, in
//! a RocksDB instance of its own.
//!
//! # At rest
//! Every value is encrypted with XChaCha20-Poly1305 under a random data key; the associated data
//! is the column family and the key it stands under, so a value that is changed or moved does not
//! decrypt. The data key is wrapped by a key from a passphrase (argon2id) or from a key file
//! ([`key`]). Keys that would reveal a person are keyed hashes ([`Handle`]). What encryption
//! does not hide: the number and sizes of values. What it does not detect: an older version
//! of the whole vault; [`crate::agency::Agency::reconcile`] finds that by comparison with the ledger.
//!
//! # Column families
//! | name | key | value |
//! |---|---|---|
//! | `header` | `header` | [`key::Header`]: format, chain, agency, wrapped data key (not encrypted) |
//! | `meta` | `keys`, `spare-keys`, `progress` | [`AgencyKeys`], sets of them, [`Progress`] |
//! | `subjects` | handle | [`Subject`]: identifier, index, salts; written once |
//! | `heads` | handle | [`Head`]: what the leaf would be after every prepared batch |
//! | `entries` | handle ‖ number | [`Entry`]: one published record |
//! | `tradelines` | handle ‖ period | the source rows behind a period's record |
//! | `columns` | batch number | [`Column`]: openings of the column totals after that batch |
//! | `batches` | batch number | [`BatchState`]: hash, size, whether it is final |
//! | `outbox` | batch number | the transaction's exact bytes |
//! | `undo` | batch number | what the batch replaced |
//! | `budgets` | handle | facts answered about a subject |
//! | `consents` | keyed hash | uses of a consent |
//! | `audits` | audit | answers to audits |
//!
//! # Correctness
//! A batch enters in ONE synced write ([`Vault::put_batch`]) and leaves in one
//! ([`Vault::roll_back`]). Everything that depends on it is in that write, so there is no state in
//! between.

mod backup;
mod batch;
mod cipher;
mod counters;
mod error;
pub mod key;
mod keyring;
mod records;
mod store;

pub use backup::{BackupError, FileEntry, Manifest};
pub use batch::{BatchState, Column, KEPT_BATCHES, KEPT_BLOCKS, NewBatch, Progress};
pub(crate) use counters::KeptAudit;
pub use counters::{Budget, ConsentUses, Use};
pub use error::VaultError;
pub use key::{AgencyKeys, KeyError, KeyKind, UNBOUND, VaultKey};
pub use keyring::Followed;
pub use records::{Entry, Handle, Head, Opener, Subject};
pub use store::Vault;
