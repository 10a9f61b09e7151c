//! The card data, all the way: published by the commands, asked about by lenders, answered by
//! wallets over HTTP, verified from the genesis file alone, and compared with plain integer
//! arithmetic on the CSV files.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod plain;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use plain::draw::{Bound, Drawn, KINDS, Kind, question};
use plain::{
    ATTRIBUTES, BALANCE, Expected, FIRST_FLOW, Person, Question, Relation, month, month_text,
};
use rand_core::OsRng;
use support::people::Random;
use support::{Net, assert_success, binary};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::{HitPolicy, Side, Verdict};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_client::audit::{self, audit};
use zkbureau_client::borrower::{AnswerOptions, ConsentOptions, answer, consent};
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{
    LenderKeys, read_document, read_genesis, read_signing_key, write_document,
};
use zkbureau_client::lender::{Ask, DEFAULT_MAX_AGE_MS, Verification, make_request, verify};
use zkbureau_client::nodes::Nodes;
use zkbureau_client::time::now;
use zkbureau_client::wallet::{Cost, Wallet};
use zkbureau_ledger::document::answer::FactAnswer;
use zkbureau_ledger::document::enrolment::EnrolmentCertificate;
use zkbureau_ledger::document::request::{FactRequest, InquiryType};
use zkbureau_ledger::ids::{DAY_MS, Day, IssuerId, TimeMs};
use zkbureau_ledger::keys::SecretKey;

const AGENCIES: u32 = 4;
const MONTHS: [i32; 6] = [
    month(2005, 4),
    month(2005, 5),
    month(2005, 6),
    month(2005, 7),
    month(2005, 8),
    month(2005, 9),
];
const ASKED: usize = 1000;
/// Of those asked, enrolled by the command; the others by the same key without a process each.
const BY_COMMAND: usize = 10;
const SEED: u64 = 200_509;
/// Wallets at work at once.
const THREADS: usize = 4;
/// What a wallet's passphrase costs here: the least that is allowed.
const CHEAP: Cost = Cost {
    memory_kib: 8,
    passes: 1,
};

#[test]
fn a_thousand_people_are_answered_as_plain_arithmetic_says() {
    let mut clock = Phases::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/uci_taiwan_default");
    let schema = fs::read_to_string(source.join("schema.toml")).unwrap();
    let map = fs::read_to_string(source.join("map.toml")).unwrap();
    let net = Net::with(AGENCIES, &schema, &map);
    let files = net.file("csv");
    let prepared = Command::new("python3")
        .arg(source.join("prepare.py"))
        .arg(&files)
        .output()
        .unwrap();
    assert_success(&prepared);
    let people = plain::read(&files, AGENCIES, &MONTHS);
    check_counts(&people);
    clock.done("prepare and read");

    let node = net.start();
    publish(&net, &files, &people);
    clock.done("publish 24 files");

    let bench = Bench::new(&net, &node.url);
    let answered = ask_everybody(&bench, &people);
    clock.done("ask 1,000 people");
    check_variety(&answered);

    check_audit(&bench, &people);
    clock.done("audit");

    let vaults = net.verify();
    for vault in vaults["vaults"].as_array().unwrap() {
        assert_eq!(
            (&vault["clean"], &vault["differences"]),
            (&true.into(), &0.into())
        );
    }
    assert_eq!(
        vaults["vaults"].as_array().unwrap().len(),
        AGENCIES as usize
    );
    clock.done("verify vaults");
    assert!(node.stop().success());
    clock.done("stop");
}

/// The published figures of the data set, as the CSV files have them.
fn check_counts(people: &BTreeMap<String, Person>) {
    assert_eq!(people.len(), 15_000);
    let at = |count: usize| people.values().filter(|p| p.len() == count).count();
    assert_eq!([at(1), at(2), at(3), at(4)], [10_074, 1_648, 2_804, 474]);
    assert_eq!(people.values().map(Person::len).sum::<usize>(), 23_678);
    let records = people.values().flat_map(Person::values).map(BTreeMap::len);
    assert_eq!(records.sum::<usize>(), 142_068);
}

