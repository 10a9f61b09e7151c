//! A lender checks a borrower's debt at two agencies: wallet, node, agencies and lender over HTTP,
//! and everybody's refusals.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::collections::BTreeMap;

use rand_core::OsRng;
use support::clients::{certify, enrolled};
use support::{Net, people};
use zkbureau_circuits::fact::{HitPolicy, Verdict};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_client::audit::{self, AuditError, audit};
use zkbureau_client::borrower::{
    AnswerOptions, Answered, BorrowerError, ConsentOptions, anchors_on_ledger, answer,
    check_request, consent, inquire, revoke,
};
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{LenderKeys, read_genesis, read_signing_key};
use zkbureau_client::lender::{Ask, DEFAULT_MAX_AGE_MS, Verification, make_request, verify};
use zkbureau_client::nodes::{Nodes, NodesError};
use zkbureau_client::report::report;
use zkbureau_client::time::now;
use zkbureau_client::wallet::{Outcome, Wallet, WalletError};
use zkbureau_ledger::document::request::{FactRequest, InquiryType};
use zkbureau_ledger::ids::{DAY_MS, TimeMs};
use zkbureau_ledger::keys::SecretKey;

const PEOPLE: u64 = 120;
const PERSON: &str = "P00001";

/// A running node with two agencies' files published, a lender and an enrolled borrower.
struct World {
    net: Net,
    _process: support::Node,
    node: Nodes,
    chain: Chain,
    lender: LenderKeys,
    wallet: Wallet,
    /// The person's records by agency and period: balance, arrears, payments, statements.
    records: BTreeMap<(u32, String), [i64; 4]>,
    /// Sum of the September balances of everybody.
    balances: i64,
}

impl World {
    fn new() -> Self {
        let net = Net::new(2);
        let process = net.start();
        let mut records = BTreeMap::new();
        let mut balances = 0;
        for agency in [1, 2] {
            let (text, expected) = people::file(PEOPLE, agency.into());
            let file = net.write(&format!("agency-{agency}.csv"), &text);
            net.import(agency, &file, "2024-03");
            balances += expected.balance;
            for line in text.lines().skip(1) {
                let cells: Vec<&str> = line.split(',').collect();
                if cells[1] != PERSON {
                    continue;
                }
                let number = |i: usize| cells[i].parse::<i64>().unwrap();
                let record = records
                    .entry((agency, cells[2].to_owned()))
                    .or_insert([0; 4]);
                record[0] += number(3);
                record[1] = record[1].max(number(4));
                record[2] += number(5);
                record[3] += 1;
            }
        }
        let genesis = read_genesis(&net.data().join("genesis.json")).unwrap();
        let wallet = enrolled(&net, "wallet", PERSON);
        Self {
            node: Nodes::new(&[&process.url]).unwrap(),
            chain: Chain::from_genesis(genesis).unwrap(),
            lender: LenderKeys::random(&mut OsRng),
            wallet,
            records,
            balances,
            net,
            _process: process,
        }
    }

    fn record(&self, agency: u32, period: &str) -> [i64; 4] {
        self.records[&(agency, period.to_owned())]
    }

    fn request(&self, facts: &[&str]) -> FactRequest {
        self.request_by(&self.lender, facts)
    }

    fn request_by(&self, lender: &LenderKeys, facts: &[&str]) -> FactRequest {
        let facts: Vec<String> = facts.iter().map(|f| (*f).to_owned()).collect();
        let ask = Ask {
            lender_name: "First Bank".into(),
            purpose: "a loan".into(),
            inquiry_type: InquiryType::Hard,
            subject: self.wallet.person(),
            facts: &facts,
            scores: &[],
            cards: &[],
            agencies: None,
            as_of: "2024-03".parse().unwrap(),
            hit_policy: HitPolicy::NoHit,
            expires: TimeMs(now().0 + 7 * DAY_MS),
        };
        make_request(&self.chain, lender, ask, now(), &mut OsRng).unwrap()
    }

    fn allow(&mut self, request: &FactRequest, templates: &[&str]) -> [u8; 16] {
        let options = ConsentOptions {
            uses: 1,
            days: 30,
            templates: templates.iter().map(|t| (*t).to_owned()).collect(),
            earliest: None,
            frequency_per_day: None,
        };
        let (wallet, node) = (&mut self.wallet, &self.node);
        consent(wallet, node, request, &options, now(), &mut OsRng)
            .unwrap()
            .id
    }

    fn answer(&mut self, request: &FactRequest, insist: bool) -> Result<Answered, BorrowerError> {
        let options = AnswerOptions {
            decline: Vec::new(),
            insist,
            score_key: None,
        };
        let (wallet, node) = (&mut self.wallet, &self.node);
        answer(wallet, node, request, &options, now(), &mut OsRng)
    }

