//! Assembling: every reply is checked as the lender will check it, then the forms are added up, the
//! verdicts proven and everything sealed to the lender.
//!
//! The wallet does this and nobody else, because whoever assembles learns the totals.

use std::collections::BTreeMap;

use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::error::ProveError;
use zkbureau_circuits::fact::{FormOpening, Verdict, check_openings, prove_verdicts};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::{ProvingKey, ScoreVerdict, prove_scores};
use zkbureau_ledger::document::answer::{
    ANSWER_SEAL, AnswerBody, AuthorityEvidence, FactAnswer, ScoreKeyBytes, StateEvidence,
};
use zkbureau_ledger::document::evidence::{AgencyAnswer, AgencyEvidence};
use zkbureau_ledger::document::sealed::{SealError, Sealed};

use super::ask::Failure;
use crate::evidence::{
    AuthorityError, Reading, State, Statement, StatementError, Subject, check_authority,
};

/// State and authority of an answer.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The ledger's part.
    pub state: StateEvidence,
    /// The borrower's part.
    pub authority: AuthorityEvidence,
}

/// An answer that the lender will accept.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Sealed to the lender.
    pub answer: FactAnswer,
    /// What is inside.
    pub body: AnswerBody,
    /// The verdicts of the facts.
    pub verdicts: Vec<Verdict>,
    /// The verdicts of the scores.
    pub scores: Vec<ScoreVerdict>,
    /// Agencies whose replies did not verify and were left out, as if they had not answered.
    pub left_out: BTreeMap<AgencyId, Failure>,
}

/// No answer can be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AssembleError {
    /// The rights would not convince the lender.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The replies contradict the request.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The proof cannot be made.
    #[error("the verdicts cannot be proven: {0}")]
    Prove(#[from] ProveError),
    /// Scores are asked for, and there is no key to prove them with.
    #[error(
        "a score is asked for: name the proving key of this ledger with --score-key (content hash {})", hex::encode(.0)
    )]
    NoScoreKey(Digest32),
    /// The ledger has no verifying key in force.
    #[error("a score is asked for, but this ledger has no verifying key for scores in force")]
    NoKeyInForce,
    /// The key is another one than that in force.
    #[error(
        "the proving key is another one than the ledger's: its hash is {}, in force is {}", hex::encode(.got), hex::encode(.expected)
    )]
    OtherScoreKey {
        /// Hash of the key in force.
        expected: Digest32,
        /// Hash of the key given.
        got: Digest32,
    },
    /// The lender's key.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Checks replies and makes the answer. `refused` are indexes of facts, and after them of scores, that
