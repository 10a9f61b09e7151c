//! The minutes: who contributed what, in order (spec: `params/spec/ceremony.md`, heading "Minutes").

use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use borsh::{BorshDeserialize, BorshSerialize};
use rand_core::{CryptoRng, RngCore};
use zeroize::{Zeroize, ZeroizeOnDrop};
use zkbureau_params::domain;

use super::check::Standing;
use super::digest::Start;
use super::knowledge::{Knowledge, Statement};
use super::points::G1Bytes;
use super::refused::{Flaw, Refused, Step};
use super::{LOG_SIZES, MAX_CONTRIBUTIONS, MAX_NAME};
use crate::encoding::{Digest32, Document, hash_parts};

/// A contribution to phase 1.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PowersContribution {
    /// Who made it.
    pub name: String,
    /// Hash of everything before.
    pub previous: Digest32,
    /// Digest of the powers it made.
    pub state: Digest32,
    /// tau in G1, after it.
    pub tau: G1Bytes,
    /// alpha in G1, after it.
    pub alpha: G1Bytes,
    /// beta in G1, after it.
    pub beta: G1Bytes,
    /// Of its factors of tau, alpha and beta.
    pub knowledge: [Knowledge; 3],
}

/// A contribution to phase 2.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeltaContribution {
    /// Who made it.
    pub name: String,
    /// Hash of everything before.
    pub previous: Digest32,
    /// Digest of the queries it made.
    pub state: Digest32,
    /// delta in G1, after it.
    pub delta: G1Bytes,
    /// Of its factor of delta.
    pub knowledge: Knowledge,
}

/// Phase 2: for one circuit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PhaseTwo {
    /// Hash of the circuit.
    pub circuit: Digest32,
    /// The circuit's queries with delta = 1.
    pub start: Start,
    /// In order.
    pub contributions: Vec<DeltaContribution>,
}

/// The minutes of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Minutes {
    /// What the ceremony is for. Two ceremonies do not share a title, so that contributions cannot
    /// be carried from one to the other.
    pub title: String,
    /// The domain has 2^this elements.
    pub log_size: u8,
    /// Phase 1, in order.
    pub powers: Vec<PowersContribution>,
    /// Phase 2, once it has begun.
    pub phase_two: Option<PhaseTwo>,
}

impl Document for Minutes {
    const NAME: &'static str = "zkbureau/ceremony-minutes/v1";
    const MAX_BYTES: usize = 256 * 1024;
}

/// A contributor's factors in phase 1. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PowersSecrets {
    /// Factor of tau.
    pub tau: Fr,
    /// Factor of alpha.
    pub alpha: Fr,
    /// Factor of beta.
    pub beta: Fr,
}

impl std::fmt::Debug for PowersSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PowersSecrets(..)")
    }
}

impl Minutes {
    /// Minutes of a ceremony in which nobody has contributed.
    ///
    /// # Errors
    /// [`Refused`] when the title is no name or the size is not supported.
    pub fn new(title: &str, log_size: u8) -> Result<Self, Refused> {
        let minutes = Self {
            title: title.to_owned(),
            log_size,
            powers: Vec::new(),
            phase_two: None,
        };
        minutes.check_title()?;
        Ok(minutes)
    }

    pub(super) fn check_title(&self) -> Result<(), Refused> {
        check_name(&self.title).map_err(|flaw| flaw.at(Step::Title))?;
        if LOG_SIZES.contains(&self.log_size) {
            Ok(())
        } else {
            Err(Flaw::Size(self.log_size).at(Step::Title))
        }
    }

    /// What the first contribution continues.
    pub(super) fn start_hash(&self) -> Digest32 {
        hash_parts(
            domain::CEREMONY_START,
            &[self.title.as_bytes(), &[self.log_size]],
        )
    }

    /// Adds a contribution to phase 1 that makes powers with the given digest. Gives its hash.
    ///
    /// # Errors
    /// [`Refused`] when the minutes are, or the name or a secret of the contribution is.
    pub fn contribute_powers<R: RngCore + CryptoRng>(
        &mut self,
        name: &str,
        state: Digest32,
        secrets: &PowersSecrets,
        rng: &mut R,
    ) -> Result<Digest32, Refused> {
        let before = self.check()?;
        let factors = [&secrets.tau, &secrets.alpha, &secrets.beta];
        let to = std::array::from_fn(|i| (before.powers()[i] * factors[i]).into_affine());
        let mut made = PowersContribution {
            name: name.to_owned(),
            previous: *before.hash(),
            state,
            tau: to[0].into(),
            alpha: to[1].into(),
            beta: to[2].into(),
            knowledge: std::array::from_fn(|_| Knowledge::blank()),
        };
        let changes = before.powers_changes(to);
        let statement = Statement {
            phase: 1,
            number: self.powers.len() as u64 + 1,
            name,
            previous: &made.previous,
            state: &made.state,
            changes: &changes,
        };
        for (knowledge, proof) in (made.knowledge.iter_mut()).zip(statement.prove(&factors, rng)) {
            *knowledge = proof;
        }
        let mut after = self.clone();
        after.powers.push(made);
        let standing = after.check()?;
        *self = after;
        Ok(*standing.hash())
    }

