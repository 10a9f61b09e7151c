//! The statement that verdicts are proven for: all agencies' views as one plan, and their images.

use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, PointBytes};
use zkbureau_circuits::fact::{AgencyPlan, Images, Plan, PlanError, View, linear_image};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::answer::verdict_context;
use zkbureau_ledger::document::evidence::{AgencyEvidence, image_context};
use zkbureau_ledger::ids::AnchorId;

use super::{Reading, State, Subject};

/// Evidence does not make a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StatementError {
    /// An agency that was not asked, or one that comes twice or out of order.
    #[error("the evidence is not in the order of the agencies that were asked")]
    Order,
    /// An agency's evidence is invalid.
    #[error("the evidence of {0} does not verify")]
    Agency(AgencyId),
    /// Some agency's images are wrong.
    #[error("the agencies' proofs do not verify")]
    Images,
}

/// What the verdicts are about.
#[derive(Debug)]
pub struct Statement<'a> {
    /// The plan over all listed agencies.
    pub plan: Plan,
    /// Per listed agency what it showed; `None` for one that did not answer.
    pub readings: Vec<Option<Reading<'a>>>,
}

impl<'a> Statement<'a> {
    /// Checks all agencies' evidence, missing agencies aside, and their images together.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn check<R: RngCore + CryptoRng>(
        about: &Subject<'_>,
        state: &State,
        anchor: &AnchorId,
        evidence: &'a [AgencyEvidence],
        rng: &mut R,
    ) -> Result<Self, StatementError> {
        let mut rest = evidence.iter().peekable();
        let mut readings = Vec::with_capacity(about.query.agencies().len());
        for id in about.query.agencies() {
            readings.push(match rest.next_if(|e| e.agency == *id) {
                Some(evidence) => Some(
                    Reading::check(about, state, evidence)
                        .map_err(|_| StatementError::Agency(*id))?,
                ),
                None => None,
            });
        }
        if rest.next().is_some() {
            return Err(StatementError::Order);
        }
        let statement = Self::new(about, readings)?;
        statement.check_images(about, state, anchor, rng)?;
        Ok(statement)
    }

    /// Makes the plan of readings, which are parallel to the request's agencies. Their images are
    /// not checked yet.
    ///
    /// # Errors
    /// [`StatementError::Agency`] when an agency's log does not reach far enough, or images are there
    /// that must not be, or missing.
    pub fn new(
        about: &Subject<'_>,
        readings: Vec<Option<Reading<'a>>>,
    ) -> Result<Self, StatementError> {
        let views: Vec<View<'_>> = readings
            .iter()
            .map(|r| r.as_ref().map_or(View::NoAnswer, |r| r.view))
            .collect();
        let plan = Plan::new(about.query, &views).map_err(|error| match error {
            PlanError::View { agency, .. } => StatementError::Agency(agency),
            PlanError::Views { .. } => StatementError::Order,
        })?;
        let statement = Self { plan, readings };
        for (reading, agency) in statement.readings.iter().zip(statement.plan.agencies()) {
            let Some(reading) = reading else { continue };
            let images = reading.evidence.images.as_ref();
            let expected = (!agency.forms().is_empty()).then_some(agency.forms().len());
            if images.map(|i| i.points.len()) != expected {
                return Err(StatementError::Agency(reading.agency()));
            }
        }
        Ok(statement)
    }

    /// Checks all images in one verification.
    ///
    /// # Errors
    /// [`StatementError::Images`]; [`Self::culprits`] says whose.
    pub fn check_images<R: RngCore + CryptoRng>(
        &self,
        about: &Subject<'_>,
        state: &State,
        anchor: &AnchorId,
        rng: &mut R,
    ) -> Result<(), StatementError> {
        let items = self.items(about, state, anchor);
        if items.is_empty() {
            return Ok(());
        }
        let items: Vec<_> = items.iter().map(|(_, c, p, i)| (*c, *p, *i)).collect();
        linear_image::verify_batch(&state.rules.key, &items, rng)
            .map_err(|_| StatementError::Images)
    }

    /// The agencies whose images are wrong, each checked alone.
    #[must_use]
    pub fn culprits<R: RngCore + CryptoRng>(
        &self,
        about: &Subject<'_>,
        state: &State,
        anchor: &AnchorId,
        rng: &mut R,
    ) -> Vec<AgencyId> {
        self.items(about, state, anchor)
            .into_iter()
            .filter(|(_, context, plan, images)| {
                linear_image::verify(&state.rules.key, context, plan, images, rng).is_err()
            })
            .map(|(agency, ..)| agency)
            .collect()
    }

    fn items(
        &self,
        about: &Subject<'_>,
        state: &State,
        anchor: &AnchorId,
    ) -> Vec<(AgencyId, Digest32, &AgencyPlan, &'a Images)> {
        let height = state.header.height();
        self.readings
            .iter()
            .zip(self.plan.agencies())
            .filter_map(|(reading, plan)| {
                let reading = reading.as_ref()?;
                let images = reading.evidence.images.as_ref()?;
                let agency = reading.agency();
                let context =
                    image_context(&about.chain.id(), &about.digest, anchor, height, agency);
                Some((agency, context, plan, images))
            })
            .collect()
    }

    /// The images of each listed agency; none where there are none.
    #[must_use]
    pub fn images(&self) -> Vec<&'a [PointBytes]> {
        self.readings
            .iter()
            .map(|reading| {
                (reading.as_ref())
                    .and_then(|r| r.evidence.images.as_ref())
                    .map_or(&[][..], |images| &images.points)
            })
            .collect()
    }

    /// What the verdicts' proof is bound to.
    #[must_use]
    pub fn context(
        about: &Subject<'_>,
        state: &State,
        anchor: &AnchorId,
        evidence: &[AgencyEvidence],
    ) -> Digest32 {
        verdict_context(&about.digest, &state.header.hash(), anchor, evidence)
    }
}
