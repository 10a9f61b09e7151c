//! Names that every other crate must agree on: domain strings, encoding versions and identifiers.
//!
//! A domain string separates one use of a hash from every other. Changing one changes every
//! commitment, signature or root that depends on it, so they are collected here and never reused.

/// Domain strings of the hash-to-group map and of hashes.
pub mod domain {
    /// Generator `H`, which carries blindings.
    pub const GENERATOR_BLINDING: &str = "zkbureau/generator/H/v1";
    /// Generator `G`, which carries scalars inside proofs.
    pub const GENERATOR_SCALAR: &str = "zkbureau/generator/G/v1";
    /// Generators `G[a]`, one per attribute.
    pub const GENERATOR_ATTRIBUTE: &str = "zkbureau/generator/attribute/v1";
    /// Generators `Bit[s, a, l]`, one per slot, attribute and bit.
    pub const GENERATOR_BIT: &str = "zkbureau/generator/bit/v1";
    /// Hash of a schema.
    pub const SCHEMA: &str = "zkbureau/schema/v1";
    /// Derivation of the blinding of a record's commitment.
    pub const BLINDING: &str = "zkbureau/blinding/v1";
    /// Transcript of the batch range argument.
    pub const RANGE_BATCH: &str = "zkbureau/range-batch/v1";
    /// Transcript of a linear image proof.
    pub const LINEAR_IMAGE: &str = "zkbureau/linear-image/v1";
    /// Transcript of a fact answer's verdicts.
    pub const VERDICTS: &str = "zkbureau/verdicts/v1";
    /// Transcript of a column opening.
    pub const COLUMN_OPENING: &str = "zkbureau/column-opening/v1";
    /// Input of the directory's verifiable random function.
    pub const DIRECTORY: &str = "zkbureau/directory/v1";
    /// Commitment to a subject identifier.
    pub const SUBJECT: &str = "zkbureau/subject/v1";
    /// Tag that binds a leaf to its holder.
    pub const HOLDER: &str = "zkbureau/holder/v1";
    /// Chain of log entries.
    pub const LOG: &str = "zkbureau/log/v1";
}

#[cfg(test)]
mod tests {
    use super::domain::*;

    #[test]
    fn domain_strings_are_prefix_free() {
        let all = [
            GENERATOR_BLINDING,
            GENERATOR_SCALAR,
            GENERATOR_ATTRIBUTE,
            GENERATOR_BIT,
            SCHEMA,
            BLINDING,
            RANGE_BATCH,
            LINEAR_IMAGE,
            VERDICTS,
            COLUMN_OPENING,
            DIRECTORY,
            SUBJECT,
            HOLDER,
            LOG,
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert!(i == j || !b.starts_with(a), "{a} is a prefix of {b}");
            }
        }
    }
}
