//! PMML predicates over one field as sets of integers, with the three values of PMML: where a field
//! is missing, comparisons are neither true nor false.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::decimal::Decimal;
use super::error::Problem;
use super::intervals::{INFINITY, Integers, MINUS_INFINITY};

/// Deepest nesting of compound predicates.
const MAX_DEPTH: usize = 16;

/// Where a predicate is true, and where it is false.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) yes: Integers,
    no: Integers,
}

/// How a field's values become integers.
pub(super) struct Values<'a> {
    pub(super) multiplier: i64,
    /// Code of a category, for a field of categories.
    pub(super) code: Option<&'a BTreeMap<String, i64>>,
    /// The integer that stands for a missing value.
    pub(super) missing: Option<i64>,
}

impl Truth {
    fn everywhere(yes: bool) -> Self {
        let (all, none) = (Integers::all(), Integers::none());
        if yes {
            Self { yes: all, no: none }
        } else {
            Self { yes: none, no: all }
        }
    }

    fn and(&self, o: &Self) -> Self {
        Self {
            yes: self.yes.and(&o.yes),
            no: self.no.or(&o.no),
        }
    }

    fn or(&self, o: &Self) -> Self {
        Self {
            yes: self.yes.or(&o.yes),
            no: self.no.and(&o.no),
        }
    }

    fn xor(&self, o: &Self) -> Self {
        Self {
            yes: self.yes.and(&o.no).or(&self.no.and(&o.yes)),
            no: self.yes.and(&o.yes).or(&self.no.and(&o.no)),
        }
    }

    /// The first that is known decides.
    fn surrogate(&self, o: &Self) -> Self {
        let unknown = self.yes.or(&self.no).complement();
        Self {
            yes: self.yes.or(&unknown.and(&o.yes)),
            no: self.no.or(&unknown.and(&o.no)),
        }
    }
}

/// Whether an element is a predicate.
pub(super) fn is_predicate(node: &Node<'_, '_>) -> bool {
    let name = node.tag_name().name();
    [
        "SimplePredicate",
        "CompoundPredicate",
        "SimpleSetPredicate",
        "True",
        "False",
    ]
    .contains(&name)
}

/// The fields and values that a predicate names, in order.
pub(super) fn names<'a>(node: Node<'a, '_>, fields: &mut Vec<&'a str>, values: &mut Vec<String>) {
    for n in node.descendants().filter(Node::is_element) {
        fields.extend(n.attribute("field"));
        match n.tag_name().name() {
            "SimplePredicate" => values.extend(n.attribute("value").map(str::to_owned)),
            "Array" => values.extend(array(n.text().unwrap_or(""))),
            _ => {}
        }
    }
}

/// Where a predicate holds.
pub(super) fn truth(node: Node<'_, '_>, values: &Values<'_>) -> Result<Truth, Problem> {
    nested(node, values, 0)
}

fn nested(node: Node<'_, '_>, v: &Values<'_>, depth: usize) -> Result<Truth, Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::Unsupported("predicates are nested too deeply"));
    }
    match node.tag_name().name() {
        "True" => Ok(Truth::everywhere(true)),
        "False" => Ok(Truth::everywhere(false)),
        "SimplePredicate" => simple(node, v),
        "SimpleSetPredicate" => set(node, v),
        "CompoundPredicate" => compound(node, v, depth),
        _ => Err(Problem::Unsupported("a predicate of this kind")),
    }
}

fn compound(node: Node<'_, '_>, v: &Values<'_>, depth: usize) -> Result<Truth, Problem> {
    let combine = match node.attribute("booleanOperator") {
        Some("and") => Truth::and,
        Some("or") => Truth::or,
        Some("xor") => Truth::xor,
        Some("surrogate") => Truth::surrogate,
        _ => return Err(Problem::Lacks("booleanOperator and, or, xor or surrogate")),
    };
    let mut all = None;
    for child in node.children().filter(is_predicate) {
        let next = nested(child, v, depth + 1)?;
        all = Some(match all {
            None => next,
            Some(before) => combine(&before, &next),
        });
    }
    all.ok_or(Problem::Lacks("predicate in a CompoundPredicate"))
}

