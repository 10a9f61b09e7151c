//! One subject's rows of one period against what was published: nothing to do, a record, or rejects.

use zkbureau_circuits::commitment::Record;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Class, Schema};

use super::{Reason, Reject};
use crate::tradeline::{Tradeline, fold};

/// What to publish for one subject and period.
pub(super) struct Merged {
    /// Stocks as they are, flows as the increment of this report.
    pub(super) record: Record,
    /// All tradelines of the subject and period from now on.
    pub(super) tradelines: Vec<Tradeline>,
}

/// Where messages find their names and limits.
pub(super) struct Rules<'a> {
    pub(super) schema: &'a Schema,
    pub(super) account_column: &'a str,
    pub(super) correct: bool,
}

impl Rules<'_> {
    /// `None` when everything was published already. `rows` are sorted by account, which occurs once.
    pub(super) fn merge(
        &self,
        period: Period,
        rows: Vec<(u64, Tradeline)>,
        published: Option<Vec<Tradeline>>,
    ) -> Result<Option<Merged>, Vec<Reject>> {
        let first_line = rows.iter().map(|(line, _)| *line).min().unwrap_or(0);
        let Some(published) = published else {
            let tradelines: Vec<Tradeline> = rows.into_iter().map(|(_, t)| t).collect();
            let values = fold(self.schema, &tradelines);
            let record = self.record(first_line, tradelines.len(), &values, &values)?;
            return Ok(Some(Merged { record, tradelines }));
        };
        let changes = self.changes(period, &rows, &published);
        if changes.is_empty() {
            return Ok(None);
        }
        if !self.correct {
            return Err(changes);
        }
        let before = fold(self.schema, &published);
        let mut tradelines = published;
        for (_, row) in rows {
            match tradelines.iter_mut().find(|t| t.account == row.account) {
                Some(old) => *old = row,
                None => tradelines.push(row),
            }
        }
        tradelines.sort();
        let after = fold(self.schema, &tradelines);
        let mut increments = after.clone();
        let mut rejects = Vec::new();
        for (i, attribute) in self.schema.attributes()[1..].iter().enumerate() {
            if attribute.class == Class::Flow {
                increments[i] -= before[i];
                if increments[i] < 0 {
                    rejects.push(Reject {
                        line: first_line,
                        field: attribute.name.clone(),
                        reason: Reason::NegativeIncrement { period },
                    });
                }
            }
        }
        if !rejects.is_empty() {
            return Err(rejects);
        }
        let record = self.record(first_line, tradelines.len(), &after, &increments)?;
        Ok(Some(Merged { record, tradelines }))
    }

    /// The rows that are not as published: one reject per row, for when no correction was asked for.
    fn changes(
        &self,
        period: Period,
        rows: &[(u64, Tradeline)],
        published: &[Tradeline],
    ) -> Vec<Reject> {
        rows.iter()
            .filter_map(|(line, row)| {
                let (field, reason) = match published.iter().find(|old| old.account == row.account)
                {
                    None => (self.account_column, Reason::NewAccount { period }),
                    Some(old) => {
                        // What was appended to the schema since reads as zero in what was published.
                        let value = |values: &[i64], i: usize| values.get(i).copied().unwrap_or(0);
                        let differs = (0..row.values.len().max(old.values.len()))
                            .find(|i| value(&old.values, *i) != value(&row.values, *i))?;
                        let attribute = &self.schema.attributes()[differs + 1];
                        (attribute.name.as_str(), Reason::Changed { period })
                    }
                };
                Some(Reject {
                    line: *line,
                    field: field.to_owned(),
                    reason,
                })
            })
            .collect()
    }

    /// Makes the record of `published` values. The period's full values must be in range too: a
    /// record says something about a period, however many reports it took.
    fn record(
        &self,
        line: u64,
        rows: usize,
        full: &[i128],
        published: &[i128],
    ) -> Result<Record, Vec<Reject>> {
        let mut rejects = Vec::new();
        for (attribute, value) in self.schema.attributes()[1..].iter().zip(full) {
            if !(i128::from(attribute.min)..=i128::from(attribute.max)).contains(value) {
                rejects.push(Reject {
                    line,
                    field: attribute.name.clone(),
                    reason: Reason::FoldedOutOfRange {
                        rows,
                        min: attribute.min,
                        max: attribute.max,
                    },
                });
            }
        }
        if !rejects.is_empty() {
            return Err(rejects);
        }
        // Increments lie between 0 and the full value, so every value fits its attribute.
        let values: Vec<i64> = published
            .iter()
            .map(|v| i64::try_from(*v).expect("checked above"))
            .collect();
        Ok(Record::new(self.schema, &values).expect("checked above"))
    }
}

#[cfg(test)]
mod tests {
    use zkbureau_circuits::schema::{Aggregate, Attribute};

    use super::*;

    #[test]
    fn a_row_of_an_earlier_schema_has_nothing_in_what_was_appended() {
        let attribute = |name: &str, class, aggregate, max| Attribute {
            name: name.into(),
            class,
            aggregate,
            min: 0,
            max,
            unit: String::new(),
            description: String::new(),
        };
        let attributes = vec![
            attribute("present", Class::Stock, Aggregate::Max, 1),
            attribute("balance", Class::Stock, Aggregate::Sum, 99),
            attribute("fees", Class::Flow, Aggregate::Sum, 99),
        ];
        let schema = Schema::new(2, attributes).expect("valid");
        let line = |values: &[i64]| Tradeline {
            account: "x".into(),
            values: values.to_vec(),
        };
        let merge = |row: &[i64], correct| {
            let rules = Rules {
                schema: &schema,
                account_column: "account",
                correct,
            };
            let period = "2024-03".parse().expect("valid");
            // Published before there were fees.
            rules.merge(period, vec![(2, line(row))], Some(vec![line(&[5])]))
        };
        assert!(matches!(merge(&[5, 0], false), Ok(None)));
        let rejects = merge(&[5, 3], false).err().expect("a change");
        assert_eq!(rejects[0].field, "fees");
        let merged = merge(&[5, 3], true).ok().flatten().expect("a correction");
        assert_eq!(merged.record.encoded(), [1, 5, 3]);
    }
}
