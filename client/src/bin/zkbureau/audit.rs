//! `zkbureau audit`.

use anyhow::Result;
use rand_core::OsRng;
use serde_json::{Value, json};
use zkbureau_client::audit::{self, Audit, Figure, Options};
use zkbureau_client::borrower::Failure;
use zkbureau_client::chain::Chain;
use zkbureau_client::{files, show, time};

use super::cli::AuditArgs;
use super::output::{Output, Text, short};

pub fn run(args: &AuditArgs) -> Result<Output> {
    let chain = Chain::from_genesis(files::read_genesis(&args.genesis)?)?;
    let key = files::read_signing_key(&args.auditor)?;
    let nodes = args.nodes.open()?;
    let options = Options {
        period: args.period,
        attributes: args.attributes.clone(),
        agencies: args.agencies.0.clone(),
    };
    let audit = audit::audit(&chain, &nodes, &key, &options, &mut OsRng)?;
    let failures = || audit.parts.iter().filter_map(|p| p.result.as_ref().err());
    let code = if failures().any(|f| matches!(f, Failure::Invalid(_))) {
        20
    } else if failures().any(|f| *f == Failure::Refused) {
        21
    } else if failures().next().is_some() {
        30
    } else {
        0
    };
    Ok(Output::new("audit", code, body(&audit), text(&audit)))
}

fn body(audit: &Audit) -> Value {
    let agencies: Vec<Value> = (audit.parts.iter())
        .map(|part| match &part.result {
            Ok(figures) => json!(figures),
            Err(failure) => {
                json!({ "id": part.id, "name": part.name, "error": failure.to_string() })
            }
        })
        .collect();
    json!({
        "audit": audit.id,
        "height": audit.height,
        "time_ms": audit.time_ms,
        "period": audit.period,
        "agencies": agencies,
        "totals": audit.totals,
    })
}

fn text(audit: &Audit) -> Text {
    let mut rows = vec![
        [
            "agency",
            "people",
            "attribute",
            "total",
            "mean per person",
            "",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let row = |who: String, leaves: u64, figure: &Figure| {
        vec![
            who,
            show::amount(leaves.into()),
            figure.attribute.clone(),
            show::amount(figure.total),
            figure.mean.clone().unwrap_or_default(),
            figure.unit.clone(),
        ]
    };
    let mut people = 0;
    let mut problems = Vec::new();
    for part in &audit.parts {
        match &part.result {
            Ok(figures) => {
                people += figures.leaves;
                let name = format!("{} {}", part.id.0, part.name);
                rows.extend((figures.figures.iter()).map(|f| row(name.clone(), figures.leaves, f)));
            }
            Err(failure) => problems.push(format!("{} {}: {failure}", part.id.0, part.name)),
        }
    }
    rows.extend((audit.totals.iter()).map(|f| row("all".into(), people, f)));
    let id = audit.id.to_string();
    let mut text = Text::new()
        .line(format!(
            "Audit {} of {}, opened at block {}, {}",
            short(&id),
            audit.period,
            audit.height,
            time::show(audit.time_ms)
        ))
        .line("")
        .table(&rows);
    if !problems.is_empty() {
        text = text.title("Not opened").list(problems);
    }
    text.line("").line(
        "Each total is proven against the agency's column on the ledger. People with records at \
         several agencies count at each.",
    )
}
