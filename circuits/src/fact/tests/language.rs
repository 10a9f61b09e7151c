//! The request language.

use proptest::prelude::*;

use super::*;

/// (text, canonical text)
pub(super) const GOOD: &[(&str, &str)] = &[
    ("total(balance) <= 500_000", "total(balance) <= 500000"),
    (
        "total(months_90_late,6m)==0",
        "total(months_90_late, 6m) == 0",
    ),
    (
        "100*total(balance) <= 40*6000",
        "100*total(balance) <= 240000",
    ),
    (
        "2*total(balance)*50 <= 40 * 6000",
        "100*total(balance) <= 240000",
    ),
    (
        "each(months_in_arrears) <= 1",
        "each(months_in_arrears) <= 1",
    ),
    (
        "total(balance, 2005-07) >= 0",
        "total(balance, 2005-07) >= 0",
    ),
    (
        "10*total(balance) <= 8*total(credit_limit)",
        "10*total(balance) <= 8*total(credit_limit)",
    ),
    ("total(balance) >= -5", "total(balance) >= -5"),
    ("-5 <= total(balance)", "total(balance) >= -5"),
    ("-total(balance) >= -5", "total(balance) <= 5"),
    (
        "total(balance) + 7 <= 2 + total(credit_limit) - 3",
        "total(balance) <= total(credit_limit) - 8",
    ),
    (
        "0 == total(balance) - total(credit_limit) + 1",
        "total(balance) == total(credit_limit) - 1",
    ),
    ("-total(balance) == 3", "total(balance) == -3"),
    (
        "total(balance)+total(balance) >= 1",
        "2*total(balance) >= 1",
    ),
    (
        "total(balance) - 0*total(credit_limit) >= 1",
        "total(balance) >= 1",
    ),
    ("total(present) <= 3", "total(present) <= 3"),
    (
        "\ttotal ( balance , 2005-07 ) >= 1 ",
        "total(balance, 2005-07) >= 1",
    ),
    ("total(payments, 012m) >= 1", "total(payments, 12m) >= 1"),
    (
        "total(payments, 2m) >= total(balance) + total(payments, 1m) - total(balance, 2005-01)",
        "total(balance) + total(payments, 1m) <= total(balance, 2005-01) + total(payments, 2m)",
    ),
];

#[test]
fn canonical_texts() {
    let schema = schema();
    for (text, canonical) in GOOD {
        let fact = Fact::parse(text, &schema).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(fact.to_string(), *canonical, "{text}");
        assert_eq!(Fact::parse(canonical, &schema), Ok(fact), "{text}");
    }
}