    fn verify(&self, request: &FactRequest, answered: &Answered) -> Verification {
        verify(
            request,
            &answered.answer,
            &self.chain,
            &self.lender,
            self.wallet.person(),
            now(),
            DEFAULT_MAX_AGE_MS,
            &mut OsRng,
        )
        .unwrap()
    }
}

#[test]
fn the_lender_learns_verdicts_and_the_borrower_and_regulator_their_figures() {
    let mut world = World::new();
    let months = ["2024-01", "2024-02", "2024-03"];
    let balance = world.record(1, "2024-03")[0] + world.record(2, "2024-03")[0];
    let worst = world.record(1, "2024-03")[1].max(world.record(2, "2024-03")[1]);
    let paid: i64 = [1, 2]
        .iter()
        .flat_map(|a| months.iter().map(|m| world.record(*a, m)[2]))
        .sum();
    let cases = [
        (format!("total(balance) <= {balance}"), true),
        (format!("total(balance) <= {}", balance - 1), false),
        (format!("total(payments, 3m) == {paid}"), true),
        (format!("total(payments, 3m) >= {}", paid + 1), false),
        (format!("each(arrears) <= {worst}"), true),
        (format!("each(arrears) <= {}", worst - 1), false),
    ];
    let facts: Vec<&str> = cases.iter().map(|(fact, _)| fact.as_str()).collect();
    let request = world.request(&facts);
    world.allow(&request, &[]);
    let answered = world.answer(&request, false).unwrap();
    assert!(answered.missing.is_empty());
    let verified = world.verify(&request, &answered);
    for ((fact, expected), verdict) in cases.iter().zip(verified.verdicts()) {
        assert_eq!(*verdict == Verdict::True, *expected, "{fact}: {verdict}");
        assert_eq!(
            matches!(verdict, Verdict::False { .. }),
            !expected,
            "{fact}"
        );
    }
    assert!(
        verified
            .agencies
            .iter()
            .all(|a| a.holds_record == Some(true))
    );
    assert_eq!(verified.height, answered.height);

    // The wallet lists the inquiry, and the ledger knows of no other.
    let [inquiry] = world.wallet.inquiries() else {
        panic!("one inquiry");
    };
    assert_eq!(inquiry.outcome, Some(Outcome::Answered(answered.verdicts)));
    let anchors = anchors_on_ledger(&world.wallet, &world.node).unwrap();
    assert_eq!(anchors.len(), 1);
    assert!(anchors[0].consumed.is_some() && !anchors[0].is_unknown());

    // My report is what was published.
    let parts = report(&world.wallet, &world.node, now(), &mut OsRng).unwrap();
    for part in parts {
        let record = part.result.unwrap();
        assert_eq!(record.entries.len(), 3);
        for entry in &record.entries {
            let values: Vec<i64> = entry.values.iter().map(|v| v.value).collect();
            let expected = world.record(part.id.0, &entry.effective_period.to_string());
            assert_eq!(values, expected, "{} {}", part.id, entry.effective_period);
        }
    }
    // Somebody without a record anywhere is told so.
    let nobody = enrolled(&world.net, "nobody", "P99999");
    for part in report(&nobody, &world.node, now(), &mut OsRng).unwrap() {
        assert!(part.result.unwrap().entries.is_empty());
    }

    // A regulator reads the total, and nobody else can.
    let options = audit::Options {
        period: "2024-03".parse().unwrap(),
        attributes: vec!["balance".into()],
        agencies: None,
    };
    let key = read_signing_key(&world.net.data().join("auditor.key")).unwrap();
    let audited = audit(&world.chain, &world.node, &key, &options, &mut OsRng).unwrap();
    assert_eq!(audited.totals[0].total, i128::from(world.balances));
    let stranger = SecretKey::random(&mut OsRng);
    assert_eq!(
        audit(&world.chain, &world.node, &stranger, &options, &mut OsRng).err(),
        Some(AuditError::NotAnAuditor)
    );
}

