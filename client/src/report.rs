//! "My report": what every agency has published about the person, opened and checked against the
//! ledger entry by entry.

use std::sync::Arc;

use rand_core::{CryptoRng, RngCore};
use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::commitment::Opening;
use zkbureau_circuits::directory::vrf_input;
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::log::LogEntry;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::document::ask::AskBody;
use zkbureau_ledger::document::report::{AgencyReport, EntryOpening};
use zkbureau_ledger::genesis::Agency;
use zkbureau_ledger::ids::{Height, TimeMs};
use zkbureau_ledger::light::{TrustedHeader, TrustedRoots};
use zkbureau_ledger::state::Leaf;

use crate::borrower::{BorrowerError, Failure, ask_agencies};
use crate::chain::Rules;
use crate::evidence::check_certificate;
use crate::nodes::Nodes;
use crate::wallet::Wallet;

/// An agency's node may be this far behind the newest block, in header time.
const LAG_MS: u64 = 60_000;

/// One published report, opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The month it is about.
    pub effective_period: Period,
    /// The month in which it was published.
    pub reported_period: Period,
    /// Real values: attribute and value, `present` left out.
    pub values: Vec<Value>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Attribute.
    pub attribute: String,
    /// In the attribute's unit.
    pub value: i64,
}

/// What one agency has published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgencyRecord {
    /// The agency.
    pub id: AgencyId,
    /// Its name.
    pub name: String,
    /// Height of the state it was checked against.
    pub height: Height,
    /// Time of that state.
    pub time_ms: TimeMs,
    /// Every report, oldest first; empty without a record.
    pub entries: Vec<Entry>,
}

/// One agency's part of the report: its record, or why there is none.
#[derive(Clone, Debug)]
pub struct Part {
    /// The agency.
    pub id: AgencyId,
    /// Its name.
    pub name: String,
    /// The record.
    pub result: Result<AgencyRecord, Failure>,
}

/// An agency's report contradicts the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReportError {
    /// It is another agency's.
    #[error("it is another agency's")]
    Agency,
    /// Its header or roots.
    #[error("its header is not one of this chain")]
    Header,
    /// The header is much older than the one the wallet saw.
    #[error("its header is old")]
    Stale,
    /// The directory.
    #[error("its directory proof does not verify")]
    Directory,
    /// The log.
    #[error("its log is not the whole log of the leaf")]
    Log,
    /// The openings.
    #[error("its values are not those that it has published")]
    Openings,
}

/// Fetches the person's own records from all agencies and checks them.
///
/// # Errors
/// [`BorrowerError`]; what is wrong with one agency stands in its [`Part`].
pub fn report<R: RngCore + CryptoRng>(
    wallet: &Wallet,
    nodes: &Nodes,
    now: TimeMs,
    rng: &mut R,
) -> Result<Vec<Part>, BorrowerError> {
    let identity = wallet.identity(now)?;
    let state = nodes.state(wallet.chain())?;
    let (_, consortium) = nodes.consortium(wallet.chain(), &state)?;
    check_certificate(
        &identity.certificate,
        &wallet.chain_id(),
        &consortium,
        state.header.time_ms().day(),
    )?;
    let agencies: Vec<AgencyId> = consortium.agencies.iter().map(|a| a.id).collect();
    let replies = ask_agencies::<AgencyReport, _>(
        nodes,
        &wallet.chain_id(),
        &consortium,
        &agencies,
        &identity,
        &AskBody::Report,
        wallet.key(),
        now,
        rng,
    );
    Ok(consortium
        .agencies
        .iter()
        .zip(replies)
        .map(|(agency, reply)| Part {
            id: agency.id,
            name: agency.name.clone(),
            result: reply.result.and_then(|report| {
                check_report(wallet, nodes, agency, &state.header, &report)
                    .map_err(|error| Failure::invalid(error.phrase()))
            }),
        })
        .collect())
}

impl ReportError {
    /// A phrase for lists.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Agency => "it is another agency's",
            Self::Header => "its header is not one of this chain",
            Self::Stale => "its header is old",
            Self::Directory => "its directory proof does not verify",
            Self::Log => "its log is not the whole log of the leaf",
            Self::Openings => "its values are not those that it has published",
        }
    }
}

