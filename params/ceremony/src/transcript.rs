//! The transcript, what is done to it, and its verification.

use ark_bn254::Fr;
use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::ceremony::{Flaw, Minutes, PowersSecrets, Refused, Standing, Step};
use zkbureau_circuits::encoding::Digest32;

use crate::circuit::Circuit;
use crate::format::minutes_step;
use crate::powers::Powers;
use crate::progress::Progress;
use crate::queries::Queries;
use crate::secret::Entropy;
use crate::specialise::Specialised;

/// A ceremony up to some point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub(crate) minutes: Minutes,
    pub(crate) powers: Powers,
    /// Once phase 2 has begun.
    pub(crate) queries: Option<Queries>,
}

/// How far a transcript has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As far as it is: for contributors on the way.
    SoFar,
    /// Phase 1 may be closed.
    PhaseOne,
    /// A key may be made of it.
    Complete,
}

/// What a contributor publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributed {
    /// 1 or 2.
    pub phase: u8,
    /// Which contribution of the phase, from 1.
    pub number: usize,
    /// Hash of the contribution and, through it, of everything before.
    pub hash: Digest32,
}

/// A transcript that verified.
#[derive(Debug)]
pub struct Verified<'a> {
    pub(crate) transcript: &'a Transcript,
    pub(crate) circuit: &'a Circuit,
    pub(crate) standing: Standing,
    /// Once phase 2 has begun.
    pub(crate) specialised: Option<Specialised>,
    pub(crate) goal: Goal,
}

impl Verified<'_> {
    /// Where the minutes ended: hashes of all contributions.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Transcript {
    /// A ceremony in which nobody has contributed, for a circuit of this size.
    ///
    /// # Errors
    /// [`Refused`] when the title is no name, or the size is not supported.
    pub fn new(title: &str, log_size: u8) -> Result<Self, Refused> {
        let minutes = Minutes::new(title, log_size)?;
        Ok(Self {
            minutes,
            powers: Powers::start(log_size),
            queries: None,
        })
    }

    /// The minutes.
    #[must_use]
    pub fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    /// The phase that is open: 1 or 2.
    #[must_use]
    pub fn phase(&self) -> u8 {
        if self.minutes.phase_two.is_some() {
            2
        } else {
            1
        }
    }

    /// Contributes to the phase that is open. The transcript has been verified before.
    ///
    /// # Errors
    /// [`Refused`] when the name is, or the minutes are.
    pub fn contribute<R: RngCore + CryptoRng>(
        &self,
        name: &str,
        entropy: &Entropy,
        rng: &mut R,
        progress: &dyn Progress,
    ) -> Result<(Self, Contributed), Refused> {
        match self.phase() {
            1 => self.contribute_powers(name, &entropy.powers(), rng, progress),
            _ => self.contribute_delta(name, &entropy.delta(), rng, progress),
        }
    }

    pub(crate) fn contribute_powers<R: RngCore + CryptoRng>(
        &self,
        name: &str,
        secrets: &PowersSecrets,
        rng: &mut R,
        progress: &dyn Progress,
    ) -> Result<(Self, Contributed), Refused> {
        self.sign_powers(name, secrets, self.powers.times(secrets, progress), rng)
    }

    /// Appends a contribution that made these powers; honest contributors made them with `secrets`.
    pub(crate) fn sign_powers<R: RngCore + CryptoRng>(
        &self,
        name: &str,
        secrets: &PowersSecrets,
        powers: Powers,
        rng: &mut R,
    ) -> Result<(Self, Contributed), Refused> {
        let mut minutes = self.minutes.clone();
        let hash = minutes.contribute_powers(name, powers.digest(), secrets, rng)?;
        let number = minutes.powers.len();
        let queries = None;
        let after = Self {
            minutes,
            powers,
            queries,
        };
        Ok((
            after,
            Contributed {
                phase: 1,
                number,
                hash,
            },
        ))
    }

    pub(crate) fn contribute_delta<R: RngCore + CryptoRng>(
        &self,
        name: &str,
        delta: &Fr,
        rng: &mut R,
        progress: &dyn Progress,
    ) -> Result<(Self, Contributed), Refused> {
        let queries = (self.queries.as_ref()).ok_or_else(|| Flaw::NotBegun.at(Step::Phase(2)))?;
        self.sign_delta(name, delta, queries.times(delta, progress), rng)
    }

    /// Appends a contribution that made these queries; honest contributors made them with `delta`.
    pub(crate) fn sign_delta<R: RngCore + CryptoRng>(
        &self,
        name: &str,
        delta: &Fr,
        queries: Queries,
        rng: &mut R,
    ) -> Result<(Self, Contributed), Refused> {
        let mut minutes = self.minutes.clone();
        let hash = minutes.contribute_delta(name, queries.digest(), delta, rng)?;
        let number = (minutes.phase_two.as_ref()).map_or(0, |two| two.contributions.len());
        let after = Self {
            minutes,
            powers: self.powers.clone(),
            queries: Some(queries),
        };
        Ok((
            after,
            Contributed {
                phase: 2,
                number,
                hash,
            },
        ))
    }

    /// Closes phase 1 and begins phase 2 for a circuit. The transcript has been verified before.
    ///
    /// # Errors
    /// [`Refused`] when phase 1 has too few contributions, or powers of another size.
    pub fn specialise(&self, circuit: &Circuit, progress: &dyn Progress) -> Result<Self, Refused> {
        if self.minutes.phase_two.is_some() {
            return Err(Flaw::Closed.at(Step::Phase(1)));
        }
        let mut minutes = self.minutes.clone();
        let specialised = Specialised::new(circuit, &self.powers, progress)?;
        minutes.begin_phase_two(*circuit.hash(), specialised.start())?;
        Ok(Self {
            minutes,
            powers: self.powers.clone(),
            queries: Some(Queries::start(&specialised)),
        })
    }
}

