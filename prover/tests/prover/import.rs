//! What is in a file, what is wrong with it, and what was published before.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zkbureau_prover::source::CsvError;
use zkbureau_prover::{ImportError, NothingPublished, Options, PublishError, Reason, Report};

use crate::common::{HEADER, MAX_BATCH, MemoryVault, file, period, plan_sized, plan_with};

fn report(text: &str) -> Report {
    let plan = plan_with(text, Options::default(), &NothingPublished);
    plan.expect("a usable file").report().clone()
}

fn error(text: &str) -> ImportError<std::convert::Infallible> {
    match plan_with(text, Options::default(), &NothingPublished) {
        Ok(_) => panic!("accepted"),
        Err(e) => e,
    }
}

#[test]
fn rejects_name_line_field_and_limit_and_never_the_value() {
    let text = file(&[
        "C1,P1,2005-09,1,1,0,0",
        "C2,P2,2005-09,777777777777,1,0,0",
        "C3,P3,2005-9,1,1,0,0",
        "C4,P\u{e9},2005-09,1,1,0,0",
        ",P5,2005-09,,x7x7,0,1.5",
        "C6,P6,2005-10,1,1,0,0",
    ]);
    let options = Options {
        reported_period: Some(period("2005-09")),
        ..Options::default()
    };
    let plan = plan_with(&text, options, &NothingPublished).expect("a usable file");
    let report = plan.report();
    let listed: Vec<String> = report.rejects.iter().map(ToString::to_string).collect();
    assert_eq!(
        listed,
        [
            "line 3, balance: is outside -2000000..=10000000",
            "line 4, period: a period is written YYYY-MM, from 1900-01 to 9999-12",
            "line 5, subject: an identifier consists of printable ASCII characters",
            "line 6, account: an account has 1 to 64 bytes and no control characters",
            "line 6, balance: is empty",
            "line 6, credit_limit: is not an integer",
            "line 6, payment: is not an integer",
            "line 7, period: is after 2005-09, the period of the report",
        ]
    );
    assert_eq!(
        (report.rows, report.rejected_rows, report.reject_count),
        (6, 5, 8)
    );
    assert_eq!((report.records, report.withheld), (1, 3));
    let everything = format!("{report:?}");
    for datum in ["777777777777", "x7x7", "\u{e9}", "P5"] {
        assert!(!everything.contains(datum), "{datum}");
    }
}

#[test]
fn a_bad_row_withholds_the_subjects_whole_period() {
    let text = file(&[
        "C1,P1,2005-08,1,1,0,0",
        "C1,P1,2005-09,1,1,0,0",
        "C2,P1,2005-09,bad,1,0,0",
        "C3,P2,2005-08,1,1,0,0",
        "C3,P2,2005-09,1,1,0,0",
        "C4,P2,soon,1,1,0,0",
        "C5,P3,2005-09,1,1,0,0",
    ]);
    let report = report(&text);
    // P1 keeps 2005-08; of P2 nobody knows which period the bad row is of.
    assert_eq!((report.records, report.withheld), (2, 3));
    let periods: Vec<_> = report
        .periods
        .iter()
        .map(|(p, n)| (p.to_string(), *n))
        .collect();
    assert_eq!(
        periods,
        [("2005-08".to_owned(), 1), ("2005-09".to_owned(), 1)]
    );
}

#[test]
fn nothing_is_published_with_rejects_unless_allowed() {
    let text = file(&["C1,P1,2005-09,1,1,0,0", "C2,P2,2005-09,bad,1,0,0"]);
    let mut vault = MemoryVault::default();
    let plan = plan_with(&text, Options::default(), &vault).expect("a usable file");
    let refused = vault.publish(plan, MAX_BATCH, false);
    assert!(matches!(refused, Err(PublishError::Rejects(1))));
    assert!(vault.batches.is_empty());
    let plan = plan_with(&text, Options::default(), &vault).expect("a usable file");
    assert_eq!(
        vault
            .publish(plan, MAX_BATCH, true)
            .expect("allowed")
            .records,
        1
    );
    assert_eq!(vault.published_values("P1", "2005-09").len(), 1);
    assert_eq!(vault.published_values("P2", "2005-09").len(), 0);
}