/// Checks one agency's report: directory, whole log, and that every opening opens what the log holds.
///
/// # Errors
/// [`ReportError`].
pub fn check_report(
    wallet: &Wallet,
    nodes: &Nodes,
    agency: &Agency,
    newest: &TrustedHeader,
    report: &AgencyReport,
) -> Result<AgencyRecord, ReportError> {
    let chain = wallet.chain();
    if report.agency != agency.id {
        return Err(ReportError::Agency);
    }
    let header = nodes
        .verify_header(chain, &report.header)
        .map_err(|_| ReportError::Header)?;
    if header.time_ms().0.saturating_add(LAG_MS) < newest.time_ms().0 {
        return Err(ReportError::Stale);
    }
    let roots = header
        .roots(&report.roots)
        .map_err(|_| ReportError::Header)?;
    let leaf = directory(wallet, agency, &roots, report)?;
    let entries = match (leaf, &report.log) {
        (None, None) if report.openings.is_empty() => Vec::new(),
        (Some(leaf), Some(log)) => {
            log.check(&leaf).map_err(|_| ReportError::Log)?;
            if !log.from_start() || latest(&log.entries) != Some(leaf.stocks) {
                return Err(ReportError::Log);
            }
            entries(&chain.all_rules(), &log.entries, &report.openings)?
        }
        _ => return Err(ReportError::Log),
    };
    Ok(AgencyRecord {
        id: agency.id,
        name: agency.name.clone(),
        height: header.height(),
        time_ms: header.time_ms(),
        entries,
    })
}

fn directory(
    wallet: &Wallet,
    agency: &Agency,
    roots: &TrustedRoots,
    report: &AgencyReport,
) -> Result<Option<Leaf>, ReportError> {
    let keys = [agency.vrf_key];
    if report.directory.len() != keys.len() {
        return Err(ReportError::Directory);
    }
    let input = vrf_input(wallet.chain_id().as_bytes(), wallet.person());
    let mut leaf = None;
    for (key, entry) in keys.iter().zip(&report.directory) {
        let index = key
            .verify(&input, &entry.vrf)
            .map_err(|_| ReportError::Directory)?;
        let found = roots
            .leaf(agency.id, &index, &entry.leaf)
            .map_err(|_| ReportError::Directory)?;
        if found.is_some() && leaf.is_some() {
            return Err(ReportError::Directory);
        }
        leaf = leaf.or(found);
    }
    Ok(leaf)
}

/// The stocks that a leaf has after these entries: a late report does not replace a newer one.
fn latest(log: &[LogEntry]) -> Option<PointBytes> {
    let mut latest: Option<&LogEntry> = None;
    for entry in log {
        if latest.is_none_or(|l| entry.effective_period >= l.effective_period) {
            latest = Some(entry);
        }
    }
    latest.map(|entry| entry.stocks)
}

fn entries(
    rules: &[Arc<Rules>],
    log: &[LogEntry],
    openings: &[EntryOpening],
) -> Result<Vec<Entry>, ReportError> {
    if log.len() != openings.len() {
        return Err(ReportError::Openings);
    }
    log.iter()
        .zip(openings)
        .map(|(entry, opening)| {
            let stocks = opened(rules, Class::Stock, &opening.stocks, &entry.stocks)?;
            let flows = opened(rules, Class::Flow, &opening.flows, &entry.flows)?;
            let mut values: Vec<(usize, Value)> = stocks.into_iter().chain(flows).collect();
            values.sort_by_key(|(position, _)| *position);
            Ok(Entry {
                effective_period: entry.effective_period,
                reported_period: entry.reported_period,
                values: values.into_iter().map(|(_, value)| value).collect(),
            })
        })
        .collect()
}

/// The real values behind a commitment, `present` left out, with their positions in the schema.
fn opened(
    rules: &[Arc<Rules>],
    class: Class,
    opening: &Opening,
    commitment: &PointBytes,
) -> Result<Vec<(usize, Value)>, ReportError> {
    let wrong = || ReportError::Openings;
    // Under the schema of the entry's time or a later one: the commitment is the same.
    let opens = |rules: &&Arc<Rules>| {
        let point = rules.key.commit(class, opening);
        point.is_ok_and(|point| PointBytes::from(point) == *commitment)
    };
    let schema = &rules.iter().find(opens).ok_or_else(wrong)?.schema;
    schema
        .positions(class)
        .zip(opening.encoded())
        .filter(|(position, _)| *position != 0)
        .map(|(position, x)| {
            let attribute = &schema.attributes()[position];
            let value = i64::try_from(*x)
                .ok()
                .and_then(|x| attribute.min.checked_add(x))
                .filter(|value| *value <= attribute.max)
                .ok_or_else(wrong)?;
            Ok((
                position,
                Value {
                    attribute: attribute.name.clone(),
                    value,
                },
            ))
        })
        .collect()
}
