//! Files of invented people over many months: every month is a batch, so an import takes a while
//! and can be interrupted anywhere.

use std::fmt::Write;

use crate::support::people::{HEADER, Random};

/// What a correct import of a file must end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub leaves: u64,
    pub records: u64,
    /// The balance of everybody in the last month.
    pub balance: i64,
}

/// A file of `people` over `months`, and the last month.
pub struct File {
    pub text: String,
    pub last: String,
    pub expected: Expected,
}

/// The month with this number, from 1990-01.
pub fn month(number: u64) -> String {
    format!("{}-{:02}", 1990 + number / 12, number % 12 + 1)
}

/// One account per person and month.
pub fn file(people: u64, months: u64, seed: u64) -> File {
    file_from(0, people, months, seed)
}

/// The same from a later month on.
pub fn file_from(first: u64, people: u64, months: u64, seed: u64) -> File {
    let mut text = HEADER.to_owned();
    let mut random = Random(seed);
    let mut balance = 0;
    for number in first..first + months {
        balance = 0;
        for person in 0..people {
            let owed = random.below(90_000) as i64 - 5_000;
            let (pay, payment) = (random.below(7) as i64 - 2, random.below(5_000));
            let month = month(number);
            writeln!(
                text,
                "A{person},P{person:05},{month},{owed},{pay},{payment}"
            )
            .unwrap();
            balance += owed;
        }
    }
    File {
        text,
        last: month(first + months - 1),
        expected: Expected {
            leaves: people,
            records: people * months,
            balance,
        },
    }
}

/// A file of one month.
pub fn one_month(people: u64, number: u64, seed: u64) -> String {
    let mut text = HEADER.to_owned();
    let mut random = Random(seed);
    for person in 0..people {
        let (owed, payment) = (random.below(90_000), random.below(5_000));
        let month = month(number);
        writeln!(text, "A{person},P{person:05},{month},{owed},0,{payment}").unwrap();
    }
    text
}