/// Verifies a whole transcript for a circuit: the minutes, every power, the specialisation, every
/// query (spec: `params/spec/ceremony.md`, heading "What is checked").
///
/// # Errors
/// [`Refused`], naming the first step that fails.
pub fn verify<'a, R: RngCore + CryptoRng>(
    transcript: &'a Transcript,
    circuit: &'a Circuit,
    goal: Goal,
    rng: &mut R,
    progress: &dyn Progress,
) -> Result<Verified<'a>, Refused> {
    let minutes = &transcript.minutes;
    let standing = minutes.check()?;
    // Phase 1, also when nobody has contributed yet.
    let step = || minutes_step(minutes, 1);
    let state = transcript.powers.digest();
    let signed = match minutes.powers.last() {
        Some(last) => last.state,
        None => Powers::start(minutes.log_size).digest(),
    };
    if state != signed {
        return Err(Flaw::State.at(step()));
    }
    (transcript.powers.check(&standing, &state, rng, progress)).map_err(|flaw| flaw.at(step()))?;
    let specialised = match (&minutes.phase_two, &transcript.queries) {
        (Some(two), Some(queries)) => {
            if two.circuit != *circuit.hash() {
                return Err(Flaw::Circuit.at(Step::Specialisation));
            }
            let specialised = Specialised::new(circuit, &transcript.powers, progress)?;
            if specialised.start() != two.start {
                return Err(Flaw::Start.at(Step::Specialisation));
            }
            let step = || minutes_step(minutes, 2);
            let state = queries.digest();
            let signed = match two.contributions.last() {
                Some(last) => last.state,
                None => two.start.queries,
            };
            if state != signed {
                return Err(Flaw::State.at(step()));
            }
            (queries.check(&specialised, &standing, &state, rng, progress))
                .map_err(|flaw| flaw.at(step()))?;
            Some(specialised)
        }
        (None, None) => {
            if circuit.log_size() != minutes.log_size {
                let (expected, got) = (circuit.log_size(), minutes.log_size);
                return Err(Flaw::CircuitSize { expected, got }.at(Step::Title));
            }
            None
        }
        _ => return Err(Flaw::NotBegun.at(Step::Phase(2))),
    };
    match goal {
        Goal::SoFar => {}
        Goal::PhaseOne => minutes.check_phase_one()?,
        Goal::Complete => {
            minutes.check_complete()?;
        }
    }
    Ok(Verified {
        transcript,
        circuit,
        standing,
        specialised,
        goal,
    })
}
