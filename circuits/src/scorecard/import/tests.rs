//! Cards as tools write them, and what is refused.

use super::*;
use crate::ids::AgencyId;
use crate::scorecard::{Measure, Span};

fn mapping(json: &str) -> Mapping {
    serde_json::from_str(json).expect("a mapping")
}

fn py(json: &str) -> Imported {
    from_scorecardpy(json.as_bytes(), &Mapping::default()).expect(json)
}

fn py_error(json: &str) -> String {
    from_scorecardpy(json.as_bytes(), &Mapping::default())
        .expect_err(json)
        .to_string()
}

/// Bins as (from, to, points).
fn bins(card: &Card, variable: usize) -> Vec<(i64, i64, i64)> {
    (card.variables()[variable].bins.iter())
        .map(|b| (b.from, b.to, b.points))
        .collect()
}

const HALF: i64 = 1 << 39;

#[test]
fn scorecardpy_in_every_arrangement() {
    let rows = r#"[{"bin":"[-inf,2.5)","points":-3.0},{"bin":"[2.5,1e+02)","points":4.0},{"bin":"[100.0,inf)","points":-0.0}]"#;
    let expected = [(-HALF, 3, -3), (3, 100, 4), (100, HALF, 0)];
    let texts = [
        format!(r#"{{"card":[{{"variable":"Age in years","bins":{rows}}}],"basepoints":478.0,"params":{{}}}}"#),
        format!(r#"{{"basepoints":[{{"variable":"basepoints","bin":null,"points":478.0}}],"Age in years":{rows}}}"#),
        r#"{"basepoints":{"variable":{"0":"basepoints"},"bin":{"0":null},"points":{"0":478}},
            "Age in years":{"bin":{"0":"[-inf,2.5)","10":"[100.0,inf)","2":"[2.5,1e+02)"},"points":{"0":-3,"2":4,"10":0}}}"#.into(),
        r#"[{"variable":"basepoints","bin":null,"points":478},{"variable":"Age in years","bin":"[-inf,2.5)","points":-3},
            {"variable":"Age in years","bin":"[2.5,1e+02)","points":4},{"variable":"Age in years","bin":"[100.0,inf)","points":0}]"#.into(),
    ];
    for text in &texts {
        let Imported { card, codes } = py(text);
        assert_eq!((card.base(), card.scale(), card.reasons()), (478, 1, true));
        assert_eq!(bins(&card, 0), expected, "{text}");
        assert_eq!(card.variables()[0].name, "Age in years");
        assert_eq!(card.variables()[0].reference.attribute, "age_in_years");
        assert!(codes.is_empty());
    }
}

#[test]
fn categories_missing_and_special_values() {
    let text = r#"{"basepoints":{"points":100},
        "housing":[{"bin":"own","points":5},{"bin":"rent%,%for free","points":-5},{"bin":"missing","points":-9}],
        "job":[{"bin":"3%,%1","points":1},{"bin":"2","points":2}],
        "code":[{"bin":"10%,%30","points":1},{"bin":"20","points":2}],
        "amount":[{"bin":"missing%,%-999.0","points":-7,"special":true},{"bin":"[-inf,0.0)","points":1},{"bin":"[0.0,inf)","points":2}],
        "income":[{"bin":"missing%,%[0,500)","points":-1},{"bin":"[500,1000)","points":3}]}"#;
    let Imported { card, codes } = py(text);
    let of = |name: &str| {
        let at = card
            .variables()
            .iter()
            .position(|v| v.name == name)
            .expect(name);
        bins(&card, at)
    };
    // Codes in the order of the card, missing below them.
    assert_eq!(of("housing"), [(-1, 0, -9), (0, 1, 5), (1, 3, -5)]);
    let housing = &codes["housing"];
    assert_eq!(
        (
            housing["own"],
            housing["rent"],
            housing["for free"],
            housing[MISSING]
        ),
        (0, 1, 2, -1)
    );
    let labels: Vec<&str> = (card
        .variables()
        .iter()
        .find(|v| v.name == "housing")
        .expect("housing")
        .bins
        .iter())
    .map(|b| b.label.as_str())
    .collect();
    assert_eq!(labels, ["missing", "own", "rent, for free"]);
    // Integers without holes stand for themselves; {1, 3} around {2} takes two rows.
    assert_eq!(of("job"), [(1, 2, 1), (2, 3, 2), (3, 4, 1)]);
    // Integers with holes are numbered.
    assert_eq!(of("code"), [(0, 2, 1), (2, 3, 2)]);
    assert_eq!(codes["code"]["30"], 1);
    // A special value is taken before the interval around it.
    assert_eq!(
        of("amount"),
        [
            (-HALF, -HALF + 1, -7),
            (-HALF + 1, -999, 1),
            (-999, -998, -7),
            (-998, 0, 1),
            (0, HALF, 2)
        ]
    );
    assert_eq!(of("income"), [(-1, 500, -1), (500, 1000, 3)]);
    assert_eq!(codes["income"][MISSING], -1);
}