/// Imports month by month and compares what the command says with the files.
fn publish(net: &Net, files: &Path, people: &BTreeMap<String, Person>) {
    let mut records = 0;
    for period in MONTHS {
        for agency in 1..=AGENCIES {
            let name = format!("agency-{agency}-{}.csv", month_text(period));
            let result = net.import(agency, &files.join(&name), &month_text(period));
            let holders = people.values().filter(|p| p.contains_key(&agency)).count();
            let published = &result["published"];
            assert_eq!(published["records"], holders, "{name}");
            let new = if period == MONTHS[0] { holders } else { 0 };
            assert_eq!(published["new_leaves"], new, "{name}");
            assert_eq!(result["report"]["reject_count"], 0, "{name}");
            records += published["records"].as_u64().unwrap();
        }
    }
    assert_eq!(records, 142_068);
    let status = net.status();
    let agencies = status["agencies"].as_array().unwrap();
    let sum = |field: &str| {
        agencies
            .iter()
            .map(|a| a[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((sum("records"), sum("leaves")), (142_068, 23_678));
    for agency in agencies {
        assert_eq!(agency["period"], "2005-09");
    }
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
}

/// One person's question and what came of it.
struct Outcome {
    records: usize,
    question: Question,
    drawn: Vec<Drawn>,
    expected: Vec<Expected>,
}

impl Bench {
    fn new(net: &Net, url: &str) -> Self {
        let folder = net.file("wallets");
        fs::create_dir(&folder).unwrap();
        let data = net.data();
        Self {
            url: url.to_owned(),
            folder,
            issuer: read_signing_key(&data.join("issuer.key")).unwrap(),
            chain: Chain::from_genesis(read_genesis(&data.join("genesis.json")).unwrap()).unwrap(),
            lender: LenderKeys::random(&mut OsRng),
            data,
        }
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}.{kind}"))
    }

    /// A wallet with a certificate.
    fn enrol(&self, name: &str, by_command: bool) -> Wallet {
        let genesis = read_genesis(&self.data.join("genesis.json")).unwrap();
        let subject = SubjectId::new("person", name).unwrap();
        let path = self.file(name, "wallet");
        let mut wallet =
            Wallet::create(&path, b"test", CHEAP, genesis, subject, &mut OsRng).unwrap();
        let request = wallet.enrolment_request();
        let certificate: EnrolmentCertificate = if by_command {
            let (asked, made) = (self.file(name, "enrol"), self.file(name, "certificate"));
            write_document(&asked, &request).unwrap();
            let output = binary()
                .arg("enrol")
                .arg(&asked)
                .arg("--data")
                .arg(&self.data)
                .arg("--out")
                .arg(&made)
                .output()
                .unwrap();
            assert_success(&output);
            read_document(&made).unwrap()
        } else {
            let expiry = Day(now().day().0 + 30);
            EnrolmentCertificate::issue(&request, IssuerId(1), expiry, &self.issuer)
        };
        wallet.store_certificate(certificate, now()).unwrap();
        wallet
    }

    /// Request, consent, inquiry, asks, answer, verification: each side with what it has.
    fn ask(&self, name: &str, asked: &Question, by_command: bool) -> Result<Verification, String> {
        let subject = SubjectId::new("person", name).unwrap();
        let facts: Vec<String> = asked.facts.iter().map(plain::Fact::text).collect();
        let ask = Ask {
            lender_name: "First Bank".into(),
            purpose: "credit line".into(),
            inquiry_type: InquiryType::Hard,
            subject: &subject,
            facts: &facts,
            scores: &[],
            cards: &[],
            agencies: Some(asked.agencies.iter().map(|id| AgencyId(*id)).collect()),
            as_of: period(asked.as_of),
            hit_policy: if asked.no_record_is_zero {
                HitPolicy::Zero
            } else {
                HitPolicy::NoHit
            },
            expires: TimeMs(now().0 + DAY_MS),
        };
        let request = make_request(&self.chain, &self.lender, ask, now(), &mut OsRng)
            .map_err(|e| format!("request: {e}"))?;
        let request = request.to_bytes();

        let (request, answer) = {
            let request = FactRequest::from_bytes(&request).unwrap();
            let node = Nodes::new(&[&self.url]).unwrap();
            let mut wallet = self.enrol(name, by_command);
            let options = ConsentOptions {
                uses: 1,
                days: 1,
                templates: Vec::new(),
                earliest: None,
                frequency_per_day: None,
            };
            consent(&mut wallet, &node, &request, &options, now(), &mut OsRng)
                .map_err(|e| format!("consent: {e}"))?;
            let options = AnswerOptions::default();
            let answered = answer(&mut wallet, &node, &request, &options, now(), &mut OsRng)
                .map_err(|e| format!("answer: {e}"))?;
            if !answered.missing.is_empty() {
                return Err(format!("missing: {:?}", answered.missing));
            }
            (request, answered.answer.to_bytes())
        };

        let answer = FactAnswer::from_bytes(&answer).unwrap();
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

/// Draws the people and their questions, asks them all and compares every verdict.
fn ask_everybody(bench: &Bench, people: &BTreeMap<String, Person>) -> Vec<Outcome> {
    let mut random = Random(SEED);
    let mut names: Vec<&String> = people.keys().collect();
    // The beginning of a shuffle: everybody at most once.
    for i in 0..ASKED {
        let other = i + random.below((names.len() - i) as u64) as usize;
        names.swap(i, other);
    }
    let asked: Vec<(&String, Outcome)> = (names[..ASKED].iter())
        .map(|name| {
            let person = &people[*name];
            let (question, drawn) = question(&mut random, person, &MONTHS);
            let outcome = Outcome {
                records: person.len(),
                expected: (question.facts.iter())
                    .map(|fact| question.expected(fact, person))
                    .collect(),
                question,
                drawn,
            };
            (*name, outcome)
        })
        .collect();

    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some((name, outcome)) = asked.get(i) else {
                        break;
                    };
                    let found = match bench.ask(name, &outcome.question, i < BY_COMMAND) {
                        Ok(verification) => compare(&verification, outcome, &people[*name]),
                        Err(error) => vec![error],
                    };
                    if !found.is_empty() {
                        let question = describe(&outcome.question);
                        let mut wrong = wrong.lock().unwrap();
                        wrong.push(format!("{name}, {question}: {}", found.join("; ")));
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
    asked.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Everything in which a verification differs from the files.
fn compare(verification: &Verification, outcome: &Outcome, person: &Person) -> Vec<String> {
    let asked = &outcome.question;
    let mut wrong = Vec::new();
    if verification.facts.len() != asked.facts.len() {
        wrong.push(format!("{} verdicts", verification.facts.len()));
    }
    for ((fact, proven), expected) in
        (asked.facts.iter().zip(&verification.facts)).zip(&outcome.expected)
    {
        if !agrees(&proven.verdict, expected) {
            let (text, verdict) = (fact.text(), &proven.verdict);
            wrong.push(format!(
                "`{text}` is {expected:?}, but {verdict:?} is proven"
            ));
        }
    }
    let found: Vec<(u32, Option<bool>, Option<Period>)> = (verification.agencies.iter())
        .map(|a| (a.id.0, a.holds_record, a.stocks_period))
        .collect();
    let latest = period(MONTHS[MONTHS.len() - 1]);
    let holders: Vec<(u32, Option<bool>, Option<Period>)> = (asked.agencies.iter())
        .map(|id| {
            let holds = person.contains_key(id);
            (*id, Some(holds), holds.then_some(latest))
        })
        .collect();
    if found != holders {
        wrong.push(format!("agencies: {found:?}, not {holders:?}"));
    }
    let others: Vec<u32> = (1..=AGENCIES)
        .filter(|id| !asked.agencies.contains(id))
        .collect();
    if !verification.not_asked.iter().map(|id| id.0).eq(others) {
        wrong.push(format!("not asked: {:?}", verification.not_asked));
    }
    if verification.as_of != period(asked.as_of) {
        wrong.push(format!("as of {}", verification.as_of));
    }
    wrong
}

/// Whether a proven verdict is what plain arithmetic says, side and agency included.
fn agrees(verdict: &Verdict, expected: &Expected) -> bool {
    let same = |side: &Side, other: &plain::Side| {
        matches!(
            (side, other),
            (Side::Below, plain::Side::Below) | (Side::Above, plain::Side::Above)
        )
    };
    match (verdict, expected) {
        (Verdict::True, Expected::True) => true,
        (Verdict::False { at: None, side }, Expected::False(other)) => same(side, other),
        (Verdict::False { at: Some(at), side }, Expected::FalseAt(all)) => {
            all.get(&at.0).is_some_and(|other| same(side, other))
        }
        (Verdict::InsufficientHistory { at: None }, Expected::InsufficientHistory(all)) => {
            all.is_empty()
        }
        (Verdict::InsufficientHistory { at: Some(at) }, Expected::InsufficientHistory(all)) => {
            all.contains(&at.0)
        }
        _ => false,
    }
}

/// The questions cover what they are meant to, so that the comparison cannot be an empty one.
fn check_variety(answered: &[Outcome]) {
    let mut kinds: BTreeMap<Kind, [usize; 3]> = BTreeMap::new();
    let mut bounds: BTreeMap<(Bound, bool), usize> = BTreeMap::new();
    let mut relations: BTreeMap<(Relation, bool), usize> = BTreeMap::new();
    let mut attributes: BTreeMap<usize, usize> = BTreeMap::new();
    let mut windows: BTreeSet<String> = BTreeSet::new();
    let (mut negative, mut each_failing, mut above, mut nobody) = (0, 0, 0, 0);
    for outcome in answered {
        for ((fact, drawn), expected) in
            (outcome.question.facts.iter().zip(&outcome.drawn)).zip(&outcome.expected)
        {
            let verdict = match expected {
                Expected::True => 0,
                Expected::False(_) | Expected::FalseAt(_) => 1,
                Expected::InsufficientHistory(_) => 2,
            };
            kinds.entry(drawn.kind).or_default()[verdict] += 1;
            if verdict < 2 {
                *bounds.entry((drawn.bound, verdict == 0)).or_default() += 1;
                *relations.entry((fact.relation, verdict == 0)).or_default() += 1;
                for term in &fact.terms {
                    *attributes.entry(term.attribute).or_default() += 1;
                    if term.attribute >= FIRST_FLOW {
                        windows.insert(format!("{:?}", term.when));
                    }
                }
                negative += usize::from(fact.bound < 0);
            }
            match expected {
                Expected::FalseAt(_) => each_failing += 1,
                Expected::False(plain::Side::Above) => above += 1,
                Expected::InsufficientHistory(at) if at.is_empty() => nobody += 1,
                _ => {}
            }
        }
    }
    eprintln!("kind: true, false, insufficient history");
    for (kind, counts) in &kinds {
        eprintln!("  {kind:?}: {counts:?}");
    }
    eprintln!("bounds: {bounds:?}");
    eprintln!("relations: {relations:?}");
    eprintln!(
        "negative bounds {negative}, false at one agency {each_failing}, above {above}, nobody {nobody}"
    );

    for kind in KINDS {
        let [holds, fails, short] = kinds[&kind];
        match kind {
            Kind::TooFarBack => assert!(short >= 150, "{kind:?}: {short}"),
            Kind::Overpaid => assert!(holds >= 20 && fails >= 20, "{kind:?}: {holds}, {fails}"),
            _ => assert!(holds >= 75 && fails >= 75, "{kind:?}: {holds}, {fails}"),
        }
    }
    let sum = |verdict: usize| kinds.values().map(|counts| counts[verdict]).sum::<usize>();
    assert!(sum(0) >= 1_200 && sum(1) >= 1_000, "{} {}", sum(0), sum(1));
    for holds in [false, true] {
        for bound in [Bound::Exact, Bound::OneBeside, Bound::Near, Bound::Natural] {
            assert!(bounds[&(bound, holds)] >= 25, "{bound:?}, {holds}");
        }
        for relation in [Relation::AtMost, Relation::AtLeast, Relation::Equal] {
            assert!(relations[&(relation, holds)] >= 75, "{relation:?}, {holds}");
        }
    }
    for (attribute, name) in ATTRIBUTES.iter().enumerate() {
        assert!(attributes[&attribute] >= 50, "{name}");
    }
    for months in 1..=6 {
        assert!(windows.contains(&format!("Window({months})")), "{months}");
    }
    assert!(negative >= 50 && each_failing >= 100 && above >= 25 && nobody >= 25);
    for records in 1..=AGENCIES as usize {
        let count = answered.iter().filter(|o| o.records == records).count();
        assert!(count >= 20, "{count} people at {records} agencies");
    }
    let earlier = answered
        .iter()
        .filter(|o| o.question.as_of < MONTHS[5])
        .count();
    assert!(earlier >= 100, "{earlier} questions about earlier months");
}

/// A regulator's audit of September, compared with the files and with the published figures.
fn check_audit(bench: &Bench, people: &BTreeMap<String, Person>) {
    let node = Nodes::new(&[&bench.url]).unwrap();
    let key = read_signing_key(&bench.data.join("auditor.key")).unwrap();
    let options = audit::Options {
        period: period(MONTHS[5]),
        attributes: ATTRIBUTES[BALANCE..]
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        agencies: None,
    };
    let audited = audit(&bench.chain, &node, &key, &options, &mut OsRng).unwrap();
    let mut balances = Vec::new();
    for part in &audited.parts {
        let figures = part.result.as_ref().unwrap();
        let histories: Vec<_> = people.values().filter_map(|p| p.get(&part.id.0)).collect();
        assert_eq!(figures.leaves, histories.len() as u64, "{}", part.id);
        assert_eq!(figures.figures.len(), ATTRIBUTES.len() - 1);
        for (attribute, figure) in (BALANCE..).zip(&figures.figures) {
            assert_eq!(figure.attribute, ATTRIBUTES[attribute]);
            // Flows are totals over all months.
            let from = if attribute < FIRST_FLOW {
                MONTHS[5]
            } else {
                MONTHS[0]
            };
            let total: i128 = (histories.iter().flat_map(|history| history.range(from..)))
                .map(|(_, record)| record[attribute])
                .sum();
            assert_eq!(figure.total, total, "{}, {}", part.id, figure.attribute);
        }
        balances.push(figures.figures[0].total);
    }
    assert_eq!(
        balances,
        [399_855_372, 378_977_935, 378_185_390, 379_681_230]
    );
    let total = audited
        .totals
        .iter()
        .find(|figure| figure.attribute == "balance");
    assert_eq!(total.unwrap().total, 1_536_699_927);
}

fn period(number: i32) -> Period {
    month_text(number).parse().unwrap()
}

fn describe(question: &Question) -> String {
    let policy = if question.no_record_is_zero {
        "zero"
    } else {
        "no hit"
    };
    let as_of = month_text(question.as_of);
    format!("agencies {:?}, as of {as_of}, {policy}", question.agencies)
}

/// Says how long each part took.
struct Phases(Instant);

impl Phases {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn done(&mut self, what: &str) {
        eprintln!("{what}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}
