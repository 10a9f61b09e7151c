//! Checks that need no state: sizes, order, signatures, points, range arguments. Transactions are
//! checked in parallel, the range arguments of all batches in one verification.

use std::sync::Arc;

use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use zkbureau_circuits::RistrettoPoint;
use zkbureau_circuits::encoding::{Document, PointBytes};
use zkbureau_circuits::range_batch::{self, Statement};

use super::context::{Context, Epoch};
use super::error::{GovernanceError, TxError};
use crate::consortium;
use crate::ids::{ChainId, TxHash};
use crate::transaction::{
    AuditRequest, Change, GovernanceVote, MAX_AUDIT_ATTRIBUTES, MAX_CHANGES, PublishBatch,
    RegisterCard, Transaction, body_hash,
};

/// A transaction that passed every check that needs no state. Only [`check_stateless`] makes one, and
/// the state machine takes it only under the very rules that it passed.
#[derive(Debug)]
pub struct Checked {
    /// The chain whose rules it passed, and which of them.
    chain: ChainId,
    epoch: Epoch,
    transaction: Transaction,
    hash: TxHash,
    size: usize,
    /// The commitments of a batch, stocks and flows of each entry.
    points: Vec<EntryPoints>,
}

/// The decoded commitments of one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryPoints {
    pub(crate) stocks: RistrettoPoint,
    pub(crate) flows: RistrettoPoint,
}

impl Checked {
    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> TxHash {
        self.hash
    }

    /// Length of its encoding, version byte included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The rules it passed. Under others it must be checked again, which `recheck` does.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn points(&self) -> &[EntryPoints] {
        &self.points
    }
}

/// Checks transactions, in parallel. The randomness weighs the range arguments' equations and
/// changes no outcome.
pub fn check_stateless<R: RngCore + CryptoRng>(
    context: &Context,
    transactions: Vec<Transaction>,
    rng: &mut R,
) -> Vec<Result<Arc<Checked>, TxError>> {
    let mut results: Vec<Result<Checked, TxError>> = transactions
        .into_par_iter()
        .map(|transaction| check_one(context, transaction))
        .collect();
    for (position, error) in bad_arguments(context, &results, rng) {
        results[position] = Err(error);
    }
    results.into_iter().map(|r| r.map(Arc::new)).collect()
}

/// Checks again what was checked by other rules of this chain; what was checked by these stays as it is,
/// and what belongs to another chain is refused.
pub(crate) fn recheck<R: RngCore + CryptoRng>(
    context: &Context,
    transactions: Vec<Arc<Checked>>,
    rng: &mut R,
) -> Vec<Result<Arc<Checked>, TxError>> {
    let outdated = transactions
        .iter()
        .filter(|checked| checked.epoch != context.epoch() && checked.chain == *context.chain())
        .map(|checked| checked.transaction.clone())
        .collect();
    let mut fresh = check_stateless(context, outdated, rng).into_iter();
    transactions
        .into_iter()
        .map(|checked| {
            if checked.epoch == context.epoch() {
                return Ok(checked);
            }
            if checked.chain != *context.chain() {
                return Err(TxError::OtherChain);
            }
            fresh
                .next()
                .unwrap_or_else(|| unreachable!("one per outdated"))
        })
        .collect()
}

/// Everything but the range arguments.
fn check_one(context: &Context, transaction: Transaction) -> Result<Checked, TxError> {
    let bytes = transaction.to_bytes();
    let kind = transaction.kind();
    if bytes.len() > kind.max_bytes() {
        return Err(TxError::Size {
            kind: kind.name(),
            limit: kind.max_bytes() as u64,
            got: bytes.len() as u64,
        });
    }
    let points = match &transaction {
        Transaction::PublishBatch(batch) => check_batch(context, batch)?,
        Transaction::AuditRequest(request) => {
            check_audit(context, request)?;
            Vec::new()
        }
        Transaction::GovernanceVote(vote) => {
            check_vote(context, vote)?;
            Vec::new()
        }
        Transaction::Evidence(evidence) => {
            evidence.verify(context.chain())?;
            Vec::new()
        }
        Transaction::RegisterCard(register) => {
            check_card(context, register)?;
            Vec::new()
        }
        // Their keys stand in the state.
        Transaction::AnchorConsent(_) | Transaction::RevokeConsent(_) | Transaction::Inquiry(_) => {
            Vec::new()
        }
    };
    Ok(Checked {
        chain: *context.chain(),
        epoch: context.epoch(),
        hash: transaction.hash(),
        size: bytes.len(),
        transaction,
        points,
    })
}

fn check_batch(context: &Context, batch: &PublishBatch) -> Result<Vec<EntryPoints>, TxError> {
    let body = &batch.body;
    let consortium = context.consortium();
    let agency = consortium
        .agency(body.agency)
        .ok_or(TxError::UnknownAgency(body.agency))?;
    count(
        "entries",
        body.entries.len(),
        1,
        consortium.policies.max_batch_slots as usize,
    )?;
    ascending("entries", body.entries.iter().map(|e| e.index))?;
    if body.schema != consortium.schema_version {
        return Err(TxError::Schema {
            expected: consortium.schema_version,
            got: body.schema,
        });
    }
    if let Some(entry) = body
        .entries
        .iter()
        .position(|e| e.effective_period > body.period)
    {
        return Err(TxError::EffectivePeriod {
            entry,
            effective: body.entries[entry].effective_period,
            reported: body.period,
        });
    }
    batch
        .verify_signature(context.chain(), &agency.validator_key)
        .map_err(|_| TxError::Signature { key: "validator" })?;
    let decode = |entry: usize, class: &'static str, point: &PointBytes| {
        point.decode().map_err(|_| TxError::Point { entry, class })
    };
    body.entries
        .par_iter()
        .enumerate()
        .map(|(i, entry)| {
            Ok(EntryPoints {
                stocks: decode(i, "stocks", &entry.stocks)?,
                flows: decode(i, "flows", &entry.flows)?,
            })
        })
        .collect()
}

