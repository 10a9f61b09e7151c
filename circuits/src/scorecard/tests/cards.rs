//! Rules of cards, one by one.

use super::*;
use crate::ids::AgencyId;
use crate::schema::{Aggregate, Attribute, Class, Schema};

fn with(change: impl FnOnce(&mut Vec<Variable>)) -> Result<Card, CardError> {
    let mut variables = card().variables().to_vec();
    change(&mut variables);
    Card::new("c".into(), 1, 0, true, variables)
}

fn refused(change: impl FnOnce(&mut Vec<Variable>), expected: &str) {
    assert_eq!(with(change).expect_err(expected).to_string(), expected);
}

#[test]
fn errors_name_variable_and_bin() {
    refused(|v| v.clear(), "a card has 1 to 32 variables, not 0");
    refused(
        |v| {
            *v = (0..33)
                .map(|i| variable(&format!("v{i}"), &[0, 1], &[0]))
                .collect()
        },
        "a card has 1 to 32 variables, not 33",
    );
    refused(
        |v| v[1].bins[4].from -= 1,
        "variable \"utilisation\", bin 5: starts at 159, but the bin before ends at 160: they overlap",
    );
    refused(
        |v| v[1].bins[4].from += 1,
        "variable \"utilisation\", bin 5: starts at 161, but the bin before ends at 160: values between have no bin",
    );
    refused(
        |v| v[3].bins[0].to = 7,
        "variable \"constant\", bin 1: [7, 7) is empty",
    );
    refused(
        |v| v[2].bins[1].to += 1,
        "variable \"income\": [-5, 1099511627772) has more than 2^40 values",
    );
    refused(
        |v| v[2].bins[1].to = i64::MAX,
        "variable \"income\", bin 2: [30000, 9223372036854775807) leaves ±288230376151711744",
    );
    refused(
        |v| v[0].bins[3].points = i64::MIN,
        "variable \"balance\", bin 4: points -9223372036854775808 exceed 1099511627776 in absolute value",
    );
    refused(
        |v| v[0].bins[3].points = 20 - (1 << 32),
        "variable \"balance\", bin 4: points -4294967276 are 2^32 or more below the best of the variable, 20",
    );
    assert!(with(|v| v[0].bins[3].points = 21 - (1 << 32)).is_ok());
    refused(
        |v| v[0].bins.clear(),
        "variable \"balance\": 1 to 12 bins, not 0",
    );
    refused(
        |v| *v = vec![variable("many", &(0..=13).collect::<Vec<_>>(), &[0; 13])],
        "variable \"many\": 1 to 12 bins, not 13",
    );
    refused(
        |v| v[1].name = "balance".into(),
        "variable \"balance\" occurs twice",
    );
    refused(
        |v| v[1].name.clear(),
        "variable 2 (\"\"): a name has 1 to 64 bytes and no control characters",
    );
    refused(
        |v| v[1].reference.attribute = "Utilisation".into(),
        "variable \"utilisation\": an attribute's name is [a-z][a-z0-9_]*, at most 64 bytes",
    );
    refused(
        |v| v[1].reference.lag = 121,
        "variable \"utilisation\": a lag is at most 120 periods, not 121",
    );
    refused(
        |v| v[1].bins[0].label = "a\nb".into(),
        "variable \"utilisation\", bin 1: a label has at most 64 bytes and no control characters",
    );
    refused(
        |v| v[1].reason = "x".repeat(65),
        "variable \"utilisation\": a reason code has at most 64 bytes and no control characters",
    );
    let variables = card().variables().to_vec();
    let card =
        |name: &str, scale, base| Card::new(name.into(), scale, base, true, variables.clone());
    // Empty, too long, or not what it seems to be.
    for name in [
        "",
        &"n".repeat(65),
        "a\"b",
        "a\u{200b}b",
        "a\u{202e}b",
        " a",
        "a ",
        "a  b",
        "a\tb",
    ] {
        assert_eq!(card(name, 1, 0), Err(CardError::Name), "{name:?}");
    }
    for name in ["retail (2024)", "Привет 2", "信用評分", &"n".repeat(64)] {
        assert!(card(name, 1, 0).is_ok(), "{name:?}");
    }
    assert_eq!(card("c", 0, 0), Err(CardError::Scale(0)));
    assert_eq!(
        card("c", 1_000_000_001, 0),
        Err(CardError::Scale(1_000_000_001))
    );
    assert_eq!(card("c", 1, i64::MIN), Err(CardError::Base(i64::MIN)));
}

