//! `zkbureau card …`: scorecards as files, and on the ledger.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::import::{
    Imported, MAX_IMPORT_BYTES, Mapping, from_pmml, from_scorecardpy,
};
use zkbureau_circuits::scorecard::{Bin, Card, ScoreText, VALUE_BITS, Variable, test_key};
use zkbureau_client::chain::Chain;
use zkbureau_client::nodes::{Nodes, ProvenState};
use zkbureau_client::{files, show};
use zkbureau_ledger::state::CardState;

use super::cli::{CardArgs, CardCommand, FormatArg, OptionalNodeArgs};
use super::nodes::catch_up;
use super::output::{Output, Text};

/// Largest mapping in bytes.
const MAX_MAPPING: usize = 1 << 20;

pub fn run(args: &CardArgs) -> Result<Output> {
    match &args.command {
        CardCommand::Import {
            file,
            map,
            format,
            out,
        } => import(file, map.as_deref(), *format, out),
        CardCommand::Show {
            card,
            genesis,
            nodes,
        } => shown(card, genesis.as_deref(), nodes),
        CardCommand::Register {
            card,
            genesis,
            agency,
            nodes,
        } => register(card, genesis, AgencyId(*agency), &nodes.open()?),
        CardCommand::TestKey { seed, out } => make_test_key(*seed, out),
    }
}

fn import(
    file: &Path,
    map: Option<&Path>,
    format: Option<FormatArg>,
    out: &Path,
) -> Result<Output> {
    let bytes = files::read(file, MAX_IMPORT_BYTES)?;
    let mapping: Mapping = match map {
        None => Mapping::default(),
        Some(path) => {
            let text = String::from_utf8(files::read(path, MAX_MAPPING)?)
                .with_context(|| path.display().to_string())?;
            toml::from_str(&text).with_context(|| path.display().to_string())?
        }
    };
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let format = format.unwrap_or(if first == Some(&b'{') {
        FormatArg::Scorecardpy
    } else {
        FormatArg::Pmml
    });
    let imported = match format {
        FormatArg::Scorecardpy => from_scorecardpy(&bytes, &mapping),
        FormatArg::Pmml => from_pmml(&bytes, &mapping),
    };
    let Imported { card, codes } = imported.with_context(|| file.display().to_string())?;
    files::write_document(out, &card)?;
    let mut body = describe(&card, None);
    body["file"] = json!(out);
    body["codes"] = json!(codes);
    let mut text = explain(&card, None).line(format!("Written to {}.", out.display()));
    if !codes.is_empty() {
        text = text.title("Integers that stand for categories and missing values");
        for (variable, codes) in &codes {
            let codes: Vec<String> = (codes.iter())
                .map(|(category, code)| format!("{} = {code}", show::clean(category)))
                .collect();
            text = text.line(format!("  {}: {}", show::clean(variable), codes.join(", ")));
        }
    }
    Ok(Output::new("card-import", 0, body, text))
}

fn shown(name: &str, genesis: Option<&Path>, nodes: &OptionalNodeArgs) -> Result<Output> {
    let path = Path::new(name);
    let (card, state) = if path.is_file() {
        (files::read_document(path)?, None)
    } else {
        let nodes = nodes.open()?.ok_or_else(|| {
            anyhow!(
                "{name}: no such file; to look for a card on the ledger, name a node with --node"
            )
        })?;
        let genesis = genesis.context("to look for a card on the ledger, name --genesis")?;
        let chain = Chain::from_genesis(files::read_genesis(genesis)?)?;
        let state = nodes.state(&chain)?;
        let found = find(&nodes, &state, name)?
            .ok_or_else(|| anyhow!("no card {name:?} is registered on the ledger"))?;
        (found.card.clone(), Some(found))
    };
    let body = describe(&card, state.as_ref());
    Ok(Output::new("card", 0, body, explain(&card, state.as_ref())))
}

fn register(path: &Path, genesis: &Path, agency: AgencyId, nodes: &Nodes) -> Result<Output> {
    let card: Card = files::read_document(path)?;
    let chain = Chain::from_genesis(files::read_genesis(genesis)?)?;
    catch_up(&chain, nodes)?;
    let consortium = chain.consortium();
    if consortium.agency(agency).is_none() {
        bail!("--agency {}: the ledger has no {agency}", agency.0);
    }
    // The ledger takes a card that fits no schema; nobody could ever ask for its scores.
    let all: Vec<AgencyId> = consortium.agencies.iter().map(|a| a.id).collect();
    let unfit = card.check_schema(&chain.rules().schema, &all).err();
    let state = nodes.register_card(&chain, agency, &card)?;
    let mut body = describe(&card, Some(&state));
    body["fits_all_agencies"] = json!(unfit.is_none());
    let mut text = explain(&card, Some(&state));
    if let Some(unfit) = unfit {
        text = text.line(format!(
            "Over all agencies it does not fit the schema in force: {unfit}"
        ));
    }
    Ok(Output::new("card-register", 0, body, text))
}

