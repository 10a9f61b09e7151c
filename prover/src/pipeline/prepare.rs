//! One batch: from planned records to commitments and the argument.

use std::collections::HashMap;
use std::time::Instant;

use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use zkbureau_circuits::commitment::{BlindingContext, RecordBlindings};
use zkbureau_circuits::directory::{Index, SubjectId, vrf_input};
use zkbureau_circuits::error::ProveError;
use zkbureau_circuits::range_batch::{Statement, Witness, commit_records, prove};

use super::{KeptEntry, KnownSubject, PreparedBatch, PublicEntry, Subjects, Target, Timings};
use crate::import::Planned;

/// Subjects admitted for a batch that the sink may not have stored yet.
pub(super) type Admitted = HashMap<SubjectId, KnownSubject>;

pub(super) enum PrepareError<S> {
    Subjects(S),
    SameIndex(Index),
    Prove(ProveError),
}

impl<S> From<ProveError> for PrepareError<S> {
    fn from(e: ProveError) -> Self {
        Self::Prove(e)
    }
}

/// Prepares a batch in which every subject occurs once.
pub(super) fn prepare<S: Subjects, R: RngCore + CryptoRng>(
    planned: Vec<Planned>,
    (number, closes): (u64, bool),
    target: &Target<'_>,
    subjects: &S,
    admitted: &Admitted,
    rng: &mut R,
) -> Result<PreparedBatch, PrepareError<S::Error>> {
    let schema = target.key.verifying().schema();

    let start = Instant::now();
    let mut found = planned
        .into_par_iter()
        .map(|p| find(&p.subject, target, subjects, admitted).map(|(k, new)| (p, k, new)))
        .collect::<Result<Vec<_>, S::Error>>()
        .map_err(PrepareError::Subjects)?;
    found.par_sort_unstable_by_key(|(_, known, _)| known.index);
    if let Some(pair) = found.windows(2).find(|w| w[0].1.index == w[1].1.index) {
        return Err(PrepareError::SameIndex(pair[0].1.index));
    }
    let directory = start.elapsed();

    let start = Instant::now();
    let schema_digest = schema.digest();
    let blindings: Vec<RecordBlindings> = found
        .par_iter()
        .map(|(planned, known, _)| {
            let context = BlindingContext {
                chain: &target.chain,
                agency: target.agency.0,
                schema: &schema_digest,
                batch: number,
                index: known.index.as_bytes(),
            };
            RecordBlindings::derive(&known.salt, &context, schema, &planned.record)
        })
        .collect();
    let mut records = Vec::with_capacity(found.len());
    let mut rest = Vec::with_capacity(found.len());
    for (planned, known, new_subject) in found {
        records.push(planned.record);
        rest.push((
            planned.subject,
            planned.period,
            planned.tradelines,
            known,
            new_subject,
        ));
    }
    let (stocks, flows) = commit_records(target.key, &records, &blindings)?;
    let commit = start.elapsed();

    let entries: Vec<PublicEntry> = rest
        .iter()
        .zip(stocks.iter().zip(&flows))
        .map(|((_, period, _, known, _), (stocks, flows))| PublicEntry {
            index: known.index,
            effective_period: *period,
            stocks: *stocks,
            flows: *flows,
            holder_tag: known.holder_tag,
        })
        .collect();
    let start = Instant::now();
    let argument = prove(
        target.key,
        &Statement {
            chain: &target.chain,
            agency: target.agency.0,
            batch: number,
            body: &subjects.body_hash(number, closes, &entries),
            stocks: &stocks,
            flows: &flows,
        },
        &Witness {
            records: &records,
            blindings: &blindings,
        },
        rng,
    )?;
    let prove = start.elapsed();

    let kept = rest
        .into_iter()
        .zip(records.into_iter().zip(blindings))
        .map(
            |((subject, _, tradelines, known, new_subject), (record, blindings))| KeptEntry {
                subject,
                known,
                new_subject,
                record,
                blindings,
                tradelines,
            },
        )
        .collect();
    Ok(PreparedBatch {
        number,
        closes,
        period: target.reported_period,
        entries,
        kept,
        argument,
        timings: Timings {
            directory,
            commit,
            prove,
        },
    })
}

/// A subject's index, salt and tag, and whether it is new with this batch.
fn find<S: Subjects>(
    subject: &SubjectId,
    target: &Target<'_>,
    subjects: &S,
    admitted: &Admitted,
) -> Result<(KnownSubject, bool), S::Error> {
    if let Some(known) = admitted.get(subject) {
        return Ok((known.clone(), false));
    }
    if let Some(known) = subjects.known(subject)? {
        return Ok((known, false));
    }
    let index = target.vrf.index(&vrf_input(&target.chain, subject));
    subjects.admit(subject, index).map(|known| (known, true))
}
