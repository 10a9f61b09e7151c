//! Invented people with invented debts, and what their records must add up to.

use std::collections::BTreeMap;
use std::fmt::Write;

pub const SCHEMA: &str = r#"
version = 1

[[attributes]]
name = "present"
class = "stock"
aggregate = "max"
min = 0
max = 1
unit = "record"
description = "1 in every record"

[[attributes]]
name = "balance"
class = "stock"
aggregate = "sum"
min = -100000
max = 1000000
unit = "EUR"
description = "amount owed"

[[attributes]]
name = "arrears"
class = "stock"
aggregate = "max"
min = 0
max = 24
unit = "months"
description = "months in arrears of the worst account"

[[attributes]]
name = "payments"
class = "flow"
aggregate = "sum"
min = 0
max = 1000000
unit = "EUR"
description = "payments received in the period"

[[attributes]]
name = "statements"
class = "flow"
aggregate = "count"
min = 0
max = 100
unit = "statements"
description = "statements issued in the period"
"#;

pub const MAP: &str = r#"
account = "account"

[subject]
column = "subject"
id_type = "person"

[period]
column = "period"

[attributes.balance]
column = "balance"

[attributes.arrears]
column = "pay"
clamp_min = 0

[attributes.payments]
column = "payment"

[attributes.statements]
"#;

pub const HEADER: &str = "account,subject,period,balance,pay,payment\n";
pub const PERIODS: [&str; 3] = ["2024-01", "2024-02", "2024-03"];

/// What a correct run must end with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub leaves: u64,
    pub records: u64,
    /// Sum of the latest stocks, by attribute.
    pub balance: i64,
    pub arrears: i64,
    /// Sum of all flows, by attribute.
    pub payments: i64,
    pub statements: i64,
}

/// A file of all periods in which everybody has one or two accounts, and what it adds up to.
pub fn file(people: u64, seed: u64) -> (String, Expected) {
    let mut text = HEADER.to_owned();
    let mut random = Random(seed);
    let mut expected = Expected::default();
    let mut latest = BTreeMap::new();
    for period in PERIODS {
        for person in 0..people {
            let (mut balance, mut arrears) = (0, 0);
            for account in 0..=(person % 2) {
                let owed = random.below(90_000) as i64 - 5_000;
                let pay = random.below(7) as i64 - 2;
                let payment = random.below(5_000) as i64;
                writeln!(
                    text,
                    "A{person}-{account},P{person:05},{period},{owed},{pay},{payment}"
                )
                .unwrap();
                balance += owed;
                arrears = arrears.max(pay);
                expected.payments += payment;
                expected.statements += 1;
            }
            latest.insert(person, (balance, arrears));
            expected.records += 1;
        }
    }
    expected.leaves = people;
    expected.balance = latest.values().map(|(balance, _)| balance).sum();
    expected.arrears = latest.values().map(|(_, arrears)| arrears).sum();
    (text, expected)
}

/// A small generator, the same on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
