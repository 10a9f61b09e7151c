//! Publish, authorise, ask, verify, audit: the whole scene against four nodes, by the library
//! behind `zkbureau`.

use std::path::PathBuf;

use rand_core::OsRng;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::fact::{HitPolicy, Verdict};
use zkbureau_circuits::period::Period;
use zkbureau_client::audit::{self, audit};
use zkbureau_client::borrower::{AnswerOptions, ConsentOptions, answer, consent};
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{
    LenderKeys, read_document, read_genesis, read_signing_key, write_document,
};
use zkbureau_client::lender::{Ask, DEFAULT_MAX_AGE_MS, make_request, verify};
use zkbureau_client::nodes::Nodes;
use zkbureau_client::time::now;
use zkbureau_client::wallet::{Cost, Wallet};
use zkbureau_ledger::document::request::InquiryType;
use zkbureau_ledger::ids::{DAY_MS, TimeMs};

use crate::drill::Drill;
use crate::files;
use crate::support::people::HEADER;
use crate::support::{assert_success, binary};

/// What a wallet's passphrase costs here.
const CHEAP: Cost = Cost {
    memory_kib: 64,
    passes: 1,
};
/// What the borrower owes at each agency.
const OWED: [i64; 4] = [1_000, 20_000, 300, 0];
/// Others at each agency: audits open no column of which fewer than a hundred records changed.
const OTHERS: i64 = 120;
const BORROWER: &str = "borrower";

#[test]
fn a_lender_a_borrower_and_a_regulator_against_four_nodes() {
    let drill = Drill::start(4);
    let scene = Scene::prepare(&drill);
    // Each time through other nodes.
    scene.ask_and_verify(&drill, "one", &[0]);
    scene.ask_and_verify(&drill, "two", &[3, 1]);
    scene.audit(&drill, &[2]);
    drill.agree();
    drill.stop();
}

/// A published month in which one person is known at every agency.
pub struct Scene {
    period: Period,
    /// Balances of everybody at all agencies.
    total: i64,
    genesis: PathBuf,
}

impl Scene {
    /// Publishes the month at all four agencies.
    pub fn prepare(drill: &Drill) -> Self {
        let number = drill.take_month();
        let month = files::month(number);
        let mut total = 0;
        for (node, owed) in OWED.into_iter().enumerate() {
            let mut text = format!("{HEADER}B,{BORROWER},{month},{owed},0,100\n");
            total += owed;
            for person in 0..OTHERS {
                let balance = 1_000 * person + node as i64;
                total += balance;
                text.push_str(&format!("A{person},P{person},{month},{balance},0,5\n"));
            }
            let file = drill.write(&format!("scene-{node}.csv"), &text);
            let done = drill.import(node, &file, &month);
            assert_eq!(done["published"]["records"], OTHERS + 1);
        }
        let tip = (0..4).map(|node| drill.height(node)).max().unwrap();
        for node in 0..4 {
            drill.reaches(node, tip, crate::drill::LONG);
        }
        Self {
            period: month.parse().unwrap(),
            total,
            genesis: drill.home(0).join("genesis.json"),
        }
    }

    fn nodes(&self, drill: &Drill, nodes: &[usize]) -> Nodes {
        let urls: Vec<String> = nodes.iter().map(|node| drill.url(*node)).collect();
        Nodes::new(&urls).unwrap()
    }

    /// A wallet with a certificate by the command `enrol`.
    fn wallet(&self, drill: &Drill, name: &str) -> Wallet {
        let subject = SubjectId::new("person", BORROWER).unwrap();
        let genesis = read_genesis(&self.genesis).unwrap();
        let path = drill.file(&format!("{name}.wallet"));
        let mut wallet =
            Wallet::create(&path, b"drill", CHEAP, genesis, subject, &mut OsRng).unwrap();
        let [asked, made] =
            ["enrol", "certificate"].map(|kind| drill.file(&format!("{name}.{kind}")));
        write_document(&asked, &wallet.enrolment_request()).unwrap();
        let mut command = binary();
        command
            .arg("enrol")
            .arg(&asked)
            .arg("--key")
            .arg(drill.file("issuer.key"));
        command
            .arg("--genesis")
            .arg(&self.genesis)
            .arg("--out")
            .arg(&made);
        assert_success(&command.output().unwrap());
        wallet
            .store_certificate(read_document(&made).unwrap(), now())
            .unwrap();
        wallet
    }

    /// Request, consent, inquiry, answers of all four agencies, verification.
    pub fn ask_and_verify(&self, drill: &Drill, name: &str, nodes: &[usize]) {
        let nodes = self.nodes(drill, nodes);
        let chain = Chain::from_genesis(read_genesis(&self.genesis).unwrap()).unwrap();
        let lender = LenderKeys::random(&mut OsRng);
        let subject = SubjectId::new("person", BORROWER).unwrap();
        let owed: i64 = OWED.iter().sum();
        let ask = Ask {
            lender_name: "First Bank".into(),
            purpose: "credit line".into(),
            inquiry_type: InquiryType::Hard,
            subject: &subject,
            facts: &[
                format!("total(balance) <= {owed}"),
                format!("total(balance) <= {}", owed - 1),
            ],
            scores: &[],
            cards: &[],
            agencies: None,
            as_of: self.period,
            hit_policy: HitPolicy::NoHit,
            expires: TimeMs(now().0 + DAY_MS),
        };
        let request = make_request(&chain, &lender, ask, now(), &mut OsRng).unwrap();
        let mut wallet = self.wallet(drill, name);
        let options = ConsentOptions {
            uses: 1,
            days: 1,
            templates: Vec::new(),
            earliest: None,
            frequency_per_day: None,
        };
        consent(&mut wallet, &nodes, &request, &options, now(), &mut OsRng).unwrap();
        let options = AnswerOptions::default();
        let answered = answer(&mut wallet, &nodes, &request, &options, now(), &mut OsRng).unwrap();
        assert!(answered.missing.is_empty(), "{:?}", answered.missing);
        let verified = verify(
            &request,
            &answered.answer,
            &chain,
            &lender,
            &subject,
            now(),
            DEFAULT_MAX_AGE_MS,
            &mut OsRng,
        )
        .unwrap();
        let verdicts: Vec<&Verdict> = verified.facts.iter().map(|fact| &fact.verdict).collect();
        assert!(
            matches!(verdicts[..], [Verdict::True, Verdict::False { .. }]),
            "{verdicts:?}"
        );
        let holders = verified
            .agencies
            .iter()
            .filter(|a| a.holds_record == Some(true));
        assert_eq!(holders.count(), 4);
    }

    /// A regulator's audit of the balances, compared with plain sums.
    fn audit(&self, drill: &Drill, nodes: &[usize]) {
        let nodes = self.nodes(drill, nodes);
        let chain = Chain::from_genesis(read_genesis(&self.genesis).unwrap()).unwrap();
        let key = read_signing_key(&drill.file("auditor.key")).unwrap();
        let options = audit::Options {
            period: self.period,
            attributes: vec!["balance".to_owned()],
            agencies: None,
        };
        let audited = audit(&chain, &nodes, &key, &options, &mut OsRng).unwrap();
        let total = audited.totals.iter().find(|t| t.attribute == "balance");
        assert_eq!(i128::from(self.total), total.unwrap().total);
    }
}