    /// Closes phase 1 and begins phase 2. Gives the hash that its first contribution continues.
    ///
    /// # Errors
    /// [`Refused`] when the minutes are, or phase 1 has too few contributions.
    pub fn begin_phase_two(
        &mut self,
        circuit: Digest32,
        start: Start,
    ) -> Result<Digest32, Refused> {
        if self.phase_two.is_some() {
            return Err(Flaw::Closed.at(Step::Phase(1)));
        }
        let mut after = self.clone();
        after.phase_two = Some(PhaseTwo {
            circuit,
            start,
            contributions: Vec::new(),
        });
        let standing = after.check()?;
        *self = after;
        Ok(*standing.hash())
    }

    /// Adds a contribution to phase 2 that makes queries with the given digest. Gives its hash.
    ///
    /// # Errors
    /// [`Refused`] when the minutes are, phase 2 has not begun, or the name or the secret of the
    /// contribution is refused.
    pub fn contribute_delta<R: RngCore + CryptoRng>(
        &mut self,
        name: &str,
        state: Digest32,
        secret: &Fr,
        rng: &mut R,
    ) -> Result<Digest32, Refused> {
        let before = self.check()?;
        let mut after = self.clone();
        let Some(phase) = &mut after.phase_two else {
            return Err(Flaw::NotBegun.at(Step::Phase(2)));
        };
        let to = (before.delta() * secret).into_affine();
        let changes = before.delta_changes(to);
        let statement = Statement {
            phase: 2,
            number: phase.contributions.len() as u64 + 1,
            name,
            previous: before.hash(),
            state: &state,
            changes: &changes,
        };
        let mut proofs = statement.prove(&[secret], rng);
        phase.contributions.push(DeltaContribution {
            name: name.to_owned(),
            previous: *before.hash(),
            state,
            delta: to.into(),
            knowledge: proofs.remove(0),
        });
        let standing = after.check()?;
        *self = after;
        Ok(*standing.hash())
    }

    /// Checks the list of contributions: names, order, and that each contributor knew secrets that
    /// are not 1. Whether powers and queries belong to it is for the whole transcript to say.
    ///
    /// # Errors
    /// [`Refused`], naming the first step that fails.
    pub fn check(&self) -> Result<Standing, Refused> {
        Standing::of(self)
    }

    /// Whether phase 1 has the contributions that it needs before it may be closed.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Phase`].
    pub fn check_phase_one(&self) -> Result<(), Refused> {
        check_count(1, self.powers.len())
    }

    /// [`Self::check`], that both phases have the contributions that a key needs, and that delta is
    /// not gamma.
    ///
    /// # Errors
    /// [`Refused`], naming the first step that fails.
    pub fn check_complete(&self) -> Result<Standing, Refused> {
        let standing = self.check()?;
        let two = (self.phase_two.as_ref()).ok_or_else(|| Flaw::NotBegun.at(Step::Phase(2)))?;
        check_count(2, two.contributions.len())?;
        // Contributors who know each other's secrets can undo them.
        if standing.delta() == G1Affine::generator() {
            return Err(Flaw::DeltaGamma.at(Step::Queries {
                number: two.contributions.len(),
                name: (two.contributions.last()).map_or_else(String::new, |c| c.name.clone()),
            }));
        }
        Ok(standing)
    }
}

/// Whether a closed phase has as many contributions as it needs.
pub(super) fn check_count(phase: u8, count: usize) -> Result<(), Refused> {
    if count < super::MIN_CONTRIBUTIONS {
        return Err(Flaw::TooFew(count).at(Step::Phase(phase)));
    }
    Ok(())
}

pub(super) fn check_most(phase: u8, count: usize) -> Result<(), Refused> {
    if count > MAX_CONTRIBUTIONS {
        return Err(Flaw::TooMany(count).at(Step::Phase(phase)));
    }
    Ok(())
}

/// Whether this can be a contributor's name: 1 to 64 printable ASCII characters, so that no two names
/// look the same.
///
/// # Errors
/// [`Flaw::Name`].
pub fn check_name(name: &str) -> Result<(), Flaw> {
    let printable = name.bytes().all(|b| (0x20..0x7f).contains(&b));
    let spaces = name.starts_with(' ') || name.ends_with(' ') || name.contains("  ");
    if printable && !spaces && (1..=MAX_NAME).contains(&name.len()) {
        Ok(())
    } else {
        let short = name.chars().take(MAX_NAME).collect();
        Err(Flaw::Name(short))
    }
}
