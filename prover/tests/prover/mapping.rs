//! Mappings that fit, and errors that name what does not.

use zkbureau_prover::source::CsvReader;
use zkbureau_prover::{Mapping, MappingError, NothingPublished, Options, Reason};

use crate::common::{HEADER, SCHEMA, file, mapping, plan_with};

const UCI: &str = include_str!("uci.toml");

fn error(text: &str) -> String {
    Mapping::parse(text, &SCHEMA)
        .expect_err("refused")
        .to_string()
}

/// The card mapping with one line replaced.
fn with(line: &str, replacement: &str) -> String {
    assert!(UCI.contains(line), "{line}");
    UCI.replacen(line, replacement, 1)
}

#[test]
fn unknown_names_are_named_with_what_was_meant() {
    let text = error(&with("account = ", "acount = "));
    assert!(
        text.contains("`acount`") && text.contains("\"account\""),
        "{text}"
    );
    let text = error(&with("clamp_min = 0", "clamp_mn = 0"));
    assert!(
        text.contains("`attributes.months_in_arrears.clamp_mn`") && text.contains("\"clamp_min\""),
        "{text}"
    );
    let text = error(&with("at_least = 2", "atleast = 2"));
    assert!(
        text.contains("`attributes.months_late.where.atleast`") && text.contains("\"at_least\""),
        "{text}"
    );
    let text = error(&with("id_type = ", "idtype = "));
    assert!(
        text.contains("`subject.idtype`") && text.contains("\"id_type\""),
        "{text}"
    );
    let text = error(&with("[attributes.payments]", "[attributes.paymens]"));
    assert!(
        text.contains("attributes.paymens") && text.contains("\"payments\""),
        "{text}"
    );
}

#[test]
fn every_attribute_needs_a_rule() {
    let text = error(&with("[attributes.statements]", ""));
    assert!(text.contains("\"statements\""), "{text}");
    let text = error(&format!("{UCI}\n[attributes.present]\n"));
    assert!(text.contains("`present`"), "{text}");
}

#[test]
fn rules_that_make_no_sense() {
    for (line, replacement, wanted) in [
        (
            "[attributes.open_accounts]",
            "[attributes.open_accounts]\nclamp_min = 1",
            "open_accounts",
        ),
        ("column = \"balance\"", "", "attributes.balance"),
        (
            "column = \"balance\"",
            "column = \"balance\"\ndecimals = 13",
            "`decimals`",
        ),
        (
            "column = \"balance\"",
            "column = \"balance\"\nmultiply = 0",
            "`multiply`",
        ),
        (
            "column = \"balance\"",
            "column = \"balance\"\nmultiply = 2\ncodes = { A = 1 }",
            "`codes`",
        ),
        (
            "clamp_min = 0",
            "where = { column = \"pay\", at_least = 1 }",
            "`where`",
        ),
        ("at_least = 2", "at_least = 2, equals = 3", "`equals`"),
        (", at_least = 2", "", "`at_least`"),
        ("column = \"period\"", "", "period"),
        ("column = \"period\"", "fixed = \"2005-13\"", "YYYY-MM"),
        (
            "id_type = \"tw-national-id\"",
            "id_type = \"TW\"",
            "subject.id_type",
        ),
        (
            "account = \"account\"",
            "account = \"account\"\ndelimiter = '\"'",
            "delimiter",
        ),
        ("account = \"account\"", "account = 5", "account"),
        (
            "account = \"account\"",
            "account = \"account\"\ndelimiter = \",,\"",
            "delimiter",
        ),
        ("account = \"account\"", "account = ", "account"),
    ] {
        let text = error(&with(line, replacement));
        assert!(text.contains(wanted), "{replacement}: {text}");
    }
}

#[test]
fn columns_are_found_used_or_ignored() {
    let bind = |mapping: &Mapping, header: &str| {
        let reader = CsvReader::new(header.as_bytes(), ',').expect("a header");
        mapping.bind(reader.header(), None).map(|_| ())
    };
    let uci = mapping();
    assert_eq!(bind(&uci, HEADER), Ok(()));
    let text = bind(&uci, &HEADER.replace("payment", "paymnt"))
        .expect_err("missing")
        .to_string();
    assert!(
        text.contains("attributes.payments")
            && text.contains("\"payment\"")
            && text.contains("\"paymnt\""),
        "{text}"
    );
    let more = HEADER.replace('\n', ",Notes\n");
    let text = bind(&uci, &more).expect_err("unknown").to_string();
    assert!(text.contains("\"Notes\""), "{text}");
    for ignore in ["Notes", "*"] {
        let text = with(
            "account = ",
            &format!("ignore = [\"{ignore}\"]\naccount = "),
        );
        let mapping = Mapping::parse(&text, &SCHEMA).expect("valid");
        assert_eq!(bind(&mapping, &more), Ok(()));
    }
    let text = with("[period]\ncolumn = \"period\"", "");
    let mapping = Mapping::parse(&text, &SCHEMA).expect("valid");
    assert_eq!(
        bind(&mapping, &HEADER.replace("period,", "")),
        Err(MappingError::NoPeriod)
    );
}

