//! Where rows come from. Today: CSV files.

pub mod csv;
mod lines;

pub use csv::{CsvError, CsvReader, Fields};
