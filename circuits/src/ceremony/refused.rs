//! Why a transcript or a key is refused, and at which step.

use std::fmt;

use thiserror::Error;

use super::{LOG_SIZES, MAX_CONTRIBUTIONS, MAX_NAME, MIN_CONTRIBUTIONS};

/// A transcript, or a key made of one, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{step}: {flaw}")]
pub struct Refused {
    /// Where.
    pub step: Step,
    /// What is wrong.
    pub flaw: Flaw,
}

/// A step of the ceremony. Contributions are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Title and size.
    Title,
    /// A phase as a whole.
    Phase(u8),
    /// A contribution.
    Contribution {
        /// 1 or 2.
        phase: u8,
        /// Which one.
        number: usize,
        /// Who says to have made it.
        name: String,
    },
    /// The powers of phase 1 as the file has them.
    Powers {
        /// After how many contributions.
        number: usize,
        /// Who contributed last; empty at the start.
        name: String,
    },
    /// From powers to the queries of the circuit.
    Specialisation,
    /// The queries of phase 2 as the file has them.
    Queries {
        /// After how many contributions.
        number: usize,
        /// Who contributed last; empty at the start.
        name: String,
    },
    /// A finished key.
    Key,
    /// The transcript as a whole.
    Transcript,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |f: &mut fmt::Formatter<'_>, what, number: &usize, name: &str| match number {
            0 => write!(f, "{what} at the start"),
            _ => write!(f, "{what} after contribution {number} ({name:?})"),
        };
        match self {
            Self::Title => f.write_str("title"),
            Self::Phase(phase) => write!(f, "phase {phase}"),
            Self::Contribution {
                phase,
                number,
                name,
            } => write!(f, "phase {phase}, contribution {number} ({name:?})"),
            Self::Powers { number, name } => after(f, "phase 1, powers", number, name),
            Self::Specialisation => f.write_str("specialisation"),
            Self::Queries { number, name } => after(f, "phase 2, queries", number, name),
            Self::Key => f.write_str("key"),
            Self::Transcript => f.write_str("transcript"),
        }
    }
}

/// What is wrong with a step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// Not a name.
    #[error(
        "{0:?} is no name: 1 to {MAX_NAME} printable ASCII characters, no space at either end, no two in a row"
    )]
    Name(String),
    /// Somebody contributed before under this name.
    #[error("contributed to this phase before, as contribution {0}")]
    SameName(usize),
    /// The size is not supported.
    #[error("the domain is 2^{} to 2^{}, not 2^{}", LOG_SIZES.start(), LOG_SIZES.end(), .0)]
    Size(u8),
    /// Not enough contributions.
    #[error("{0} contributions; at least {MIN_CONTRIBUTIONS} are needed")]
    TooFew(usize),
    /// Too many contributions.
    #[error("{0} contributions; at most {MAX_CONTRIBUTIONS} fit")]
    TooMany(usize),
    /// Phase 2 has not begun.
    #[error("has not begun")]
    NotBegun,
    /// Phase 1 is closed.
    #[error("is closed: phase 2 has begun")]
    Closed,
    /// The hash of what came before is another.
    #[error(
        "does not continue the step before it: one was left out, moved, changed, or belongs to another ceremony"
    )]
    NotNext,
    /// Bytes are no point.
    #[error("{0} is not a point of its group other than the identity, canonically encoded")]
    Point(&'static str),
    /// An element of a vector is no point.
    #[error(
        "{what}, element {index}: not a point of its group other than the identity, canonically encoded"
    )]
    Element {
        /// Which vector.
        what: &'static str,
        /// Which element, from 0.
        index: usize,
    },
    /// The secret is 1.
    #[error("changes nothing: its secret for {0} is 1")]
    NoOp(&'static str),
    /// A proof of knowledge fails.
    #[error(
        "the proof of knowledge of its secret for {0} fails for this name, place and transcript"
    )]
    Knowledge(&'static str),
    /// The vectors are not what the last contribution signed.
    #[error("the file has other vectors than the contribution signed")]
    State,
    /// The first element is not the group's generator.
    #[error("{0} does not start with the generator")]
    Generator(&'static str),
    /// The vectors and the minutes disagree.
    #[error("{0} is not what the contribution says")]
    Minutes(&'static str),
    /// Two encodings of one secret disagree.
    #[error("{0} differs between the groups")]
    Groups(&'static str),
    /// A power is wrong.
    #[error("{what}, element {index}: not {secret} times the element before")]
    Power {
        /// Which vector.
        what: &'static str,
        /// Which element, from 0.
        index: usize,
        /// What it should have been multiplied by.
        secret: &'static str,
    },
    /// Tau is a root of the domain's vanishing polynomial.
    #[error("tau lies in the evaluation domain")]
    Domain,
    /// The transcript is for another circuit.
    #[error("another circuit")]
    Circuit,
    /// The powers are too few for the circuit, or too many.
    #[error("the circuit calls for a domain of 2^{expected}, the powers are for 2^{got}")]
    CircuitSize {
        /// The circuit's.
        expected: u8,
        /// The transcript's.
        got: u8,
    },
    /// The circuit cannot be synthesised or has a variable in no constraint.
    #[error("the circuit is not usable: {0}")]
    CircuitUnusable(&'static str),
    /// The queries phase 2 started from are not those of the circuit.
    #[error("phase 2 did not start from the queries of this circuit with these powers")]
    Start,
    /// An element of a query is wrong.
    #[error("{what}, element {index}: not what the transcript says")]
    Query {
        /// Which query.
        what: &'static str,
        /// Which element, from 0.
        index: usize,
    },
    /// A part of the key is wrong.
    #[error("{0} is not what the transcript says")]
    Part(&'static str),
    /// A part of the key has another length.
    #[error("{what}: the circuit has {expected} elements, the key {got}")]
    Length {
        /// Which part.
        what: &'static str,
        /// The circuit's.
        expected: usize,
        /// The key's.
        got: usize,
    },
    /// A contribution that must be there is not.
    #[error("no contribution has the hash {0}")]
    Missing(String),
    /// `delta = gamma`.
    #[error("delta equals gamma: with such a key proofs are made without a witness")]
    DeltaGamma,
    /// A point is the identity.
    #[error("{0} is the identity")]
    Identity(&'static str),
}

impl Flaw {
    /// The flaw at a step.
    #[must_use]
    pub fn at(self, step: Step) -> Refused {
        Refused { step, flaw: self }
    }
}
