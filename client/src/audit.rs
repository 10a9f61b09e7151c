//! A regulator: asks on the ledger for totals, fetches the openings and checks each against the
//! agency's column at the audit's height.

use rand_core::{CryptoRng, RngCore};
use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::audit::{ColumnStatement, verify};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Class, Schema};
use zkbureau_ledger::document::audit::{AUDIT_SEAL, AuditAnswer, AuditAsk, audit_context};
use zkbureau_ledger::document::sealed::SealingSecretKey;
use zkbureau_ledger::ids::{AuditId, Height, TimeMs};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::state::Column;
use zkbureau_ledger::transaction::AuditRequest;

use crate::borrower::Failure;
use crate::chain::{Chain, Rules};
use crate::node::NodeError;
use crate::nodes::{Nodes, NodesError, Submission};
use crate::show;

/// An audit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The nodes, or the ledger's refusal.
    #[error(transparent)]
    Nodes(#[from] NodesError),
    /// The key is no auditor's.
    #[error("this key is not that of an auditor on the ledger")]
    NotAnAuditor,
    /// No such attribute.
    #[error("unknown attribute `{name}`; the schema has: {known}")]
    Attribute {
        /// The name given.
        name: String,
        /// What there is.
        known: String,
    },
    /// Nothing to ask for.
    #[error("name at least one attribute")]
    NoAttribute,
    /// The schema at the audit's block was not proven.
    #[error("the ledger's schema at the audit's block is not known")]
    Schema,
    /// No such agency.
    #[error("agencies: the chain has no {0}")]
    Agency(AgencyId),
}

/// One attribute's total at one agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// Attribute.
    pub attribute: String,
    /// Its unit.
    pub unit: String,
    /// The total over all leaves (stocks) or all reports ever (flows), in the unit. A string in JSON,
    /// as it may leave the numbers that JSON readers keep exactly.
    #[serde(serialize_with = "as_string")]
    pub total: i128,
    /// Per leaf, to two decimals.
    pub mean: Option<String>,
}

fn as_string<S: serde::Serializer>(total: &i128, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(total)
}

/// One agency's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgencyFigures {
    /// The agency.
    pub id: AgencyId,
    /// Its name.
    pub name: String,
    /// People with a record there.
    pub leaves: u64,
    /// The figures, in the order of the schema.
    pub figures: Vec<Figure>,
}

/// One agency's part of an audit.
#[derive(Clone, Debug)]
pub struct Part {
    /// The agency.
    pub id: AgencyId,
    /// Its name.
    pub name: String,
    /// Its figures, or why there are none.
    pub result: Result<AgencyFigures, Failure>,
}

/// An audit, verified.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Identifier on the ledger.
    pub id: AuditId,
    /// Height of the columns that were opened.
    pub height: Height,
    /// Time of that block.
    pub time_ms: TimeMs,
    /// The period.
    pub period: Period,
    /// Per agency.
    pub parts: Vec<Part>,
    /// Over all agencies, if all answered: attributes whose values add up.
    pub totals: Vec<Figure>,
}

/// What to audit.
#[derive(Clone, Debug)]
pub struct Options {
    /// The period, which must be the columns'.
    pub period: Period,
    /// Attributes by name.
    pub attributes: Vec<String>,
    /// Agencies; all if `None`.
    pub agencies: Option<Vec<AgencyId>>,
}

/// Audits totals.
///
/// # Errors
/// [`AuditError`]; what is wrong with one agency stands in its [`Part`].
pub fn audit<R: RngCore + CryptoRng>(
    chain: &Chain,
    nodes: &Nodes,
    key: &SecretKey,
    options: &Options,
    rng: &mut R,
) -> Result<Audit, AuditError> {
    let mut attributes = options.attributes.clone();
    attributes.sort_unstable();
    attributes.dedup();
    let state = nodes.state(chain)?;
    let (_, consortium) = nodes.consortium(chain, &state)?;
    let positions = positions(&chain.rules().schema, &attributes)?;
    let auditor = (consortium.auditors.iter())
        .find(|a| a.key == key.public())
        .ok_or(AuditError::NotAnAuditor)?;
    let mut agencies = (options.agencies.clone())
        .unwrap_or_else(|| consortium.agencies.iter().map(|a| a.id).collect());
    agencies.sort_unstable();
    agencies.dedup();
    if let Some(missing) = (agencies.iter()).find(|id| consortium.agency(**id).is_none()) {
        return Err(AuditError::Agency(*missing));
    }
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let request = AuditRequest::sign(
        &chain.id(),
        auditor.id,
        nonce,
        agencies.clone(),
        attributes,
        options.period,
        key,
    );
    let id = request.id();
    let height = nodes.settle_one(chain, Submission::Audit(request))?;
    let state = nodes.state_at(chain, height)?;
    let (_, then) = nodes.consortium(chain, &state)?;
    let rules = (chain.rules_of(&then.schema)).ok_or(AuditError::Schema)?;
    let (_, columns) = nodes.columns(&state)?;

    let parts: Vec<Part> = std::thread::scope(|scope| {
        let running: Vec<_> = (agencies.iter())
            .map(|agency| {
                let reply = SealingSecretKey::random(rng);
                let ask = AuditAsk::new(chain.id(), *agency, id, reply.public(), key);
                scope.spawn(move || fetch(nodes, &ask, &reply))
            })
            .collect();
        (running.into_iter().zip(&agencies))
            .map(|(thread, agency)| {
                let name =
                    (consortium.agency(*agency)).map_or_else(String::new, |a| a.name.clone());
                let result = thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure::Unavailable("internal error".into())))
                    .and_then(|answer| {
                        let column = columns
                            .get(*agency)
                            .ok_or(Failure::invalid("it has no column"))?;
                        check_answer(
                            chain, &rules, &id, *agency, height, column, &positions, &answer,
                        )
                    })
                    .map(|figures| AgencyFigures {
                        id: *agency,
                        name: name.clone(),
                        leaves: columns.get(*agency).map_or(0, |c| c.leaves),
                        figures,
                    });
                Part {
                    id: *agency,
                    name,
                    result,
                }
            })
            .collect()
    });
    Ok(Audit {
        id,
        height,
        time_ms: state.header.time_ms(),
        period: options.period,
        totals: totals(&rules.schema, &parts),
        parts,
    })
}

