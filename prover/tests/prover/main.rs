//! From files to verified batches.

mod common;
mod import;
mod mapping;
mod publish;