/// (text, column, what the message says)
pub(super) const BAD: &[(&str, usize, &str)] = &[
    (
        "",
        1,
        "expected a number, `total(..)` or `each(..)`, found the end",
    ),
    (
        "total(balanc) <= 5",
        7,
        "unknown attribute `balanc`; did you mean `balance`?",
    ),
    ("total(zzzzz) <= 5", 7, "unknown attribute `zzzzz`"),
    ("sum(balance) <= 5", 1, "unknown function `sum`"),
    ("balance <= 5", 1, "unknown function `balance`"),
    ("total balance <= 5", 7, "expected `(`, found `balance`"),
    (
        "total() <= 5",
        7,
        "expected the name of an attribute, found `)`",
    ),
    ("total(balance <= 5", 15, "expected `,` or `)`, found `<`"),
    ("total(payments, 6m <= 5", 20, "expected `)`, found `<`"),
    (
        "total(balance) < 5",
        16,
        "`<` is not supported: values are integers, so write `x <= 4` for `x < 5`",
    ),
    ("total(balance) > 5", 16, "write `x >= 6` for `x > 5`"),
    ("total(balance) != 5", 16, "a proven `false` says the same"),
    ("total(balance) = 5", 16, "write `==`"),
    ("total(balance) ≤ 5", 16, "write `<=`"),
    ("total(balance) <= 5 <= 6", 21, "ask two facts"),
    ("total(balance)", 15, "found the end"),
    ("total(balance) <=", 18, "found the end"),
    (
        "total(balance) <= 5 5",
        21,
        "expected `+`, `-`, `*` or the end, found `5`",
    ),
    ("total(balance) <= 5é", 20, "found `é`"),
    ("é <= total(balance)", 1, "found `é`"),
    ("total(balance) <= --5", 20, "found `-`"),
    ("total(balance) <= (5)", 19, "found `(`"),
    ("total(balance) <= 5.5", 20, "found `.`"),
    (
        "total(balance) <= 5_",
        19,
        "single underscores between digits",
    ),
    (
        "total(balance) <= 5__0",
        19,
        "single underscores between digits",
    ),
    (
        "total(balance) <= 9223372036854775808",
        19,
        "leaves 63 bits",
    ),
    (
        "total(balance) <= 4294967296*4294967296",
        30,
        "leaves 63 bits",
    ),
    (
        "total(balance) <= 9223372036854775807 + 1",
        41,
        "leaves 63 bits",
    ),
    (
        "total(balance) <= 99999999999999999999999999999999999999999999",
        19,
        "leaves 63 bits",
    ),
    (
        "total(balance) <= 5*total(balance)*total(balance)",
        36,
        "linear",
    ),
    (
        "total(balance) <= each(balance)",
        19,
        "one scope: this one began with `total`",
    ),
    (
        "total(months_in_arrears) <= 1",
        7,
        "use `each(months_in_arrears)`",
    ),
    (
        "total(payments) >= 1",
        15,
        "is a flow and needs a window in months, such as `payments, 6m`",
    ),
    (
        "total(payments, 2005-07) >= 1",
        17,
        "is a flow and needs a window",
    ),
    (
        "total(balance, 6m) >= 1",
        16,
        "is a stock and has no window",
    ),
    ("total(payments, 0m) >= 1", 17, "1 to 120 months"),
    ("total(payments, 121m) >= 1", 17, "1 to 120 months"),
    ("total(payments, 99999999999m) >= 1", 17, "1 to 120 months"),
    ("total(balance, 2005-13) >= 1", 16, "YYYY-MM"),
    ("total(balance, 1899-01) >= 1", 16, "from 1900-01"),
    (
        "total(balance, m) >= 1",
        16,
        "expected a window such as `6m` or a period",
    ),
    (
        "total(balance, ) >= 1",
        16,
        "expected a window such as `6m` or a period",
    ),
    ("5 <= 6", 1, "at least one value"),
    ("total(balance) <= total(balance)", 1, "at least one value"),
    ("total(balance) <= 1..5", 20, "only in a consent's template"),
    (
        "1000000000000*total(balance) <= 5",
        1,
        "must be below 2^63, with 120 entries for a window and 1 agencies",
    ),
    (
        "20000000000*total(payments, 6m) >= 5",
        1,
        "must be below 2^63",
    ),
];

