//! A mapping bound to the columns of one file: rows become tradelines.

use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Aggregate;

use super::{Condition, Mapping, MappingError, Number, PeriodRule, Rule, amount};
use crate::import::Reason;
use crate::nearest::hint;
use crate::source::Fields;
use crate::tradeline::{MAX_ACCOUNT, Tradeline};

/// A mapping with the positions of its columns.
pub struct Bound<'m> {
    mapping: &'m Mapping,
    account: usize,
    subject: usize,
    period: PeriodAt,
    rules: Vec<BoundRule<'m>>,
}

enum PeriodAt {
    Column(usize),
    Fixed(Period),
}

struct BoundRule<'m> {
    rule: &'m Rule,
    number: Option<(usize, &'m Number)>,
    condition: Option<(usize, &'m Condition)>,
}

/// A row that is fine.
pub struct Row {
    /// Who.
    pub subject: SubjectId,
    /// When.
    pub period: Period,
    /// What.
    pub tradeline: Tradeline,
}

/// A row that is not, as far as it could be read.
pub struct BadRow {
    /// Who, if that field was fine.
    pub subject: Option<SubjectId>,
    /// When, if that field was fine.
    pub period: Option<Period>,
    /// Column and reason for every field that was not.
    pub problems: Vec<(String, Reason)>,
}

impl Mapping {
    /// Finds the mapping's columns in a header. `reported` is the period of the report, which rows
    /// may not exceed and which stands in where the mapping names no period.
    ///
    /// # Errors
    /// [`MappingError`] names a column that is missing, or one that is neither used nor ignored.
    pub fn bind(
        &self,
        header: &[String],
        reported: Option<Period>,
    ) -> Result<Bound<'_>, MappingError> {
        let find = |path: &str, column: &str| {
            header
                .iter()
                .position(|h| h == column)
                .ok_or_else(|| MappingError::MissingColumn {
                    path: path.to_owned(),
                    column: column.to_owned(),
                    hint: hint(column, header.iter().map(String::as_str)),
                })
        };
        let account = find("account", &self.account)?;
        let subject = find("subject", &self.subject)?;
        let period = match &self.period {
            PeriodRule::Column(column) => PeriodAt::Column(find("period", column)?),
            PeriodRule::Fixed(period) => PeriodAt::Fixed(*period),
            PeriodRule::Reported => PeriodAt::Fixed(reported.ok_or(MappingError::NoPeriod)?),
        };
        let rules = self
            .rules
            .iter()
            .map(|rule| {
                let path = format!("attributes.{}", rule.attribute);
                Ok(BoundRule {
                    rule,
                    number: match &rule.number {
                        Some(number) => Some((find(&path, &number.column)?, number)),
                        None => None,
                    },
                    condition: match &rule.condition {
                        Some(c) => Some((find(&format!("{path}.where"), &c.number.column)?, c)),
                        None => None,
                    },
                })
            })
            .collect::<Result<Vec<_>, MappingError>>()?;
        let bound = Bound {
            mapping: self,
            account,
            subject,
            period,
            rules,
        };
        bound.check_all_known(header)?;
        Ok(bound)
    }
}