#[test]
fn nobody_answers_without_a_right() {
    let mut world = World::new();
    let facts = ["total(balance) <= 500000"];

    // No consent: the wallet has nothing that it could show.
    let request = world.request(&facts);
    for insist in [false, true] {
        let refused = world.answer(&request, insist).unwrap_err();
        assert!(matches!(refused, BorrowerError::NoConsent), "{refused}");
    }
    // A consent for another lender does not help.
    world.allow(&request, &[]);
    let other = LenderKeys::random(&mut OsRng);
    let others = world.request_by(&other, &facts);
    let refused = world.answer(&others, true).unwrap_err();
    assert!(matches!(refused, BorrowerError::NoConsent), "{refused}");

    // A second use: first the wallet says so, then the ledger.
    world.answer(&request, false).unwrap();
    let refused = world.answer(&request, false).unwrap_err();
    assert!(matches!(refused, BorrowerError::UsedUp { .. }), "{refused}");
    let refused = world.answer(&request, true).unwrap_err();
    assert!(
        matches!(refused, BorrowerError::Nodes(NodesError::Refused { .. })),
        "{refused}"
    );

    // Out of scope: the wallet, then the agencies.
    let request = world.request(&["total(balance) <= 50000"]);
    world.allow(&request, &["total(balance) <= 100000..900000"]);
    let refused = world.answer(&request, false).unwrap_err();
    assert!(matches!(refused, BorrowerError::Scope { .. }), "{refused}");
    let refused = world.answer(&request, true).unwrap_err();
    let BorrowerError::RefusedByAgencies(agencies) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*agencies, [AgencyId(1), AgencyId(2)]);

    // Revoked: the wallet, then the ledger.
    let request = world.request(&facts);
    let id = world.allow(&request, &[]);
    let revoked = revoke(&mut world.wallet, &world.node, &id, now()).unwrap();
    assert_eq!(revoked.len(), 1);
    let again = revoke(&mut world.wallet, &world.node, &id, now()).unwrap();
    assert_eq!(again, revoked, "revoking twice changes nothing");
    let refused = world.answer(&request, false).unwrap_err();
    assert!(matches!(refused, BorrowerError::Revoked(_)), "{refused}");
    let refused = world.answer(&request, true).unwrap_err();
    assert!(
        matches!(refused, BorrowerError::Nodes(NodesError::Refused { .. })),
        "{refused}"
    );
    assert!(refused.is_refusal());

    // Revoked between inquiry and answer: agencies look again.
    let request = world.request(&facts);
    let id = world.allow(&request, &[]);
    let query = check_request(&world.wallet, &request, now()).unwrap();
    let (wallet, node) = (&mut world.wallet, &world.node);
    inquire(wallet, node, &request, &query, false, now(), &mut OsRng).unwrap();
    revoke(wallet, node, &id, now()).unwrap();
    let refused = world.answer(&request, false).unwrap_err();
    assert!(matches!(refused, BorrowerError::Revoked(_)), "{refused}");

    // A request about somebody else, and an expired certificate, are named before anything is asked.
    let mut stranger = enrolled(&world.net, "stranger", "P00002");
    let refused = answer(
        &mut stranger,
        &world.node,
        &request,
        &AnswerOptions::default(),
        now(),
        &mut OsRng,
    )
    .unwrap_err();
    assert!(matches!(refused, BorrowerError::OtherPerson), "{refused}");
    let tomorrow = certify(&world.net, "wallet", &world.wallet, "1");
    world.wallet.store_certificate(tomorrow, now()).unwrap();
    let later = TimeMs(now().0 + 3 * DAY_MS);
    let (wallet, node) = (&mut world.wallet, &world.node);
    let options = AnswerOptions::default();
    let refused = answer(wallet, node, &request, &options, later, &mut OsRng).unwrap_err();
    let BorrowerError::Wallet(WalletError::CertificateExpired { .. }) = &refused else {
        panic!("{refused}");
    };
    assert!(refused.to_string().contains("expired after"), "{refused}");
}

#[test]
fn an_interrupted_answer_is_taken_up_again_without_a_second_use() {
    let mut world = World::new();
    let request = world.request(&["total(balance) <= 500000"]);
    world.allow(&request, &[]);
    // The wallet's machine dies after the inquiry is final.
    let query = check_request(&world.wallet, &request, now()).unwrap();
    let (wallet, node) = (&mut world.wallet, &world.node);
    let inquired = inquire(wallet, node, &request, &query, false, now(), &mut OsRng).unwrap();
    assert!(!inquired.resumed);
    let path = world.net.file("wallet");
    let placeholder = enrolled(&world.net, "placeholder", "P00003");
    drop(std::mem::replace(&mut world.wallet, placeholder));
    world.wallet = Wallet::open(&path, b"secret").unwrap();

    let answered = world.answer(&request, false).unwrap();
    assert!(answered.resumed);
    assert_eq!(answered.height, inquired.record.height.unwrap());
    world.verify(&request, &answered);
    assert_eq!(world.wallet.inquiries().len(), 1);
    // And then it is used up.
    let refused = world.answer(&request, false).unwrap_err();
    assert!(matches!(refused, BorrowerError::UsedUp { .. }), "{refused}");
}