#[test]
fn a_repeated_row_refuses_the_file_with_both_lines() {
    let text = file(&[
        "C1,P1,2005-09,1,1,0,0",
        "C2,P1,2005-09,1,1,0,0",
        "C1,p1 ,2005-09,1,1,0,0",
        "C1,P1,2005-08,1,1,0,0",
        "C1,P2,2005-09,1,1,0,0",
        "C1,P1,2005-09,2,1,0,0",
    ]);
    let e = error(&text);
    assert_eq!(
        e.to_string(),
        "the same account, subject and period more than once: lines 2 and 4, lines 2 and 7"
    );
}

#[test]
fn damaged_files_are_refused_as_a_whole() {
    let good = file(&["C1,P1,2005-09,1,1,0,0", "C2,P2,2005-09,1,1,0,123"]);
    assert_eq!(report(&good).records, 2);
    // Cut anywhere: in the header, between fields, inside an amount, or just before the line break.
    for cut in 0..good.len() {
        let at_line_break = cut > 0 && good.as_bytes()[cut - 1] == b'\n';
        let outcome = plan_with(&good[..cut], Options::default(), &NothingPublished);
        assert_eq!(outcome.is_ok(), at_line_break, "cut at {cut}");
    }
    assert!(matches!(error(""), ImportError::Csv(CsvError::Empty)));
    let no_rows = report(HEADER);
    assert_eq!((no_rows.rows, no_rows.records), (0, 0));
    let quoted = file(&["C1,P1,2005-09,1,1,0,\"0", "C2,P2,2005-09,1,1,0,0\""]);
    assert!(matches!(
        error(&quoted),
        ImportError::Csv(CsvError::Quote { line: 2, field: 7 })
    ));
    let e = error(&HEADER.replace("pay,", "balance,"));
    assert!(e.to_string().contains("\"balance\" occurs twice"), "{e}");
}

#[test]
fn the_same_rows_again_change_nothing() {
    let mut vault = MemoryVault::default();
    let text = file(&[
        "C1,P1,2005-09,100,1000,2,50",
        "C2,P1,2005-09,-5,1000,-1,60",
        "C3,P2,2005-09,7,10,0,0",
    ]);
    assert_eq!(vault.import(&text, false).records, 2);
    // Again, in another order, spelt differently, and in part.
    for again in [
        text.clone(),
        file(&["C3,p2,2005-09,+7,10,0,0", "C2,P1,2005-09,-5,1000,0,60"]),
    ] {
        for correct in [false, true] {
            let options = Options {
                correct,
                ..Options::default()
            };
            let plan = plan_with(&again, options, &vault).expect("a usable file");
            assert_eq!((plan.report().records, plan.report().unchanged), (0, 2));
            assert_eq!(
                vault
                    .publish(plan, MAX_BATCH, false)
                    .expect("nothing to do")
                    .batches,
                0
            );
        }
    }
}

#[test]
fn changes_of_a_published_period_must_be_asked_for() {
    let mut vault = MemoryVault::default();
    vault.import(
        &file(&["C1,P1,2005-09,100,1000,2,50", "C2,P1,2005-09,5,1000,0,60"]),
        false,
    );
    let changed = file(&[
        "C1,P1,2005-09,100,1000,3,50",
        "C2,P1,2005-09,5,1000,0,60",
        "C9,P1,2005-09,0,10,0,5",
    ]);
    let plan = plan_with(&changed, Options::default(), &vault).expect("a usable file");
    let listed: Vec<String> = plan
        .report()
        .rejects
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        listed,
        [
            "line 2, months_in_arrears: differs from what was published for 2005-09 (a correction must be asked for)",
            "line 4, account: was not among the accounts published for 2005-09 (a correction must be asked for)",
        ]
    );
    assert_eq!((plan.report().records, plan.report().withheld), (0, 1));

    // Asked for: stocks are the new values, flows what was added.
    assert_eq!(vault.import(&changed, true).records, 1);
    assert_eq!(
        vault.published_values("P1", "2005-09"),
        [
            vec![105, 2000, 2, 2, 110, 1, 0, 2],
            vec![105, 2010, 3, 3, 5, 0, 1, 1],
        ]
    );

    // An account that the file does not mention stays.
    let other = file(&["C2,P1,2005-09,6,1000,0,61"]);
    assert_eq!(vault.import(&other, true).records, 1);
    assert_eq!(
        vault.published_values("P1", "2005-09")[2],
        [106, 2010, 3, 3, 1, 0, 0, 0]
    );
}