/// Known everywhere but at a missing value.
fn compared(set: Integers, v: &Values<'_>) -> Truth {
    let missing = v.missing.map_or_else(Integers::none, Integers::one);
    Truth {
        no: set.complement().without(&missing),
        yes: set.without(&missing),
    }
}

fn simple(node: Node<'_, '_>, v: &Values<'_>) -> Result<Truth, Problem> {
    let operator = node
        .attribute("operator")
        .ok_or(Problem::Lacks("operator"))?;
    let missing = v.missing.map_or_else(Integers::none, Integers::one);
    match operator {
        "isMissing" => {
            return Ok(Truth {
                no: missing.complement(),
                yes: missing,
            });
        }
        "isNotMissing" => {
            return Ok(Truth {
                yes: missing.complement(),
                no: missing,
            });
        }
        _ => {}
    }
    let text = node.attribute("value").ok_or(Problem::Lacks("value"))?;
    let set = match operator {
        "equal" => single(text, v)?,
        "notEqual" => single(text, v)?.complement(),
        _ if v.code.is_some() => {
            return Err(Problem::Unsupported(
                "categories are compared by equal and notEqual only",
            ));
        }
        "lessThan" => Integers::between(MINUS_INFINITY, bound(text, v)?.0),
        "lessOrEqual" => Integers::between(MINUS_INFINITY, bound(text, v)?.1),
        "greaterThan" => Integers::between(bound(text, v)?.1, INFINITY),
        "greaterOrEqual" => Integers::between(bound(text, v)?.0, INFINITY),
        _ => return Err(Problem::Unsupported("an operator that PMML does not have")),
    };
    Ok(compared(set, v))
}

fn set(node: Node<'_, '_>, v: &Values<'_>) -> Result<Truth, Problem> {
    let array = (node.children()).find(|n| n.has_tag_name_local("Array"));
    let array = array.ok_or(Problem::Lacks("Array"))?;
    let mut set = Integers::none();
    for item in self::array(array.text().unwrap_or("")) {
        set = set.or(&single(&item, v)?);
    }
    match node.attribute("booleanOperator") {
        Some("isIn") => Ok(compared(set, v)),
        Some("isNotIn") => Ok(compared(set.complement(), v)),
        _ => Err(Problem::Lacks("booleanOperator isIn or isNotIn")),
    }
}

trait LocalName {
    fn has_tag_name_local(&self, name: &str) -> bool;
}

impl LocalName for Node<'_, '_> {
    fn has_tag_name_local(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn number(text: &str, v: &Values<'_>) -> Result<Decimal, Problem> {
    (Decimal::parse(text)?.times(v.multiplier)).ok_or_else(|| Problem::TooLarge(text.into()))
}

/// The smallest integer not below a number, and the smallest above it.
fn bound(text: &str, v: &Values<'_>) -> Result<(i64, i64), Problem> {
    let number = number(text, v)?;
    let too_large = || Problem::TooLarge(text.into());
    let ceil = number.ceil().ok_or_else(too_large)?;
    let above = number
        .floor()
        .and_then(|(floor, _)| floor.checked_add(1))
        .ok_or_else(too_large)?;
    Ok((ceil, above))
}

/// The integer of one value; nothing for a fraction, which no integer equals.
fn single(text: &str, v: &Values<'_>) -> Result<Integers, Problem> {
    if let Some(code) = v.code {
        return (code.get(text).copied().map(Integers::one))
            .ok_or_else(|| Problem::Category(text.into()));
    }
    match number(text, v)?.floor() {
        Some((value, true)) => Ok(Integers::one(value)),
        Some((_, false)) => Ok(Integers::none()),
        None => Err(Problem::TooLarge(text.into())),
    }
}

/// The items of a PMML array: separated by blanks, quoted when they have blanks, `\"` for a quote.
pub(super) fn array(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut item = String::new();
        if c == '"' {
            while let Some(c) = chars.next() {
                match c {
                    '\\' if chars.peek() == Some(&'"') => item.extend(chars.next()),
                    '"' => break,
                    c => item.push(c),
                }
            }
        } else {
            item.push(c);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                item.push(c);
            }
        }
        items.push(item);
    }
    items
}