/// the person declines. `score_key` proves scores; it must be the key in force.
///
/// An agency whose reply does not verify is left out and named: its facts become unavailable.
///
/// # Errors
/// [`AssembleError`].
pub fn assemble<R: RngCore + CryptoRng>(
    about: &Subject<'_>,
    state: &State,
    rights: Rights,
    mut replies: Vec<AgencyAnswer>,
    refused: &[usize],
    score_key: Option<&ProvingKey>,
    rng: &mut R,
) -> Result<Assembled, AssembleError> {
    check_authority(about, state, &rights.authority)?;
    check_score_key(about, state, score_key)?;
    let facts = about.query.facts().len();
    let refused_scores: Vec<usize> = refused
        .iter()
        .filter_map(|i| i.checked_sub(facts))
        .collect();
    let anchor = rights.authority.anchor_id;
    replies.sort_by_key(|reply| reply.evidence.agency);
    let mut left_out = BTreeMap::new();
    loop {
        // As many rounds as there are bad replies, so one if all agencies are honest.
        replies.retain(|reply| !left_out.contains_key(&reply.evidence.agency));
        let evidence: Vec<AgencyEvidence> = replies.iter().map(|r| r.evidence.clone()).collect();
        let statement = match read(about, state, &evidence) {
            Ok(statement) => statement,
            Err(StatementError::Agency(agency)) => {
                left_out.insert(agency, Failure::invalid("directory, log or images"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if statement.check_images(about, state, &anchor, rng).is_err() {
            let culprits = statement.culprits(about, state, &anchor, rng);
            if culprits.is_empty() {
                return Err(StatementError::Images.into());
            }
            for agency in culprits {
                left_out.insert(agency, Failure::invalid("proof of the images"));
            }
            continue;
        }
        let openings: Vec<&[FormOpening]> = (about.query.agencies().iter())
            .map(|id| {
                (replies.iter().find(|r| r.evidence.agency == *id))
                    .filter(|r| r.evidence.images.is_some())
                    .map_or(&[][..], |r| &r.openings)
            })
            .collect();
        let images = statement.images();
        if let Err(bad) = check_openings(&statement.plan, &images, &openings) {
            left_out.insert(bad.agency, Failure::invalid("openings"));
            continue;
        }
        let counts = (about.query.agencies().iter()).zip(openings.iter().zip(&images));
        if let Some((agency, _)) = counts.into_iter().find(|(_, (o, i))| o.len() != i.len()) {
            left_out.insert(*agency, Failure::invalid("number of openings"));
            continue;
        }
        let context = Statement::context(about, state, &anchor, &evidence);
        let (verdicts, proof) =
            prove_verdicts(&context, &statement.plan, &images, &openings, refused, rng)?;
        let scores = prove_scores(
            score_key,
            &context,
            &statement.plan,
            &images,
            &openings,
            &refused_scores,
            rng,
        )?;
        let proven = scores.iter().any(|s| s.proof.is_some());
        let body = AnswerBody {
            scores: scores.clone(),
            score_key: score_key
                .filter(|_| proven)
                .map(|key| ScoreKeyBytes(key.verifying().to_file())),
            state: rights.state,
            authority: rights.authority,
            verdicts: verdicts.clone(),
            proof,
            agencies: evidence,
        };
        let sealed = Sealed::seal(
            &about.request.parties.lender_sealing_key,
            ANSWER_SEAL,
            &about.digest,
            &body.to_bytes(),
            rng,
        )?;
        return Ok(Assembled {
            answer: FactAnswer {
                request: about.digest,
                sealed,
            },
            body,
            verdicts,
            scores,
            left_out,
        });
    }
}

/// Scores need the key in force; without scores any key will do, and none.
fn check_score_key(
    about: &Subject<'_>,
    state: &State,
    key: Option<&ProvingKey>,
) -> Result<(), AssembleError> {
    if about.query.scores().is_empty() {
        return Ok(());
    }
    require_score_key(state.consortium.score_key.as_ref(), key)
}

/// Whether a key is the one in force.
pub(super) fn require_score_key(
    in_force: Option<&Digest32>,
    key: Option<&ProvingKey>,
) -> Result<(), AssembleError> {
    let expected = *in_force.ok_or(AssembleError::NoKeyInForce)?;
    let key = key.ok_or(AssembleError::NoScoreKey(expected))?;
    let got = *key.verifying().hash();
    if got != expected {
        return Err(AssembleError::OtherScoreKey { expected, got });
    }
    Ok(())
}

/// Reads all evidence and makes the plan; images are not checked.
fn read<'a>(
    about: &Subject<'_>,
    state: &State,
    evidence: &'a [AgencyEvidence],
) -> Result<Statement<'a>, StatementError> {
    if evidence.windows(2).any(|w| w[0].agency == w[1].agency)
        || (evidence.iter()).any(|e| !about.query.agencies().contains(&e.agency))
    {
        return Err(StatementError::Order);
    }
    let readings = about
        .query
        .agencies()
        .iter()
        .map(|id| match evidence.iter().find(|e| e.agency == *id) {
            Some(evidence) => Reading::check(about, state, evidence)
                .map(Some)
                .map_err(|_| StatementError::Agency(*id)),
            None => Ok(None),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Statement::new(about, readings)
}