#[test]
fn a_correction_cannot_shrink_a_flow() {
    let mut vault = MemoryVault::default();
    vault.import(
        &file(&["C1,P1,2005-09,100,1000,2,50", "C1,P2,2005-09,1,1,0,5"]),
        false,
    );
    let options = Options {
        correct: true,
        ..Options::default()
    };
    let less = file(&["C1,P1,2005-09,90,1000,2,49", "C1,P2,2005-09,1,1,0,6"]);
    let plan = plan_with(&less, options, &vault).expect("a usable file");
    let report = plan.report();
    assert_eq!(
        (report.records, report.corrected, report.withheld),
        (1, 1, 1)
    );
    assert_eq!(report.rejects.len(), 1);
    assert_eq!(report.rejects[0].field, "payments");
    assert_eq!(
        report.rejects[0].reason,
        Reason::NegativeIncrement {
            period: period("2005-09")
        }
    );
    assert!(
        report.rejects[0]
            .to_string()
            .contains("use an opposite flow")
    );
}

#[test]
fn only_the_first_rejects_are_listed_but_all_are_counted() {
    let mut text = HEADER.to_owned();
    for i in 0..3000 {
        text.push_str(&format!("C{i},P{i},2005-09,x,1,0,0\n"));
    }
    let options = Options {
        listed_rejects: 5,
        ..Options::default()
    };
    let plan = plan_with(&text, options, &NothingPublished).expect("a usable file");
    assert_eq!(plan.report().reject_count, 3000);
    let lines: Vec<u64> = plan.report().rejects.iter().map(|r| r.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6]);
}

/// One generated row.
#[derive(Clone, Debug)]
struct Made {
    person: u8,
    month: u8,
    balance: i64,
    limit: i64,
    pay: i64,
    payment: i64,
}

fn made() -> impl Strategy<Value = Made> {
    (
        0..6u8,
        4..7u8,
        -3000i64..90_000,
        0i64..90_000,
        -2i64..9,
        0i64..5000,
    )
        .prop_map(|(person, month, balance, limit, pay, payment)| Made {
            person,
            month,
            balance,
            limit,
            pay,
            payment,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is published is what plain arithmetic gives, with one partition and with many.
    #[test]
    fn folding_is_plain_arithmetic(rows in prop::collection::vec(made(), 1..40), known: bool) {
        let mut naive: BTreeMap<(String, String), [i64; 8]> = BTreeMap::new();
        let mut text = HEADER.to_owned();
        for (i, r) in rows.iter().enumerate() {
            let (id, month) = (format!("P{}", r.person), format!("2005-0{}", r.month));
            text.push_str(&format!(
                "C{i},{id},{month},{},{},{},{}\n", r.balance, r.limit, r.pay, r.payment
            ));
            let v = naive.entry((id, month)).or_default();
            v[0] += r.balance;
            v[1] += r.limit;
            v[2] = v[2].max(r.pay);
            v[3] += 1;
            v[4] += r.payment;
            v[5] += i64::from(r.pay >= 2);
            v[6] += i64::from(r.pay >= 3);
            v[7] += 1;
        }
        let mut vault = MemoryVault::default();
        let size = known.then_some(text.len() as u64);
        let plan = plan_sized(&text, size, Options::default(), &vault).expect("a usable file");
        let summary = vault.publish(plan, MAX_BATCH, false).expect("published");
        prop_assert_eq!(summary.records, naive.len() as u64);
        for ((id, month), values) in &naive {
            prop_assert_eq!(vault.published_values(id, month), vec![values.to_vec()]);
        }
    }
}
