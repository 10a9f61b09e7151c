//! Scores of an answer: from the agencies' images of a card's values to one proof per score
//! (spec: `circuits/spec/score_answer.md`, heading "Answer").
//!
//! Wallet and lender derive the same statement from the same plan: which images make up which
//! variable's commitment, which claim a verdict stands for, and what the proof is bound to.

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::ristretto::RistrettoPoint;
use rand_core::{CryptoRng, RngCore};
use zkbureau_params::domain;

use super::ask::{Question, ScoreAsk};
use super::claim::{Claim, ReasonSet, Reasons};
use super::keys::{ProvingKey, VerifyingKey};
use super::link::{self, Commitment, ValueOpening};
use super::prove::prove;
use super::statement::{ScoreProof, ScoreStatement};
use super::table::PreparedCard;
use super::verify::verify_batch;
use crate::encoding::{Digest32, PointBytes, hash_parts};
use crate::error::{ProveError, VerifyError};
use crate::fact::{FormOpening, Outcome, Plan, ScoreQuery, Side, Verdict};

/// What is said of one score, and its proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ScoreVerdict {
    /// Whether it is as asked; [`Verdict::True`] also for a score that is shown.
    pub verdict: Verdict,
    /// The score in the card's unit, where it was asked for itself.
    pub score: Option<i64>,
    /// The variables that cost the most points, where they were asked for.
    pub reasons: Option<ReasonSet>,
    /// The proof of what is true or false.
    pub proof: Option<ScoreProof>,
}

impl ScoreVerdict {
    /// A verdict without a proof.
    fn bare(verdict: Verdict) -> Self {
        Self {
            verdict,
            score: None,
            reasons: None,
            proof: None,
        }
    }

    /// The claim that stands for a verdict about an open score; nothing if there is none.
    fn claim(&self, ask: &ScoreAsk) -> Option<Claim> {
        let no = |side| Verdict::False { at: None, side };
        match (ask.question, self.verdict, self.score) {
            (Question::AtLeast(t), Verdict::True, None) => Some(Claim::AtLeast(t)),
            (Question::AtLeast(t), v, None) if v == no(Side::Below) => Some(Claim::Below(t)),
            (Question::Below(t), Verdict::True, None) => Some(Claim::Below(t)),
            (Question::Below(t), v, None) if v == no(Side::Above) => Some(Claim::AtLeast(t)),
            (Question::Exact, Verdict::True, Some(score)) => Some(Claim::Exactly(score)),
            _ => None,
        }
    }

    /// The verdict that answers a question with a score.
    fn of(ask: &ScoreAsk, score: i64, reasons: Option<ReasonSet>) -> Self {
        let (_, holds) = ask.claim(score);
        let verdict = match (ask.question, holds) {
            (_, true) => Verdict::True,
            (Question::Below(_), false) => Verdict::False {
                at: None,
                side: Side::Above,
            },
            (_, false) => Verdict::False {
                at: None,
                side: Side::Below,
            },
        };
        Self {
            verdict,
            score: (ask.question == Question::Exact).then_some(score),
            reasons,
            proof: None,
        }
    }
}

/// What the proof of one score is bound to: the context of the answer (request, header, anchor and
/// all evidence), its place in the request, and the question.
#[must_use]
pub fn score_context(context: &Digest32, score: usize, ask: &ScoreAsk) -> Digest32 {
    let ask = borsh::to_vec(ask).expect("encoding into memory");
    hash_parts(
        domain::SCORE_CONTEXT,
        &[context, &(score as u64).to_le_bytes(), &ask],
    )
}

/// Per variable of a card the agencies' forms of its value: (agency, form).
fn holders(plan: &Plan, score: &ScoreQuery) -> Vec<Vec<(usize, usize)>> {
    let of = |row: &usize| plan.holders(*row).collect();
    score.rows.iter().map(of).collect()
}

/// Sum of the forms' public addends.
fn offset(plan: &Plan, forms: &[(usize, usize)]) -> Option<i64> {
    forms.iter().try_fold(0i64, |sum, (a, f)| {
        sum.checked_add(plan.agencies()[*a].forms()[*f].offset())
    })
}

/// `C[a]` of every variable, from decoded images by agency and form.
fn commitments(
    plan: &Plan,
    score: &ScoreQuery,
    images: &[Vec<RistrettoPoint>],
) -> Option<Vec<Commitment>> {
    let variables = score.card.variables().iter();
    variables
        .zip(holders(plan, score))
        .map(|(variable, forms)| {
            let points: Vec<RistrettoPoint> = forms.iter().map(|(a, f)| images[*a][*f]).collect();
            Some(link::commitment(variable, &points, offset(plan, &forms)?))
        })
        .collect()
}

/// Decodes images, one list per listed agency, in the plan's numbers.
fn decode(plan: &Plan, images: &[&[PointBytes]]) -> Option<Vec<Vec<RistrettoPoint>>> {
    let fits = images.len() == plan.agencies().len()
        && (images.iter().zip(plan.agencies())).all(|(i, a)| i.len() == a.forms().len());
    if !fits {
        return None;
    }
    let decode = |points: &&[PointBytes]| points.iter().map(PointBytes::decode).collect();
    images.iter().map(decode).collect::<Result<_, _>>().ok()
}