/// Decimals, multiples, codes, defaults and fixed periods, through to the record.
#[test]
fn every_conversion_is_exact() {
    let text = with(
        "[attributes.balance]\ncolumn = \"balance\"",
        "[attributes.balance]\ncolumn = \"balance\"\ndecimals = 2",
    )
    .replace(
        "column = \"credit_limit\"",
        "column = \"credit_limit\"\nmultiply = 1000\nif_empty = 2",
    )
    .replace(
        "column = \"pay\"\nclamp_min = 0",
        "column = \"pay\"\ncodes = { OK = 0, \"30+\" = 1, \"\" = 24 }",
    )
    .replace(
        "column = \"pay\", at_least = 2",
        "column = \"pay\", codes = { OK = 0, \"30+\" = 1, \"\" = 9 }, equals = 1",
    )
    .replace(
        "column = \"pay\", at_least = 3",
        "column = \"credit_limit\", if_empty = -1, at_most = -1",
    )
    .replace(
        "[attributes.open_accounts]",
        "[attributes.open_accounts]\ncolumn = \"payment\"",
    )
    .replace("column = \"period\"", "fixed = \"2005-04\"")
    .replace(
        "account = ",
        "delimiter = ';'\nignore = ['period']\naccount = ",
    );
    let mapping = Mapping::parse(&text, &SCHEMA).expect("valid");
    let read = |line: &str| {
        let text = format!("{}{line}\n", HEADER.replace(',', ";"));
        let mut reader = CsvReader::new(text.as_bytes(), ';').expect("a header");
        let bound = mapping.bind(reader.header(), None).expect("fits");
        let (_, fields) = reader.next_row().expect("valid").expect("a row");
        bound.read(fields).map_err(|bad| bad.problems)
    };
    let row = read("C1; p1 ;whatever;-12.3;7;30+;0").unwrap_or_else(|_| panic!("a good row"));
    assert_eq!(row.subject.id(), "P1");
    assert_eq!(row.period.to_string(), "2005-04");
    assert_eq!(row.tradeline.values, [-1230, 7000, 1, 0, 0, 1, 0, 1]);
    let row = read("C1;P1;;0.01;;;55").unwrap_or_else(|_| panic!("a good row"));
    assert_eq!(row.tradeline.values, [1, 2, 24, 1, 55, 0, 1, 1]);
    let problems = read("C1;P1;;0.011;9223372036854775807;60+;x")
        .err()
        .expect("bad");
    let expected = [
        ("balance", Reason::NotDecimal { decimals: 2 }),
        ("credit_limit", Reason::TooLarge),
        ("pay", Reason::UnknownCode),
        ("payment", Reason::NotInteger),
    ];
    assert_eq!(
        problems,
        expected.map(|(field, reason)| (field.to_owned(), reason))
    );
}

/// A value may be too large for one tradeline or only for the record.
#[test]
fn ranges_hold_for_rows_and_for_records() {
    let report = |lines: &[&str]| {
        let plan = plan_with(&file(lines), Options::default(), &NothingPublished);
        plan.expect("a usable file").report().clone()
    };
    let one = report(&["C1,P1,2005-09,10000001,5,25,0"]);
    let text: Vec<String> = one.rejects.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "line 2, balance: is outside -2000000..=10000000",
            "line 2, pay (months_in_arrears): is outside 0..=24"
        ]
    );
    assert_eq!(
        (one.rows, one.rejected_rows, one.records, one.withheld),
        (1, 1, 0, 1)
    );
    let two = report(&["C1,P1,2005-09,6000000,5,0,0", "C2,P1,2005-09,6000000,5,0,0"]);
    let text: Vec<String> = two.rejects.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        ["line 2, balance: folded over 2 tradelines is outside -2000000..=10000000"]
    );
    assert_eq!((two.rejected_rows, two.records, two.withheld), (0, 0, 1));
}