fn check_audit(context: &Context, request: &AuditRequest) -> Result<(), TxError> {
    let consortium = context.consortium();
    let auditor = consortium
        .auditor(request.auditor)
        .ok_or(TxError::UnknownAuditor(request.auditor))?;
    count(
        "agencies",
        request.agencies.len(),
        1,
        consortium.agencies.len(),
    )?;
    count(
        "attributes",
        request.attributes.len(),
        1,
        MAX_AUDIT_ATTRIBUTES,
    )?;
    ascending("agencies", request.agencies.iter())?;
    ascending("attributes", request.attributes.iter())?;
    for agency in &request.agencies {
        if consortium.agency(*agency).is_none() {
            return Err(TxError::UnknownAgency(*agency));
        }
    }
    for name in &request.attributes {
        // `present` stands at position 0: its total is the public number of leaves.
        let known = context.schema().find(name).is_some_and(|(i, _)| i > 0);
        if !known {
            return Err(TxError::UnknownAttribute(name.clone()));
        }
    }
    request
        .verify_signature(context.chain(), &auditor.key)
        .map_err(|_| TxError::Signature { key: "auditor" })
}

/// Who registers a card, and whether it did. The card itself was validated when it was decoded.
fn check_card(context: &Context, register: &RegisterCard) -> Result<(), TxError> {
    let agency = (context.consortium())
        .agency(register.agency)
        .ok_or(TxError::UnknownAgency(register.agency))?;
    register
        .verify_signature(context.chain(), &agency.validator_key)
        .map_err(|_| TxError::Signature { key: "validator" })
}

/// Who may vote, whether it did, and whether new keys are held. Whether the changes can be applied
/// depends on the state.
fn check_vote(context: &Context, vote: &GovernanceVote) -> Result<(), TxError> {
    let proposal = &vote.proposal;
    count("changes", proposal.changes.len(), 1, MAX_CHANGES)?;
    consortium::name("title", &proposal.title)
        .map_err(|error| GovernanceError::Title(Box::new(error)))?;
    let set = context.consortium().validator_set();
    let validator = set
        .get(vote.agency)
        .ok_or(GovernanceError::NoVote(vote.agency))?;
    vote.verify_signature(context.chain(), &validator.key)
        .map_err(|_| TxError::Signature { key: "validator" })?;
    for (change, item) in proposal.changes.iter().enumerate() {
        match item {
            Change::AdmitAgency(admit) => admit.verify_possession(context.chain()),
            Change::RotateKeys(rotate) => rotate.verify_possession(context.chain()),
            _ => Ok(()),
        }
        .map_err(|_| GovernanceError::Possession { change })?;
    }
    Ok(())
}

/// Verifies the range arguments of all batches at once and names the bad ones.
fn bad_arguments<R: RngCore + CryptoRng>(
    context: &Context,
    results: &[Result<Checked, TxError>],
    rng: &mut R,
) -> Vec<(usize, TxError)> {
    let batches: Vec<(usize, &PublishBatch)> = results
        .iter()
        .enumerate()
        .filter_map(|(i, result)| match result.as_ref().ok()?.transaction() {
            Transaction::PublishBatch(batch) => Some((i, batch)),
            _ => None,
        })
        .collect();
    if batches.is_empty() {
        return Vec::new();
    }
    let error = |(position, batch): &(usize, &PublishBatch)| {
        let (agency, number) = (batch.body.agency, batch.body.number);
        (*position, TxError::RangeArgument { agency, number })
    };
    let Some(key) = context.range_key() else {
        return batches.iter().map(error).collect();
    };
    let parts: Vec<_> = batches
        .par_iter()
        .map(|(_, batch)| {
            let body = &batch.body;
            (
                body_hash(context.chain(), body),
                body.stocks(),
                body.flows(),
            )
        })
        .collect();
    let statements: Vec<_> = batches
        .iter()
        .zip(&parts)
        .map(|((_, batch), (hash, stocks, flows))| {
            let statement = Statement {
                chain: context.chain().as_bytes(),
                agency: batch.body.agency.0,
                batch: batch.body.number,
                body: hash,
                stocks,
                flows,
            };
            (statement, &batch.argument)
        })
        .collect();
    match range_batch::verify_many(key, &statements, rng) {
        Ok(()) => Vec::new(),
        Err(bad) => bad.indices.iter().map(|i| error(&batches[*i])).collect(),
    }
}

fn count(field: &'static str, got: usize, min: usize, max: usize) -> Result<(), TxError> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(TxError::Count {
        field,
        min: min as u64,
        max: max as u64,
        got: got as u64,
    })
}

fn ascending<T: Ord>(field: &'static str, items: impl Iterator<Item = T>) -> Result<(), TxError> {
    let mut last = None;
    for (item, value) in items.enumerate() {
        if last.as_ref().is_some_and(|last| *last >= value) {
            return Err(TxError::Order { field, item });
        }
        last = Some(value);
    }
    Ok(())
}