#[test]
fn mappings_and_scales() {
    let text = r#"{"basepoints":{"points":612.5},"ratio":[{"bin":"[-inf,0.355)","points":-1.25},{"bin":"[0.355,inf)","points":3.5}],
        "state":[{"bin":"a%,%b","points":0.1},{"bin":"c","points":0}]}"#;
    let m = mapping(
        r#"{"name":"mine","variables":{
            "ratio":{"attribute":"utilisation","lag":2,"measure":"flow","agency":7,"multiplier":100,"low":0,"high":10001,"reason":"R1"},
            "state":{"codes":{"a":4,"b":6,"c":5,"d":9}}}}"#,
    );
    let Imported { card, .. } = from_scorecardpy(text.as_bytes(), &m).expect("imports");
    assert_eq!(
        (card.name(), card.scale(), card.base()),
        ("mine", 100, 61_250)
    );
    // Names are made such that cards may have them.
    let long = format!(
        "\u{201c}risk\u{200b}\u{201d}  card \u{2013} {}",
        "é".repeat(40)
    );
    for (name, expected) in [
        (long.as_str(), format!("risk card {}", "é".repeat(27))),
        ("\"\"", "scorecard".to_owned()),
    ] {
        let m = mapping(&serde_json::json!({ "name": name }).to_string());
        let other = r#"{"basepoints":{"points":1},"x":[{"bin":"[-inf,inf)","points":1}]}"#;
        let made = from_scorecardpy(other.as_bytes(), &m).expect("imports");
        assert_eq!(made.card.name(), expected);
    }
    let ratio = &card.variables()[0];
    assert_eq!(ratio.reference.attribute, "utilisation");
    assert_eq!(
        (ratio.reference.lag, ratio.reference.measure),
        (2, Measure::Flow)
    );
    assert_eq!(
        (ratio.reference.span, ratio.reason()),
        (Span::Agency(AgencyId(7)), "R1")
    );
    // 35.5 hundredths: 36 is the first above.
    assert_eq!(bins(&card, 0), [(0, 36, -125), (36, 10_001, 350)]);
    assert_eq!(bins(&card, 1), [(4, 5, 10), (5, 6, 0), (6, 7, 10)]);
    assert_eq!(
        card.show(card.evaluate(&[35, 6]).expect("in range").score()),
        "611.35"
    );

    // Unrounded points are refused until somebody says how many decimals count.
    let text =
        r#"{"basepoints":{"points":1},"v":[{"bin":"[-inf,inf)","points":0.12345678901234}]}"#;
    assert_eq!(
        py_error(text),
        "variable \"v\", bin 1: points 0.12345678901234 have more than 9 decimals; say how many to keep"
    );
    let Imported { card, .. } =
        from_scorecardpy(text.as_bytes(), &mapping(r#"{"decimals":3}"#)).expect("rounds");
    assert_eq!((card.scale(), bins(&card, 0)[0].2), (1000, 123));
}

#[test]
fn scorecardpy_refusals_name_the_bin() {
    let v = |rows: &str| format!(r#"{{"basepoints":{{"points":1}},"v":[{rows}]}}"#);
    let two = |a: &str, b: &str| {
        v(&format!(
            r#"{{"bin":"{a}","points":1}},{{"bin":"{b}","points":2}}"#
        ))
    };
    for (text, message) in [
        (
            two("[-inf,5)", "[6,inf)"),
            "variable \"v\": no bin takes the values from 5 to 5",
        ),
        (
            two("[-inf,x)", "[6,inf)"),
            "variable \"v\", bin 1: \"x\" is not a number",
        ),
        (
            two("[-inf,6)", "[6,1e300)"),
            "variable \"v\", bin 2: 1e300 is too large for a card",
        ),
        (
            two("[0,5)", "5.5"),
            "variable \"v\", bin 2: \"5.5\" is not a number",
        ),
        (
            v(r#"{"bin":"[0,5)"}"#),
            "variable \"v\", bin 1: has no points",
        ),
        (v(r#"{"points":5}"#), "variable \"v\", bin 1: has no bin"),
        (v(""), "variable \"v\": has no bin with a value"),
        (
            v(r#"{"bin":"[0,2000000000000)","points":1}"#),
            "variable \"v\": [0, 2000000000000) has more than 2^40 values",
        ),
        (r#"{"v":[]}"#.into(), "not a card: there are no base points"),
        ("7".into(), "not a card: neither an object nor a list"),
        (
            r#"{"card":7,"basepoints":1}"#.into(),
            "not a card: neither an object nor a list",
        ),
        (
            r#"[{"bin":"a"}]"#.into(),
            "not a card: a row has no variable",
        ),
    ] {
        assert_eq!(py_error(&text), message, "{text}");
    }
    assert!(py_error("{").starts_with("not readable: "));
    let thirteen: Vec<String> = (0..13)
        .map(|i| format!(r#"{{"bin":"c{i}","points":{i}}}"#))
        .collect();
    assert_eq!(
        py_error(&v(&thirteen.join(","))),
        "variable \"v\": 1 to 12 bins, not 13"
    );
    let text = two("[-inf,5)", "[5,inf)");
    let unknown = from_scorecardpy(text.as_bytes(), &mapping(r#"{"variables":{"w":{}}}"#));
    assert_eq!(unknown, Err(ImportError::UnknownVariable("w".into())));
    assert!(matches!(
        from_scorecardpy(&vec![b' '; MAX_IMPORT_BYTES + 1], &Mapping::default()),
        Err(ImportError::TooLong(_))
    ));
}

fn pmml(scorecard: &str, characteristics: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><PMML xmlns="http://www.dmg.org/PMML-4_2" version="4.2">
        <DataDictionary><DataField name="department" optype="categorical" dataType="string">
        <Value value="marketing"/><Value value="sales"/><Value value="?" property="missing"/></DataField>
        <DataField name="age" optype="continuous" dataType="integer"/></DataDictionary>
        <Scorecard modelName="SampleScorecard" functionName="regression" {scorecard}>
        <MiningSchema><MiningField name="age"/></MiningSchema>
        <Characteristics>{characteristics}</Characteristics></Scorecard></PMML>"#
    )
}

fn read(text: &str) -> Result<Imported, ImportError> {
    from_pmml(text.as_bytes(), &Mapping::default())
}

/// The shape of the example in the PMML specification, with other words.
const SAMPLE: &str = r#"
<Characteristic name="departmentScore" reasonCode="RC1" baselineScore="19">
  <Attribute partialScore="-9"><SimplePredicate field="department" operator="isMissing"/></Attribute>
  <Attribute partialScore="19"><SimplePredicate field="department" operator="equal" value="marketing"/></Attribute>
  <Attribute partialScore="3"><SimpleSetPredicate field="department" booleanOperator="isIn"><Array n="2" type="string">"engineering" "human \"res\""</Array></SimpleSetPredicate></Attribute>
  <Attribute partialScore="0"><True/></Attribute>
</Characteristic>
<Characteristic name="ageScore">
  <Attribute partialScore="-1" reasonCode="RC2_1"><SimplePredicate field="age" operator="isMissing"/></Attribute>
  <Attribute partialScore="-3" reasonCode="RC2_2"><SimplePredicate field="age" operator="lessOrEqual" value="18"/></Attribute>
  <Attribute partialScore="0" reasonCode="RC2_2"><CompoundPredicate booleanOperator="and"><SimplePredicate field="age" operator="greaterThan" value="18"/><SimplePredicate field="age" operator="lessThan" value="29.5"/></CompoundPredicate></Attribute>
  <Attribute partialScore="12.5" reasonCode="RC2_2"><SimplePredicate field="age" operator="greaterOrEqual" value="29.5"/></Attribute>
</Characteristic>
<Characteristic name="incomeScore">
  <Attribute partialScore="5" reasonCode="RC3"><SimplePredicate field="income" operator="lessThan" value="1000"/></Attribute>
  <Attribute partialScore="7" reasonCode="RC3"><SimplePredicate field="income" operator="lessThan" value="2000"/></Attribute>
  <Attribute partialScore="26" reasonCode="RC3"><True/></Attribute>
</Characteristic>"#;

#[test]
fn pmml_scorecards() {
    let text = pmml(
        r#"initialScore="10" useReasonCodes="true" reasonCodeAlgorithm="pointsBelow""#,
        SAMPLE,
    );
    let Imported { card, codes } = read(&text).expect("imports");
    assert_eq!(
        (card.name(), card.scale(), card.base(), card.reasons()),
        ("SampleScorecard", 10, 100, true)
    );
    // marketing 0, engineering 1, human "res" 2, sales 3 (from the dictionary), other 4, missing 5.
    let department = &codes["departmentScore"];
    assert_eq!(
        (
            department["marketing"],
            department["human \"res\""],
            department["sales"]
        ),
        (0, 2, 3)
    );
    assert_eq!((department[OTHER], department[MISSING]), (4, 5));
    assert_eq!(
        bins(&card, 0),
        [(0, 1, 190), (1, 3, 30), (3, 5, 0), (5, 6, -90)]
    );
    assert_eq!(card.variables()[0].bins[2].label, "sales, other");
    // The age's missing value is below everything that 40 bits reach.
    assert_eq!(
        bins(&card, 1),
        [
            (-HALF, -HALF + 1, -10),
            (-HALF + 1, 19, -30),
            (19, 30, 0),
            (30, HALF, 125)
        ]
    );
    // The first attribute that is true counts.
    assert_eq!(
        bins(&card, 2),
        [(-HALF, 1000, 50), (1000, 2000, 70), (2000, HALF, 260)]
    );
    let reasons: Vec<&str> = card.variables().iter().map(|v| v.reason()).collect();
    // Codes that differ between attributes would tell the bin.
    assert_eq!(reasons, ["RC1", "ageScore", "RC3"]);
    assert_eq!(card.variables()[2].reference.attribute, "income");
    // 10 + 3 + 12.5 + 7.
    assert_eq!(
        card.show(card.evaluate(&[1, 44, 1500]).expect("in range").score()),
        "32.5"
    );

    let m = mapping(
        r#"{"variables":{"age":{"attribute":"years","missing":-1,"low":-1,"high":151},"departmentScore":{"codes":{"marketing":7,"engineering":8,"human \"res\"":9,"sales":6}}}}"#,
    );
    let Imported { card, codes } = from_pmml(text.as_bytes(), &m).expect("imports");
    assert_eq!(
        bins(&card, 1),
        [(-1, 0, -10), (0, 19, -30), (19, 30, 0), (30, 151, 125)]
    );
    assert_eq!(card.variables()[1].reference.attribute, "years");
    assert_eq!(codes["departmentScore"][MISSING], 11);
    assert_eq!(
        bins(&card, 0),
        [
            (6, 7, 0),
            (7, 8, 190),
            (8, 10, 30),
            (10, 11, 0),
            (11, 12, -90)
        ]
    );

    for (scorecard, reasons) in [
        ("", true),
        (r#"useReasonCodes="false""#, false),
        (r#"reasonCodeAlgorithm="pointsAbove""#, false),
    ] {
        assert_eq!(
            read(&pmml(scorecard, SAMPLE))
                .expect("imports")
                .card
                .reasons(),
            reasons
        );
    }
}

#[test]
fn pmml_predicates() {
    let one = |predicate: &str, rest: &str| {
        let text = format!(
            r#"<Characteristic name="c"><Attribute partialScore="1">{predicate}</Attribute><Attribute partialScore="2">{rest}</Attribute></Characteristic>"#
        );
        read(&pmml("", &text)).map(|i| bins(&i.card, 0))
    };
    let simple = |operator: &str, value: &str| {
        format!(r#"<SimplePredicate field="x" operator="{operator}" value="{value}"/>"#)
    };
    let both = |operator: &str, a: &str, b: &str| {
        format!(r#"<CompoundPredicate booleanOperator="{operator}">{a}{b}</CompoundPredicate>"#)
    };
    let (low, high) = (simple("greaterThan", "5"), simple("lessOrEqual", "9.9"));
    for (predicate, ones) in [
        (simple("equal", "5"), &[(5, 6)][..]),
        (simple("notEqual", "5"), &[(-HALF, 5), (6, HALF)]),
        (simple("equal", "5.0"), &[(5, 6)]),
        (both("and", &low, &high), &[(6, 10)]),
        (both("xor", &low, &high), &[(-HALF, 6), (10, HALF)]),
        (both("or", &simple("lessThan", "0"), &simple("greaterOrEqual", "0.5")), &[(-HALF, 0), (1, HALF)]),
        (both("surrogate", &low, &high), &[(6, HALF)]),
        (r#"<SimpleSetPredicate field="x" booleanOperator="isNotIn"><Array type="int">3 1 2</Array></SimpleSetPredicate>"#.into(), &[(-HALF, 1), (4, HALF)]),
    ] {
        let all = one(&predicate, "<True/>").expect(&predicate);
        let found: Vec<(i64, i64)> = all.iter().filter(|b| b.2 == 1).map(|b| (b.0, b.1)).collect();
        assert_eq!(found, ones, "{predicate}");
    }
    // A missing value makes comparisons unknown; the surrogate then decides, and `or` may still hold.
    let missing = r#"<SimplePredicate field="x" operator="isMissing"/>"#;
    let known = simple("lessThan", "5");
    let code = (-HALF, -HALF + 1);
    for (predicate, takes) in [
        (both("or", &known, missing), true),
        (both("and", &known, missing), false),
        (both("surrogate", &known, missing), true),
        (both("xor", &known, missing), false),
        (both("or", &simple("notEqual", "5"), "<False/>"), false),
    ] {
        // The second attribute says where the missing value goes.
        let rest = both("or", missing, "<True/>");
        let all = one(&predicate, &rest).expect(&predicate);
        let first = all[0];
        assert_eq!(first.0, code.0);
        assert_eq!(first.2 == 1, takes, "{predicate} {all:?}");
    }
}

#[test]
fn pmml_refusals_name_the_attribute() {
    let c = |inner: &str| {
        pmml(
            "",
            &format!(r#"<Characteristic name="c">{inner}</Characteristic>"#),
        )
    };
    let a = |inner: &str| {
        c(&format!(
            r#"<Attribute partialScore="1">{inner}</Attribute>"#
        ))
    };
    let p = |field: &str| {
        format!(r#"<SimplePredicate field="{field}" operator="lessThan" value="1"/>"#)
    };
    for (text, message) in [
        (
            "<PMML/>".into(),
            "not a card: there is no Scorecard".to_owned(),
        ),
        (
            pmml(r#"initialScore="x""#, SAMPLE),
            "variable \"initialScore\": \"x\" is not a number".into(),
        ),
        (
            pmml(r#"isScorable="false""#, SAMPLE),
            "not a card: the Scorecard says that it is not scorable".into(),
        ),
        (a("<True/>"), "variable \"c\": has no field".into()),
        (a(""), "variable \"c\", bin 1: has no predicate".into()),
        (
            c(&format!("<Attribute>{}</Attribute>", p("x"))),
            "variable \"c\", bin 1: has no partialScore".into(),
        ),
        (
            c(&format!(
                "<Attribute><ComplexPartialScore/>{}</Attribute>",
                p("x")
            )),
            "variable \"c\", bin 1: a ComplexPartialScore is computed; a card's points are numbers"
                .into(),
        ),
        (
            a(&format!(
                r#"<CompoundPredicate booleanOperator="and">{}{}</CompoundPredicate>"#,
                p("x"),
                p("y")
            )),
            "variable \"c\": reads the fields \"x\" and \"y\"; a variable of a card reads one"
                .into(),
        ),
        (
            a(r#"<SimplePredicate field="department" operator="lessThan" value="sales"/>"#),
            "variable \"c\", bin 1: categories are compared by equal and notEqual only".into(),
        ),
        (
            a(r#"<SimplePredicate field="x" operator="near" value="1"/>"#),
            "variable \"c\", bin 1: an operator that PMML does not have".into(),
        ),
        (
            c(&format!(
                r#"<Attribute partialScore="1">{}</Attribute><Attribute partialScore="1"><SimplePredicate field="x" operator="greaterThan" value="1"/></Attribute>"#,
                p("x")
            )),
            "variable \"c\": no bin takes the values from 1 to 1".into(),
        ),
        (pmml("", ""), "a card has 1 to 32 variables, not 0".into()),
    ] {
        assert_eq!(read(&text).expect_err(&text).to_string(), message);
    }
    // No entities, no endless nesting, no bytes that are no text.
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa">]><PMML>&a;</PMML>"#;
    assert!(matches!(read(bomb), Err(ImportError::Syntax(_))));
    let deep = format!(
        "{}{}{}",
        r#"<CompoundPredicate booleanOperator="or">"#.repeat(40),
        p("x"),
        "</CompoundPredicate>".repeat(40)
    );
    assert!(
        read(&a(&deep))
            .expect_err("deep")
            .to_string()
            .contains("nested too deeply")
    );
    assert!(matches!(
        from_pmml(&[0xff, 0xfe], &Mapping::default()),
        Err(ImportError::Syntax(_))
    ));
}