fn make_test_key(seed: u64, out: &Path) -> Result<Output> {
    let key = test_key(seed);
    let hash = hex::encode(key.verifying().hash());
    files::replace(out, &key.to_file(), false)?;
    Ok(Output::new(
        "test-key",
        0,
        json!({ "file": out, "hash": hash, "seed": seed, "test": true }),
        Text::new()
            .line(format!(
                "Proving key for tests written to {}.",
                out.display()
            ))
            .line(format!("Content hash {hash}"))
            .line("Whoever knows the seed can forge scores under it: for tests and trials only."),
    ))
}

/// A registered card by its name or content hash.
pub fn find(nodes: &Nodes, state: &ProvenState, name: &str) -> Result<Option<CardState>> {
    let mut hash: Digest32 = [0; 32];
    if hex::decode_to_slice(name, &mut hash).is_ok() {
        let (_, found) = nodes.card(state, &hash)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(nodes.card_named(state, name)?)
}

/// The cards that questions name: those of files, others from the ledger.
pub fn of_questions(
    questions: &[String],
    from_files: Vec<Card>,
    ledger: Option<(&Nodes, &ProvenState)>,
) -> Result<Vec<Card>> {
    let mut cards = from_files;
    for text in questions {
        // What is wrong with a text is told when the request is made.
        let Ok(question) = ScoreText::parse(text) else {
            continue;
        };
        let known = |card: &Card| {
            card.name() == question.card
                || hex::encode(card.content_hash()) == question.card.to_lowercase()
        };
        if cards.iter().any(known) {
            continue;
        }
        if let Some((nodes, state)) = ledger
            && let Some(found) = find(nodes, state, &question.card)?
        {
            cards.push(found.card);
        }
    }
    Ok(cards)
}

fn describe(card: &Card, state: Option<&CardState>) -> Value {
    let mut body = json!({
        "name": card.name(),
        "hash": hex::encode(card.content_hash()),
        "card": card,
        "worst": card.show(card.worst()),
        "best": card.show(card.best()),
    });
    if let Some(state) = state {
        body["registered_by"] = json!(state.agency);
        body["height"] = json!(state.height);
        body["time_ms"] = json!(state.time_ms);
    }
    body
}

fn explain(card: &Card, state: Option<&CardState>) -> Text {
    let mut text = Text::new()
        .line(format!("Card {}", show::clean(card.name())))
        .table(&[
            vec!["content hash".into(), hex::encode(card.content_hash())],
            vec![
                "scores".into(),
                format!(
                    "from {} to {}, base {}",
                    card.show(card.worst()),
                    card.show(card.best()),
                    card.show(card.base())
                ),
            ],
            vec![
                "reasons".into(),
                if card.reasons() {
                    "may be asked for"
                } else {
                    "none"
                }
                .into(),
            ],
            vec![
                "on the ledger".into(),
                state.map_or_else(
                    || "not looked up".into(),
                    |s| format!("by {} in block {}", s.agency, s.height),
                ),
            ],
        ])
        .title("Variables");
    for variable in card.variables() {
        text = text.line(format!(
            "  {}: {}",
            show::clean(&variable.name),
            variable.reference
        ));
        let bins: Vec<Vec<String>> = (variable.bins.iter())
            .map(|bin| {
                vec![
                    String::new(),
                    span(bin, variable),
                    card.show(bin.points),
                    show::clean(&bin.label),
                ]
            })
            .collect();
        text = text.table(&bins);
    }
    text
}

/// The values of a bin. A variable that takes every value of its width has no ends to speak of.
fn span(bin: &Bin, variable: &Variable) -> String {
    let ends = (variable.bins.iter().map(|b| b.from).min())
        .zip(variable.bins.iter().map(|b| b.to).max())
        .filter(|(low, high)| high.abs_diff(*low) == 1 << VALUE_BITS);
    let last = bin.to - 1;
    match ends {
        Some((low, high)) if bin.from == low && bin.to == high => "any".to_owned(),
        Some((low, _)) if bin.from == low => format!("up to {last}"),
        Some((_, high)) if bin.to == high => format!("{} or more", bin.from),
        _ if bin.from == last => last.to_string(),
        _ => format!("{} to {last}", bin.from),
    }
}