fn positions(schema: &Schema, attributes: &[String]) -> Result<Vec<usize>, AuditError> {
    if attributes.is_empty() {
        return Err(AuditError::NoAttribute);
    }
    let mut positions = attributes
        .iter()
        .map(|name| {
            (schema
                .find(name)
                .map(|(position, _)| position)
                .filter(|p| *p != 0))
            .ok_or_else(|| {
                let known: Vec<&str> = schema.attributes()[1..]
                    .iter()
                    .map(|a| a.name.as_str())
                    .collect();
                AuditError::Attribute {
                    name: name.clone(),
                    known: known.join(", "),
                }
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    Ok(positions)
}

fn fetch(nodes: &Nodes, ask: &AuditAsk, reply: &SealingSecretKey) -> Result<AuditAnswer, Failure> {
    let context = ask.digest();
    nodes
        .through("reply", |node, within| {
            let sealed = node.audit(ask, within)?;
            let bytes = (sealed.open(reply, AUDIT_SEAL, &context)).map_err(|_| NodeError::Reply)?;
            AuditAnswer::from_bytes(&bytes).map_err(|_| NodeError::Reply)
        })
        .map_err(Failure::from)
}

/// Checks one agency's openings against its column: exactly the attributes asked, each proven.
///
/// # Errors
/// [`Failure::Invalid`].
#[allow(clippy::too_many_arguments)]
pub fn check_answer(
    chain: &Chain,
    rules: &Rules,
    audit: &AuditId,
    agency: AgencyId,
    height: Height,
    column: &Column,
    positions: &[usize],
    answer: &AuditAnswer,
) -> Result<Vec<Figure>, Failure> {
    if answer.agency != agency || answer.audit != *audit {
        return Err(Failure::invalid("it is about another audit"));
    }
    let schema = &rules.schema;
    let mut opened = Vec::new();
    for (expected, class) in [(false, Class::Stock), (true, Class::Flow)] {
        let wanted: Vec<usize> = (positions.iter().copied())
            .filter(|p| schema.attributes()[*p].class == class)
            .collect();
        let mut given = answer.columns.iter().filter(|c| c.flows == expected);
        if wanted.is_empty() {
            if given.next().is_some() {
                return Err(Failure::invalid("it opens more than was asked"));
            }
            continue;
        }
        let (Some(column_answer), None) = (given.next(), given.next()) else {
            return Err(Failure::invalid("it does not open what was asked"));
        };
        let same = (column_answer.totals.iter().map(|t| t.attribute as usize)).eq(wanted);
        if !same {
            return Err(Failure::invalid("it does not open what was asked"));
        }
        let statement = ColumnStatement {
            context: audit_context(&chain.id(), audit, agency, height),
            key: &rules.key,
            class,
            column: match class {
                Class::Stock => column.stocks,
                Class::Flow => column.flows,
            },
            leaves: column.leaves,
            totals: &column_answer.totals,
        };
        verify(&statement, &column_answer.proof)
            .map_err(|_| Failure::invalid("the proof of its totals"))?;
        opened.extend(column_answer.totals.iter().cloned());
    }
    opened.sort_by_key(|t| t.attribute);
    Ok(opened
        .into_iter()
        .map(|total| {
            let attribute = &schema.attributes()[total.attribute as usize];
            Figure {
                attribute: attribute.name.clone(),
                unit: attribute.unit.clone(),
                mean: show::mean(total.value, column.leaves),
                total: total.value,
            }
        })
        .collect())
}

/// Sums over agencies, where all answered and the values add up.
fn totals(schema: &Schema, parts: &[Part]) -> Vec<Figure> {
    let all: Option<Vec<&AgencyFigures>> = parts.iter().map(|p| p.result.as_ref().ok()).collect();
    let Some(all) = all else { return Vec::new() };
    let Some(first) = all.first() else {
        return Vec::new();
    };
    let leaves = all.iter().map(|a| a.leaves).sum();
    (first.figures.iter().enumerate())
        .filter(|(_, figure)| {
            (schema.find(&figure.attribute))
                .is_some_and(|(_, attribute)| attribute.aggregate.is_additive())
        })
        .map(|(i, figure)| {
            let total = all.iter().map(|a| a.figures[i].total).sum();
            Figure {
                mean: show::mean(total, leaves),
                total,
                ..figure.clone()
            }
        })
        .collect()
}