impl Bound<'_> {
    fn check_all_known(&self, header: &[String]) -> Result<(), MappingError> {
        let ignore = &self.mapping.ignore;
        if ignore.iter().any(|i| i == "*") {
            return Ok(());
        }
        let mut used = vec![self.account, self.subject];
        if let PeriodAt::Column(i) = self.period {
            used.push(i);
        }
        for rule in &self.rules {
            used.extend(rule.number.iter().map(|(i, _)| *i));
            used.extend(rule.condition.iter().map(|(i, _)| *i));
        }
        let unknown = header
            .iter()
            .enumerate()
            .find(|(i, name)| !used.contains(i) && !ignore.contains(name));
        match unknown {
            None => Ok(()),
            Some((_, column)) => Err(MappingError::UnknownColumn {
                column: column.clone(),
                hint: hint(column, self.mapping.ignore.iter().map(String::as_str)),
            }),
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`BadRow`] with every field that is wrong.
    pub fn read(&self, fields: &Fields) -> Result<Row, BadRow> {
        let field = |i: usize| fields.get(i).unwrap_or("").trim();
        let mut problems = Vec::new();
        let subject = match SubjectId::new(&self.mapping.id_type, field(self.subject)) {
            Ok(subject) => Some(subject),
            Err(e) => {
                problems.push((self.mapping.subject.clone(), Reason::Subject(e)));
                None
            }
        };
        let period = match self.period {
            PeriodAt::Fixed(period) => Some(period),
            PeriodAt::Column(i) => match field(i).parse() {
                Ok(period) => Some(period),
                Err(e) => {
                    problems.push((self.period_column(), Reason::Period(e)));
                    None
                }
            },
        };
        let account = field(self.account);
        if account.is_empty() || account.len() > MAX_ACCOUNT || account.contains(char::is_control) {
            problems.push((self.mapping.account.clone(), Reason::Account));
        }
        let mut values = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            match rule.contribution(&field) {
                Ok(value) => values.push(value),
                // Several attributes may read one column; its fault is told once.
                Err(problem) if problems.contains(&problem) => {}
                Err(problem) => problems.push(problem),
            }
        }
        match (subject, period) {
            (Some(subject), Some(period)) if problems.is_empty() => Ok(Row {
                subject,
                period,
                tradeline: Tradeline {
                    account: account.to_owned(),
                    values,
                },
            }),
            (subject, period) => Err(BadRow {
                subject,
                period,
                problems,
            }),
        }
    }

    /// What a period is called in messages: its column.
    #[must_use]
    pub fn period_column(&self) -> String {
        match &self.mapping.period {
            PeriodRule::Column(column) => column.clone(),
            PeriodRule::Fixed(_) | PeriodRule::Reported => "period".to_owned(),
        }
    }
}

impl BoundRule<'_> {
    /// What the tradeline adds to this attribute.
    fn contribution<'f>(&self, field: &impl Fn(usize) -> &'f str) -> Result<i64, (String, Reason)> {
        let read = |(i, number): &(usize, &Number)| {
            number
                .read(field(*i))
                .map_err(|reason| (number.column.clone(), reason))
        };
        let value = match &self.number {
            Some(number) => {
                let value = read(number)?;
                Some(self.rule.clamp_min.map_or(value, |low| value.max(low)))
            }
            None => None,
        };
        if let Some((i, condition)) = &self.condition {
            let tested = read(&(*i, &condition.number))?;
            let holds = condition.at_least.is_none_or(|low| tested >= low)
                && condition.at_most.is_none_or(|high| tested <= high);
            if !holds {
                return Ok(0);
            }
        }
        let value = match (self.rule.aggregate, value) {
            (Aggregate::Count, value) => i64::from(value != Some(0)),
            (_, value) => value.unwrap_or(0),
        };
        let (min, max) = (self.rule.min, self.rule.max);
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            let attribute = &self.rule.attribute;
            let field = match &self.number {
                Some((_, n)) if n.column != *attribute => format!("{} ({attribute})", n.column),
                _ => attribute.clone(),
            };
            Err((field, Reason::OutOfRange { min, max }))
        }
    }
}

impl Number {
    fn read(&self, text: &str) -> Result<i64, Reason> {
        if text.is_empty() && self.codes.as_ref().is_none_or(|c| !c.contains_key("")) {
            return self.if_empty.ok_or(Reason::Empty);
        }
        match &self.codes {
            Some(codes) => codes.get(text).copied().ok_or(Reason::UnknownCode),
            None => amount::parse(text, self.decimals)?
                .checked_mul(self.multiply)
                .ok_or(Reason::TooLarge),
        }
    }
}