#[test]
fn errors_say_what_and_where() {
    let schema = schema();
    for (text, column, says) in BAD {
        let error = Fact::parse(text, &schema).expect_err(text);
        assert_eq!(error.column, *column, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(text.is_char_boundary(error.offset));
        assert_eq!(text[..error.offset].chars().count() + 1, error.column);
    }
}

#[test]
fn size_limits() {
    let schema = schema();
    let with = |terms: usize| {
        let all: Vec<String> = (0..terms)
            .map(|i| format!("total(balance, {}-01)", 1990 + i))
            .collect();
        format!("{} >= 0", all.join("+"))
    };
    assert!(Fact::parse(&with(16), &schema).is_ok());
    let error = Fact::parse(&with(17), &schema).expect_err("17 terms");
    assert_eq!(error.kind, FactErrorKind::TooManyTerms);
    let padded = |n: usize| format!("{:n$}", "total(balance) >= 0");
    assert!(Fact::parse(&padded(1024), &schema).is_ok());
    let error = Fact::parse(&padded(1025), &schema).expect_err("1025 bytes");
    assert_eq!(
        (error.kind, error.column),
        (FactErrorKind::TooLong { got: 1025 }, 1025)
    );
    // Merging thousands of terms is refused before it is work.
    let many = format!("{}0 >= 0", "total(balance)+".repeat(66));
    let error = Fact::parse(&many, &schema).expect_err("66 terms");
    assert_eq!(error.kind, FactErrorKind::TooManyTerms);
    // A text that fits but whose canonical form does not.
    let mut attributes = schema.attributes().to_vec();
    let mut sum = Vec::new();
    for i in 0..14 {
        let name = format!("{}{:02}", "a".repeat(62), i);
        sum.push(format!("total({name})"));
        attributes.push(Attribute {
            name,
            ..attributes[1].clone()
        });
    }
    let schema = Schema::new(2, attributes).expect("valid");
    let text = |n: usize| format!("{}>=0", sum[..n].join("+"));
    assert!(Fact::parse(&text(13), &schema).is_ok());
    assert_eq!(text(14).len(), 1010);
    let kind = Fact::parse(&text(14), &schema).map_err(|e| e.kind);
    assert_eq!(kind, Err(FactErrorKind::TooLong { got: 1038 }));
}

#[test]
fn the_bound_counts_agencies_and_entries() {
    let schema = schema();
    // 10^7·w·agencies < 2^63, with the range 11,000,000 of balance as the largest factor.
    let fits = i64::MAX / 11_000_000 / 4;
    let fact = Fact::parse(&format!("{fits}*total(balance) >= 0"), &schema).expect("fits once");
    assert_eq!(fact.check_bound(&schema, 4), Ok(()));
    assert_eq!(
        fact.check_bound(&schema, 5),
        Err(BoundError::Exceeded { agencies: 5 })
    );
    let fits = i64::MAX / 5_000_000 / 120;
    let flow = |w: i64| Fact::parse(&format!("{w}*total(payments, 1m) >= 0"), &schema);
    assert!(flow(fits).is_ok());
    assert!(flow(fits + 1).is_err());
    // The constant counts: |const| + 11,000,000 < 2^63.
    let edge = i64::MAX - 11_000_000;
    let fact = |c: i64| Fact::parse(&format!("total(balance) >= -{c}"), &schema);
    assert!(fact(edge).is_ok());
    assert!(fact(edge + 1).is_err());
    // Overflow far beyond 128 bits is refused, not wrapped.
    let wide = Fact::parse("1000*total(balance) >= 0", &schema).expect("fits");
    assert!(wide.check_bound(&schema, usize::MAX).is_err());
    let other = Schema::new(1, schema.attributes()[..1].to_vec()).expect("valid");
    assert_eq!(
        wide.check_bound(&other, 1),
        Err(BoundError::Schema("balance".into()))
    );
}

#[test]
fn templates_cover_their_range() {
    let schema = schema();
    let covers = |template: &str, fact: &str| {
        let template = FactTemplate::parse(template, &schema).unwrap_or_else(|e| panic!("{e}"));
        let again = FactTemplate::parse(&template.to_string(), &schema);
        assert_eq!(again.as_ref(), Ok(&template), "{template}");
        template.covers(&Fact::parse(fact, &schema).unwrap_or_else(|e| panic!("{e}")))
    };
    let t = "total(balance) <= 100_000..500_000";
    assert!(covers(t, "total(balance) <= 100000"));
    assert!(covers(t, "total(balance) <= 500000"));
    assert!(covers(t, "total(balance) + 1 <= 300000"));
    assert!(!covers(t, "total(balance) <= 99999"));
    assert!(!covers(t, "total(balance) <= 500001"));
    assert!(!covers(t, "total(balance) >= 300000"));
    assert!(!covers(t, "total(balance) == 300000"));
    assert!(!covers(t, "each(balance) <= 300000"));
    assert!(!covers(t, "2*total(balance) <= 300000"));
    assert!(!covers(t, "total(balance, 2005-01) <= 300000"));
    assert!(!covers(t, "total(credit_limit) <= 300000"));
    assert!(covers(
        "-2*10..-5 <= total(balance)",
        "total(balance) >= -7"
    ));
    assert!(covers("total(balance) == -5..5", "total(balance) == -5"));
    assert!(covers("-5..6 == -total(balance)", "total(balance) == -6"));
    assert!(!covers("-5..6 == -total(balance)", "total(balance) == 6"));
    assert!(covers(
        "10*total(balance) - 8*total(credit_limit) <= 0..10",
        "10*total(balance) <= 8*total(credit_limit) + 10"
    ));
    let exact = "total(balance) <= 5";
    assert!(covers(exact, exact) && !covers(exact, "total(balance) <= 4"));
    let fact = Fact::parse(exact, &schema).expect("valid");
    assert_eq!(
        FactTemplate::parse(exact, &schema),
        Ok(FactTemplate::exact(&fact))
    );
    for (text, column, says) in [
        (
            "total(balance) <= 5..4",
            22,
            "ends with its larger constant",
        ),
        ("total(balance) <= 1..2 + 3", 24, "stands alone on its side"),
        ("total(balance) <= 1 + 1..2", 23, "stands alone on its side"),
        ("total(balance)..5 <= 1", 1, "stands alone on its side"),
        ("1..total(balance) <= 1", 4, "ends with a constant"),
        (
            "total(balance) >= 1 - total(credit_limit)..5",
            23,
            "stands alone",
        ),
        ("1..2 <= 3", 1, "at least one value"),
        ("total(balance) <= 1..9223372036854775807", 1, "below 2^63"),
    ] {
        let error = FactTemplate::parse(text, &schema).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn queries_are_checked() {
    let schema = schema();
    let as_of = period("2005-09");
    let ask = |texts: &[&str], agencies: Vec<AgencyId>, as_of| {
        Query::new(
            &schema,
            facts(&schema, texts),
            agencies,
            as_of,
            HitPolicy::Zero,
        )
        .map(|_| ())
    };
    let one = ["total(balance) <= 5"];
    assert_eq!(ask(&one, agencies(64), as_of), Ok(()));
    assert_eq!(
        ask(&one, agencies(65), as_of),
        Err(QueryError::Agencies(65))
    );
    assert_eq!(ask(&one, vec![], as_of), Err(QueryError::Agencies(0)));
    assert_eq!(ask(&[], agencies(1), as_of), Err(QueryError::Facts(0)));
    assert_eq!(
        ask(&[one[0]; 17], agencies(1), as_of),
        Err(QueryError::Facts(17))
    );
    for bad in [[2, 1], [2, 2]] {
        let list = bad.map(AgencyId).to_vec();
        assert_eq!(
            ask(&one, list, as_of),
            Err(QueryError::Order(AgencyId(bad[1])))
        );
    }
    let big = format!("{}*total(balance) >= 0", i64::MAX / 11_000_000 / 4);
    assert_eq!(ask(&[&big], agencies(4), as_of), Ok(()));
    assert!(matches!(
        ask(&[one[0], &big], agencies(5), as_of),
        Err(QueryError::Bound { fact: 2, .. })
    ));
    assert_eq!(
        ask(&["total(balance, 2005-09) >= 0"], agencies(1), as_of),
        Ok(())
    );
    assert!(matches!(
        ask(&["total(balance, 2005-10) >= 0"], agencies(1), as_of),
        Err(QueryError::Future { fact: 1, .. })
    ));
    let early = period("1909-12");
    assert_eq!(
        ask(&["total(payments, 120m) >= 0"], agencies(1), early),
        Ok(())
    );
    assert!(matches!(
        ask(&["total(payments, 120m) >= 0"], agencies(1), early.minus(1)),
        Err(QueryError::Past {
            fact: 1,
            months: 120,
            ..
        })
    ));
    let many: Vec<String> = (0..33)
        .map(|i| format!("total(balance, {}-01)", 1950 + i))
        .collect();
    let (a, b) = many.split_at(16);
    let (b, c) = b.split_at(16);
    let texts = [a, b, c].map(|part| format!("{} >= 0", part.join("+")));
    let two: Vec<&str> = texts[..2].iter().map(String::as_str).collect();
    let three: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(ask(&two, agencies(1), as_of), Ok(()));
    assert_eq!(
        ask(&three, agencies(1), as_of),
        Err(QueryError::Sources(33))
    );
    let bad = [FactText::new("total(balanc) <= 1").expect("short")];
    let error =
        Query::parse(&schema, &bad, &[], agencies(1), as_of, HitPolicy::Zero).expect_err("bad");
    assert!(
        error
            .to_string()
            .starts_with("fact 1: at column 7: unknown attribute")
    );
}

const VALUES: [&str; 7] = [
    "(present)",
    "(balance)",
    "(credit_limit, 2005-02)",
    "(balance, 1999-12)",
    "(payments, 6m)",
    "(payments, 120m)",
    "(months_90_late, 1m)",
];

prop_compose! {
    fn side(scope: &'static str)(
        parts in prop::collection::vec((any::<bool>(), 0i64..1_000_000, prop::option::of(0..VALUES.len())), 1..6)
    ) -> String {
        let mut text = String::new();
        for (i, (minus, number, value)) in parts.into_iter().enumerate() {
            text += match (i, minus) { (_, true) => "-", (0, false) => "", (_, false) => " + " };
            text += &number.to_string();
            if let Some(value) = value {
                text += &format!(" * {scope}{}", VALUES[value]);
            }
        }
        text
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let comparison = prop::sample::select(vec!["<=", ">=", "=="]);
    prop::sample::select(vec!["total", "each"])
        .prop_flat_map(move |scope| (side(scope), comparison.clone(), side(scope)))
        .prop_map(|(left, comparison, right)| format!("{left}{comparison}{right}"))
}

proptest! {
    #[test]
    fn canonical_text_parses_back(text in any_text()) {
        let schema = schema();
        match Fact::parse(&text, &schema) {
            Ok(fact) => {
                prop_assert_eq!(Fact::parse(&fact.to_string(), &schema), Ok(fact.clone()));
                let template = FactTemplate::parse(&fact.to_string(), &schema);
                prop_assert!(template.expect("a fact is a template").covers(&fact));
            }
            Err(e) => prop_assert_eq!(e.kind, FactErrorKind::NoTerms, "{}", text),
        }
    }

    #[test]
    fn templates_parse_back(text in any_text(), low in -1000i64..1000, more in 0i64..1000) {
        let schema = schema();
        let Some((left, comparison)) = ["<=", ">=", "=="]
            .into_iter()
            .find_map(|c| Some((text.split_once(c)?.0.to_owned(), c))) else { unreachable!() };
        let text = format!("{left} {comparison} {low}..{}", low + more);
        if let Ok(template) = FactTemplate::parse(&text, &schema) {
            prop_assert_eq!(FactTemplate::parse(&template.to_string(), &schema), Ok(template.clone()));
            for (c, inside) in [(low - 1, false), (low, true), (low + more, true), (low + more + 1, false)] {
                let fact = Fact::parse(&format!("{left} {comparison} {c}"), &schema).expect("as above");
                prop_assert_eq!(template.covers(&fact), inside, "{} {}", template, fact);
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_fact(text in "[a-z0-9_(),*+<>=.é -]{0,60}") {
        let schema = schema();
        if let Err(e) = Fact::parse(&text, &schema) {
            prop_assert!(e.offset <= text.len());
        }
    }
}
