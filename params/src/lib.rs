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
    /// Content hash of a scorecard.
    pub const CARD: &str = "zkbureau/card/v1";
    /// Transcript of a scorecard proof and its link.
    pub const SCORECARD: &str = "zkbureau/scorecard/v1";
    /// Where a ceremony starts: its title and size.
    pub const CEREMONY_START: &str = "zkbureau/ceremony-start/v1";
    /// A contribution to phase 1 of a ceremony.
    pub const CEREMONY_POWERS: &str = "zkbureau/ceremony-powers/v1";
    /// The circuit that phase 2 of a ceremony is for.
    pub const CEREMONY_CIRCUIT: &str = "zkbureau/ceremony-circuit/v1";
    /// Where phase 2 of a ceremony starts.
    pub const CEREMONY_PHASE_TWO: &str = "zkbureau/ceremony-phase-two/v1";
    /// A contribution to phase 2 of a ceremony.
    pub const CEREMONY_DELTA: &str = "zkbureau/ceremony-delta/v1";
    /// Transcript of a contribution's proofs of knowledge.
    pub const CEREMONY_KNOWLEDGE: &str = "zkbureau/ceremony-knowledge/v1";
    /// Derivation of a contribution's secrets.
    pub const CEREMONY_SECRET: &str = "zkbureau/ceremony-secret/v1";
    /// Digest of powers or queries.
    pub const CEREMONY_STATE: &str = "zkbureau/ceremony-state/v1";
    /// Random weights of whoever verifies a ceremony.
    pub const CEREMONY_WEIGHTS: &str = "zkbureau/ceremony-weights/v1";
    /// Content hash of a scorecard's verifying key.
    pub const SCORECARD_KEY: &str = "zkbureau/scorecard-key/v1";
    /// A scorecard proof with its link.
    pub const SCORE_PROOF: &str = "zkbureau/score-proof/v1";
    /// What the proof of one score of an answer is bound to.
    pub const SCORE_CONTEXT: &str = "zkbureau/score-context/v1";
    /// What an agency signs when it registers a card.
    pub const SIGN_CARD: &str = "zkbureau/sign/card/v1";
    /// Input of the directory's verifiable random function.
    pub const DIRECTORY: &str = "zkbureau/directory/v1";
    /// Commitment to a subject identifier.
    pub const SUBJECT: &str = "zkbureau/subject/v1";
    /// Tag that binds a leaf to its holder.
    pub const HOLDER: &str = "zkbureau/holder/v1";
    /// Chain of log entries.
    pub const LOG: &str = "zkbureau/log/v1";
    /// Root over the ledger's trees.
    pub const STATE_ROOT: &str = "zkbureau/state-root/v1";
    /// Key of a value in the registry tree.
    pub const REGISTRY_KEY: &str = "zkbureau/registry-key/v1";
    /// Root over a block's transactions.
    pub const TRANSACTIONS_ROOT: &str = "zkbureau/transactions-root/v1";
    /// Leaf of the tree over a block's transactions.
    pub const TRANSACTION_LEAF: &str = "zkbureau/transaction-leaf/v1";
    /// Inner node of the tree over a block's transactions.
    pub const TRANSACTION_NODE: &str = "zkbureau/transaction-node/v1";
    /// Hash of a validator set.
    pub const VALIDATORS: &str = "zkbureau/validators/v1";
    /// Everything a batch says besides its commitments.
    pub const BATCH_BODY: &str = "zkbureau/batch-body/v1";
    /// What an agency signs when it publishes a batch.
    pub const SIGN_BATCH: &str = "zkbureau/sign/batch/v1";
    /// What a revocation key signs.
    pub const SIGN_REVOCATION: &str = "zkbureau/sign/revocation/v1";
    /// What a use key signs.
    pub const SIGN_INQUIRY: &str = "zkbureau/sign/inquiry/v1";
    /// What an auditor signs.
    pub const SIGN_AUDIT: &str = "zkbureau/sign/audit-request/v1";
    /// What a validator signs.
    pub const SIGN_VOTE: &str = "zkbureau/sign/vote/v1";
    /// What the proposer of a round signs.
    pub const SIGN_PROPOSAL: &str = "zkbureau/sign/proposal/v1";
    /// What the proposer signs with every part of its block.
    pub const SIGN_PROPOSAL_PART: &str = "zkbureau/sign/proposal-part/v1";
    /// What a validator signs to claim a network identity.
    pub const SIGN_VALIDATOR_PROOF: &str = "zkbureau/sign/validator-proof/v1";
    /// What a validator signs when it votes for a change of the consortium.
    pub const SIGN_GOVERNANCE: &str = "zkbureau/sign/governance/v1";
    /// Identifier of the rules that a transaction was checked by.
    pub const CONTEXT: &str = "zkbureau/context/v1";
    /// What the holder of a new key signs.
    pub const SIGN_POSSESSION: &str = "zkbureau/sign/possession/v1";
    /// What an agency signs so that others can carry its messages of consensus.
    pub const SIGN_FRAME: &str = "zkbureau/sign/frame/v1";
    /// What a node signs when it asks an agency over the network.
    pub const SIGN_NETWORK_ASK: &str = "zkbureau/sign/network-ask/v1";
    /// What an agency signs when it replies over the network.
    pub const SIGN_NETWORK_REPLY: &str = "zkbureau/sign/network-reply/v1";
    /// Hash of a snapshot's chunk.
    pub const SNAPSHOT_CHUNK: &str = "zkbureau/snapshot-chunk/v1";
    /// Commitment of an anchor to its consent.
    pub const ANCHOR_COMMITMENT: &str = "zkbureau/anchor-commitment/v1";
    /// Digest of an inquiry's request.
    pub const INQUIRY: &str = "zkbureau/inquiry-digest/v1";
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
            CEREMONY_START,
            CEREMONY_POWERS,
            CEREMONY_CIRCUIT,
            CEREMONY_PHASE_TWO,
            CEREMONY_DELTA,
            CEREMONY_KNOWLEDGE,
            CEREMONY_SECRET,
            CEREMONY_STATE,
            CEREMONY_WEIGHTS,
            BLINDING,
            RANGE_BATCH,
            LINEAR_IMAGE,
            VERDICTS,
            COLUMN_OPENING,
            CARD,
            SCORECARD,
            SCORECARD_KEY,
            SCORE_PROOF,
            SCORE_CONTEXT,
            SIGN_CARD,
            DIRECTORY,
            SUBJECT,
            HOLDER,
            LOG,
            STATE_ROOT,
            REGISTRY_KEY,
            TRANSACTIONS_ROOT,
            TRANSACTION_LEAF,
            TRANSACTION_NODE,
            VALIDATORS,
            BATCH_BODY,
            SIGN_BATCH,
            SIGN_REVOCATION,
            SIGN_INQUIRY,
            SIGN_AUDIT,
            SIGN_VOTE,
            SIGN_PROPOSAL,
            SIGN_PROPOSAL_PART,
            SIGN_VALIDATOR_PROOF,
            SIGN_GOVERNANCE,
            CONTEXT,
            SIGN_POSSESSION,
            SNAPSHOT_CHUNK,
            SIGN_FRAME,
            SIGN_NETWORK_ASK,
            SIGN_NETWORK_REPLY,
            ANCHOR_COMMITMENT,
            INQUIRY,
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert!(i == j || !b.starts_with(a), "{a} is a prefix of {b}");
            }
        }
    }
}