fn schema(stock: (i64, i64), aggregate: Aggregate) -> Schema {
    let attribute = |name: &str, class, aggregate, min, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    let attributes = vec![
        attribute("present", Class::Stock, Aggregate::Max, 0, 1),
        attribute("balance", Class::Stock, aggregate, stock.0, stock.1),
        attribute("paid", Class::Flow, Aggregate::Sum, 0, 100),
    ];
    Schema::new(1, attributes).expect("valid")
}

#[test]
fn cards_and_schemas() {
    let one = |change: &dyn Fn(&mut Variable)| {
        let mut v = variable("balance", &[-200, 0, 601], &[1, 2]);
        change(&mut v);
        Card::new("c".into(), 1, 0, true, vec![v]).expect("valid")
    };
    let fits = one(&|_| {});
    let agencies = [1, 2, 3].map(AgencyId);
    let sum = schema((-50, 200), Aggregate::Sum);
    assert_eq!(fits.check_schema(&sum, &agencies), Ok(()));
    let check = |card: &Card, schema: &Schema, agencies: &[AgencyId]| {
        card.check_schema(schema, agencies)
            .expect_err("a mismatch")
            .to_string()
    };
    assert_eq!(
        check(&fits, &sum, &[1, 2, 3, 4].map(AgencyId)),
        "variable \"balance\": values are -200 to 800, and the bins cover [-200, 601) only"
    );
    assert_eq!(
        check(&fits, &schema((-300, 200), Aggregate::Sum), &agencies[..1]),
        "variable \"balance\": values are -300 to 200, and the bins cover [-200, 601) only"
    );
    assert_eq!(
        check(&fits, &schema((0, 9), Aggregate::Max), &agencies),
        "variable \"balance\": \"balance\" is a maximum or minimum of accounts and has no total"
    );
    let single = one(&|v| v.reference.span = Span::Agency(AgencyId(2)));
    assert_eq!(
        single.check_schema(&schema((0, 9), Aggregate::Max), &agencies),
        Ok(())
    );
    assert_eq!(
        check(&single, &sum, &agencies[2..]),
        "variable \"balance\": agency 2 is not listed"
    );
    let unknown = one(&|v| v.reference.attribute = "balances".into());
    assert_eq!(
        check(&unknown, &sum, &agencies),
        "variable \"balance\": the schema has no attribute \"balances\""
    );
    let flow = one(&|v| {
        v.reference.attribute = "paid".into();
        v.reference.measure = Measure::Flow;
    });
    assert_eq!(flow.check_schema(&sum, &agencies), Ok(()));
    let level = one(&|v| v.reference.attribute = "paid".into());
    assert_eq!(
        check(&level, &sum, &agencies),
        "variable \"balance\": \"paid\" is a flow, of which a card can read the flow only"
    );
    assert_eq!(
        single.variables()[0].reference.to_string(),
        "balance (level, agency 2)"
    );
}

#[test]
fn reasons_need_a_card_that_has_them() {
    let mute = Card::new("mute".into(), 1, 261, false, card().variables().to_vec()).expect("valid");
    let ready = PreparedCard::new(key().verifying(), &mute);
    let p = person(&mute, &VALUES, 1);
    let statement = p.claims(&ready, Claim::AtLeast(0), reasons(1, &[2]));
    assert!(prove(key(), &statement, &p.openings, &mut rng(1)).is_err());
    let plain = p.claims(&ready, Claim::AtLeast(0), None);
    let proof = prove(key(), &plain, &p.openings, &mut rng(1)).expect("holds");
    assert_eq!(check(&plain, &proof), Ok(()));
    assert_eq!(check(&statement, &proof), Err(VerifyError));
}
