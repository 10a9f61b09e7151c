//! `zkbureau nodes`: what each node proves, and who takes part.

use anyhow::Result;
use serde_json::{Value, json};
use zkbureau_client::chain::Chain;
use zkbureau_client::node::NodeError;
use zkbureau_client::nodes::{Nodes, NodesError, ProvenState};
use zkbureau_client::{files, show, time};
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::ProposalId;
use zkbureau_ledger::state::ProposalState;

use super::cli::NodesArgs;
use super::output::{Output, Text, short};

/// Learns from nodes what has changed since the genesis file: validators, and who takes part.
pub fn catch_up(chain: &Chain, nodes: &Nodes) -> Result<(), NodesError> {
    let state = nodes.state(chain)?;
    nodes.consortium(chain, &state)?;
    Ok(())
}

type Open = Vec<(ProposalId, ProposalState)>;

fn open_proposals(nodes: &Nodes, state: &ProvenState) -> Result<Open, NodesError> {
    let mut found = Vec::new();
    let (_, list) = nodes.open_proposals(state)?;
    for open in list.0.iter().take(MAX_PROPOSALS) {
        if let (_, Some(proposal)) = nodes.proposal(state, open.id)? {
            found.push((open.id, proposal));
        }
    }
    Ok(found)
}

/// Most open proposals that are shown.
const MAX_PROPOSALS: usize = 50;

pub fn run(args: &NodesArgs) -> Result<Output> {
    let chain = Chain::from_genesis(files::read_genesis(&args.genesis)?)?;
    let nodes = args.nodes.open()?;
    let sightings = nodes.survey(&chain);
    let now = time::now();
    let state = nodes.state(&chain).and_then(|state| {
        let (_, consortium) = nodes.consortium(&chain, &state)?;
        let open = open_proposals(&nodes, &state);
        Ok((state, consortium, open))
    });

    let mut rows = vec![
        ["node", "block", "time", "age", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut body = Vec::new();
    for sighting in &sightings {
        let url = &sighting.url;
        match &sighting.header {
            Ok(header) => {
                let age = header.age_ms(now);
                rows.push(vec![
                    url.clone(),
                    show::amount(header.height().0.into()),
                    time::show(header.time_ms()),
                    time::show_span(age),
                    "verified".into(),
                ]);
                body.push(json!({
                    "url": url,
                    "height": header.height(),
                    "time_ms": header.time_ms(),
                    "header": hex::encode(header.hash()),
                    "verified": true,
                }));
            }
            Err(error) => {
                let none = String::new;
                rows.push(vec![url.clone(), none(), none(), none(), error.to_string()]);
                body.push(json!({ "url": url, "verified": false, "reason": error.to_string() }));
            }
        }
    }
    let lie = |error: &NodeError| error.is_lie();
    let lies = (sightings.iter()).any(|s| s.header.as_ref().err().is_some_and(lie));
    let mut text = Text::new().table(&rows);
    let mut proposals = Value::Null;
    let (code, at, consortium) = match &state {
        Err(error) => {
            text = text
                .title("No newest state")
                .line(format!("  {}", error.line()));
            let invalid = lies || error.is_invalid();
            (if invalid { 20 } else { 30 }, Value::Null, Value::Null)
        }
        Ok((state, consortium, open)) => {
            text = participants(text, state.height().0, consortium);
            match open {
                Ok(open) => {
                    text = votes(text, open);
                    proposals = (open.iter())
                        .map(|(id, proposal)| json!({ "id": id, "state": proposal }))
                        .collect();
                }
                Err(error) => {
                    text = text
                        .title("Open proposals")
                        .line(format!("  {}", error.line()));
                    proposals = Value::Null;
                }
            }
            let code = if lies { 20 } else { 0 };
            (code, json!(state.height()), json!(consortium))
        }
    };
    Ok(Output::new(
        "nodes",
        code,
        json!({
            "chain": chain.id(),
            "nodes": body,
            "height": at,
            "consortium": consortium,
            "open_proposals": proposals,
            "validator_changes": chain.changes().len(),
        }),
        text,
    ))
}

fn participants(text: Text, height: u64, consortium: &Consortium) -> Text {
    let power = |id| {
        (consortium.validators.iter())
            .find(|seat| seat.agency == id)
            .map_or_else(
                || "no seat".to_owned(),
                |seat| format!("power {}", seat.power),
            )
    };
    let agencies: Vec<Vec<String>> = (consortium.agencies.iter())
        .map(|a| {
            let key = a.validator_key.to_string();
            vec![
                a.id.to_string(),
                show::clean(&a.name),
                power(a.id),
                format!("key {}…", short(&key)),
            ]
        })
        .collect();
    let others = (consortium
        .issuers
        .iter()
        .map(|i| (i.id.to_string(), &i.name, &i.key)))
    .chain(
        consortium
            .auditors
            .iter()
            .map(|a| (a.id.to_string(), &a.name, &a.key)),
    )
    .map(|(id, name, key)| {
        vec![
            id,
            show::clean(name),
            format!("key {}…", short(&key.to_string())),
        ]
    })
    .collect::<Vec<_>>();
    text.title(&format!(
        "Agencies at block {height}, schema version {}",
        consortium.schema_version
    ))
    .table(&agencies)
    .title("Identity issuers and auditors")
    .table(&others)
}

fn votes(text: Text, open: &[(ProposalId, ProposalState)]) -> Text {
    if open.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = (open.iter())
        .map(|(id, state)| {
            let by: Vec<String> = state.ballots.iter().map(|b| b.agency.to_string()).collect();
            vec![
                short(&id.to_string()).to_owned(),
                show::clean(&state.proposal.title),
                format!("until {}", time::show_day(state.proposal.expires)),
                format!("votes: {}", by.join(", ")),
            ]
        })
        .collect();
    text.title("Open proposals").table(&rows)
}