/// Answers and proves every score of a plan. Images and openings are those of
/// [`prove_verdicts`](crate::fact::prove_verdicts), and have passed
/// [`check_openings`](crate::fact::check_openings). `refused` are indexes of scores that the wallet
/// declines; a score that no bin takes is declined, too. A key is needed only for what is open.
///
/// # Errors
/// [`ProveError`] when counts differ, an opening does not open its image, or a key is needed.
pub fn prove_scores<R: RngCore + CryptoRng>(
    key: Option<&ProvingKey>,
    context: &Digest32,
    plan: &Plan,
    images: &[&[PointBytes]],
    openings: &[&[FormOpening]],
    refused: &[usize],
    rng: &mut R,
) -> Result<Vec<ScoreVerdict>, ProveError> {
    let decoded =
        decode(plan, images).ok_or(ProveError::Unsatisfied("images are not those of the plan"))?;
    if openings.len() != images.len()
        || openings.iter().zip(images).any(|(o, i)| o.len() != i.len())
    {
        return Err(ProveError::Unsatisfied("one opening per image"));
    }
    let scores = plan.query().scores().iter().zip(plan.score_outcomes());
    let mut verdicts = Vec::new();
    for (number, (score, outcome)) in scores.enumerate() {
        verdicts.push(match outcome {
            _ if refused.contains(&number) => ScoreVerdict::bare(Verdict::Refused),
            Outcome::Decided(verdict) => ScoreVerdict::bare(*verdict),
            Outcome::Open => {
                let key = key.ok_or(ProveError::Unsatisfied("a score needs a proving key"))?;
                let context = score_context(context, number, &score.ask);
                prove_one(key, &context, plan, score, &decoded, openings, rng)?
            }
        });
    }
    Ok(verdicts)
}

fn prove_one<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    context: &Digest32,
    plan: &Plan,
    score: &ScoreQuery,
    images: &[Vec<RistrettoPoint>],
    openings: &[&[FormOpening]],
    rng: &mut R,
) -> Result<ScoreVerdict, ProveError> {
    const RANGE: ProveError = ProveError::Unsatisfied("a value leaves 63 bits");
    let (card, ask) = (&score.card, &score.ask);
    let mut opened: Vec<ValueOpening> = Vec::with_capacity(card.variables().len());
    let mut values = zeroize::Zeroizing::new(Vec::with_capacity(card.variables().len()));
    for (variable, forms) in card.variables().iter().zip(holders(plan, score)) {
        let parts: Vec<FormOpening> = (forms.iter())
            .map(|(a, f)| openings[*a][*f].clone())
            .collect();
        let offset = offset(plan, &forms).ok_or(RANGE)?;
        // The agencies' values may be such that the card has no bin for their sum.
        let Some(opening) = link::opening(variable, &parts, offset) else {
            return Ok(ScoreVerdict::bare(Verdict::Refused));
        };
        values.push(variable.low().saturating_add_unsigned(opening.value()));
        opened.push(opening);
    }
    let known = (card.evaluate(&values)).map_err(|_| ProveError::Unsatisfied("no bin"))?;
    let reasons = (ask.reasons > 0).then(|| known.reasons(ask.reasons));
    let mut verdict = ScoreVerdict::of(ask, known.score(), reasons);
    let prepared = PreparedCard::new(key.verifying(), card);
    let commitments = commitments(plan, score, images).ok_or(RANGE)?;
    let statement = ScoreStatement {
        context,
        card: &prepared,
        claim: ask.claim(known.score()).0,
        reasons: shown(ask, reasons),
        commitments: &commitments,
    };
    verdict.proof = Some(prove(key, &statement, &opened, rng)?);
    Ok(verdict)
}

fn shown(ask: &ScoreAsk, reasons: Option<ReasonSet>) -> Option<Reasons> {
    reasons.map(|set| Reasons {
        most: ask.reasons,
        set,
    })
}

/// Verifies what is said of every score of a plan, all proofs together. That the images are the
/// agencies' is a separate, required check, as for verdicts.
///
/// # Errors
/// [`VerifyError`] when a verdict is not proven, or not possible under the plan.
pub fn verify_scores<R: RngCore + CryptoRng>(
    key: Option<&VerifyingKey>,
    context: &Digest32,
    plan: &Plan,
    images: &[&[PointBytes]],
    verdicts: &[ScoreVerdict],
    rng: &mut R,
) -> Result<(), VerifyError> {
    let scores = plan.query().scores();
    if verdicts.len() != scores.len() {
        return Err(VerifyError);
    }
    let decoded = decode(plan, images).ok_or(VerifyError)?;
    let mut open = Vec::new();
    for (number, (score, said)) in scores.iter().zip(verdicts).enumerate() {
        let decided = match (plan.score_outcomes()[number], said.verdict) {
            (_, Verdict::Refused) => true,
            (Outcome::Decided(decided), verdict) if decided == verdict => true,
            (Outcome::Decided(_), _) => return Err(VerifyError),
            (Outcome::Open, _) => false,
        };
        if decided {
            if *said != ScoreVerdict::bare(said.verdict) {
                return Err(VerifyError);
            }
            continue;
        }
        let ask = &score.ask;
        let claim = said.claim(ask).ok_or(VerifyError)?;
        let proof = said.proof.as_ref().ok_or(VerifyError)?;
        if said.reasons.is_some() != (ask.reasons > 0) {
            return Err(VerifyError);
        }
        let key = key.ok_or(VerifyError)?;
        open.push((
            score_context(context, number, ask),
            PreparedCard::new(key, &score.card),
            claim,
            shown(ask, said.reasons),
            commitments(plan, score, &decoded).ok_or(VerifyError)?,
            proof,
        ));
    }
    let Some(key) = key else { return Ok(()) };
    let items: Vec<_> = (open.iter())
        .map(|(context, card, claim, reasons, commitments, proof)| {
            let statement = ScoreStatement {
                context,
                card,
                claim: *claim,
                reasons: *reasons,
                commitments,
            };
            (statement, *proof)
        })
        .collect();
    verify_batch(key, &items, rng)
}
