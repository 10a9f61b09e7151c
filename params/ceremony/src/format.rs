//! The file that is passed around (spec: `params/spec/ceremony.md`, heading "File").

use thiserror::Error;
use zkbureau_circuits::ceremony::{LOG_SIZES, Minutes, Refused, Step};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::DecodeError;

use crate::powers::Powers;
use crate::progress::Progress;
use crate::queries::Queries;
use crate::transcript::Transcript;

/// First bytes of a file.
const MAGIC: &[u8; 8] = b"zkbparam";
/// Version of the format.
const VERSION: u8 = 1;
/// Largest file: what a domain of 2^20 and as many witnesses take, and some.
pub const MAX_BYTES: u64 = 512 << 20;
/// Most witnesses of a circuit whose domain has 2^log elements.
const fn most_witnesses(log_size: u8) -> usize {
    // A witness is in some constraint, and constraints have few variables of their own.
    4 << log_size
}

/// A file is no transcript.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// It starts otherwise.
    #[error("not a transcript of a ceremony")]
    Magic,
    /// Another version.
    #[error("version {0} of the format is not supported (this release reads version {VERSION})")]
    Version(u8),
    /// It ends too early.
    #[error("truncated: {0} are missing or incomplete")]
    Truncated(&'static str),
    /// It goes on.
    #[error("{0} bytes too many")]
    TooLong(usize),
    /// The minutes are not encoded as they should be.
    #[error("minutes: {0}")]
    Minutes(DecodeError),
    /// The number of witnesses is out of range.
    #[error("{0} witnesses are more than any circuit of this size has")]
    Witnesses(u32),
    /// A step is refused, or a point is none.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Transcript {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let minutes = self.minutes.to_bytes();
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.push(VERSION);
        out.extend((minutes.len() as u32).to_le_bytes());
        out.extend(minutes);
        self.powers.append(&mut out);
        if let Some(queries) = &self.queries {
            out.extend((queries.l.len() as u32).to_le_bytes());
            queries.append(&mut out);
        }
        out
    }

    /// Reads a transcript. Every point is checked to be in its group, and not the identity; whether
    /// anything fits together is for [`verify`](crate::verify) to say.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn from_bytes(bytes: &[u8], progress: &dyn Progress) -> Result<Self, FormatError> {
        let mut rest = bytes;
        let head = take(&mut rest, MAGIC.len() + 1, "the first bytes")?;
        if &head[..MAGIC.len()] != MAGIC {
            return Err(FormatError::Magic);
        }
        if head[MAGIC.len()] != VERSION {
            return Err(FormatError::Version(head[MAGIC.len()]));
        }
        let length = number(&mut rest, "the minutes")? as usize;
        let minutes = Minutes::from_bytes(take(&mut rest, length, "the minutes")?)
            .map_err(FormatError::Minutes)?;
        if !LOG_SIZES.contains(&minutes.log_size) {
            return Err(zkbureau_circuits::ceremony::Flaw::Size(minutes.log_size)
                .at(Step::Title)
                .into());
        }
        let powers = Powers::take(minutes.log_size, &mut rest, progress)
            .ok_or(FormatError::Truncated("powers of phase 1"))?
            .map_err(|flaw| flaw.at(minutes_step(&minutes, 1)))?;
        let queries = if minutes.phase_two.is_some() {
            const WHAT: &str = "queries of phase 2";
            let witnesses = number(&mut rest, WHAT)?;
            if witnesses as usize > most_witnesses(minutes.log_size) {
                return Err(FormatError::Witnesses(witnesses));
            }
            let read = Queries::take(minutes.log_size, witnesses as usize, &mut rest, progress)
                .ok_or(FormatError::Truncated(WHAT))?
                .map_err(|flaw| flaw.at(minutes_step(&minutes, 2)))?;
            Some(read)
        } else {
            None
        };
        if !rest.is_empty() {
            return Err(FormatError::TooLong(rest.len()));
        }
        Ok(Self {
            minutes,
            powers,
            queries,
        })
    }
}

/// Where the vectors of a phase have got to.
pub(crate) fn minutes_step(minutes: &Minutes, phase: u8) -> Step {
    if phase == 1 {
        return Step::Powers {
            number: minutes.powers.len(),
            name: (minutes.powers.last()).map_or_else(String::new, |c| c.name.clone()),
        };
    }
    let contributions = minutes.phase_two.as_ref().map(|two| &two.contributions);
    Step::Queries {
        number: contributions.map_or(0, Vec::len),
        name: contributions
            .and_then(|all| all.last())
            .map_or_else(String::new, |c| c.name.clone()),
    }
}

fn take<'a>(rest: &mut &'a [u8], n: usize, what: &'static str) -> Result<&'a [u8], FormatError> {
    let (head, tail) = (rest.split_at_checked(n)).ok_or(FormatError::Truncated(what))?;
    *rest = tail;
    Ok(head)
}

fn number(rest: &mut &[u8], what: &'static str) -> Result<u32, FormatError> {
    let bytes = take(rest, 4, what)?;
    Ok(u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
}
