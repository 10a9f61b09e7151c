//! PMML `Scorecard`: the first attribute of a characteristic whose predicate is true gives the points.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use super::decimal::Decimal;
use super::error::{ImportError, Problem, at};
use super::intervals::Integers;
use super::mapping::{Mapping, VariableMapping};
use super::paint::{RawBin, RawCard, RawVariable, assign_codes, mapping_of, missing_code};
use super::predicate::{self, Values, is_predicate, truth};
use super::{Imported, MAX_IMPORT_BYTES, MISSING, OTHER};

/// Reads the first `Scorecard` of a PMML file. Predicates may name derived fields: agencies then
/// publish the derived value.
///
/// # Errors
/// [`ImportError`] names the characteristic and the attribute.
pub fn from_pmml(xml: &[u8], mapping: &Mapping) -> Result<Imported, ImportError> {
    if xml.len() > MAX_IMPORT_BYTES {
        return Err(ImportError::TooLong(xml.len()));
    }
    let text = std::str::from_utf8(xml).map_err(|e| ImportError::Syntax(e.to_string()))?;
    // Document types, and so entities, are refused by default.
    let document = Document::parse(text).map_err(|e| ImportError::Syntax(e.to_string()))?;
    let card = (document.descendants().find(|n| is(n, "Scorecard")))
        .ok_or(ImportError::Format("there is no Scorecard"))?;
    if document.descendants().any(|n| is(&n, "Targets")) {
        return Err(ImportError::Format(
            "Targets change the score; a card has none",
        ));
    }
    if card.attribute("isScorable") == Some("false") {
        return Err(ImportError::Format(
            "the Scorecard says that it is not scorable",
        ));
    }
    let base_text = card.attribute("initialScore").unwrap_or("0").to_owned();
    let base = Decimal::parse(&base_text).map_err(at("initialScore", None))?;
    let variables = (card.descendants())
        .filter(|n| is(n, "Characteristic"))
        .enumerate()
        .map(|(i, n)| characteristic(i, n, &document, mapping))
        .collect::<Result<_, _>>()?;
    RawCard {
        name: card.attribute("modelName").map(str::to_owned),
        base,
        base_text,
        // With `pointsAbove` high points are bad: shortfalls would explain the wrong way round.
        reasons: card.attribute("useReasonCodes") != Some("false")
            && card.attribute("reasonCodeAlgorithm") != Some("pointsAbove"),
        variables,
    }
    .finish(mapping)
}

fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// An attribute with its predicate.
struct Attribute<'a, 'i> {
    predicate: Node<'a, 'i>,
    points: &'a str,
}

fn characteristic(
    index: usize,
    node: Node<'_, '_>,
    document: &Document<'_>,
    mapping: &Mapping,
) -> Result<RawVariable, ImportError> {
    let unnamed = format!("characteristic {}", index + 1);
    let label = node.attribute("name").unwrap_or(&unnamed);
    let elements: Vec<Node<'_, '_>> = node.children().filter(|n| is(n, "Attribute")).collect();
    let mut attributes = Vec::with_capacity(elements.len());
    for (number, n) in (1..).zip(&elements) {
        let here = |problem| at(label, Some(number))(problem);
        if n.children().any(|c| is(&c, "ComplexPartialScore")) {
            return Err(here(Problem::Unsupported(
                "a ComplexPartialScore is computed; a card's points are numbers",
            )));
        }
        let points = n
            .attribute("partialScore")
            .ok_or_else(|| here(Problem::Lacks("partialScore")))?;
        let predicate =
            (n.children().find(is_predicate)).ok_or_else(|| here(Problem::Lacks("predicate")))?;
        attributes.push(Attribute { predicate, points });
    }
    let (mut fields, mut literals) = (Vec::new(), Vec::new());
    for a in &attributes {
        predicate::names(a.predicate, &mut fields, &mut literals);
    }
    let Some(field) = fields.first().copied() else {
        return Err(at(label, None)(Problem::Lacks("field")));
    };
    if let Some(other) = fields.iter().find(|f| **f != field) {
        return Err(at(label, None)(Problem::Fields {
            first: field.to_owned(),
            second: (*other).to_owned(),
        }));
    }
    let name = node.attribute("name").unwrap_or(field).to_owned();
    let m = mapping_of(mapping, &name, field);
    let (bins, codes) = bins(&name, field, &attributes, literals, document, m)?;
    Ok(RawVariable {
        reason: reason(node, &elements),
        field: field.to_owned(),
        name,
        bins,
        codes,
    })
}

/// The characteristic's reason code, or the one that all its attributes share: one code per
/// attribute would tell the bin.
fn reason(node: Node<'_, '_>, attributes: &[Node<'_, '_>]) -> String {
    if let Some(code) = node.attribute("reasonCode") {
        return code.to_owned();
    }
    let mut codes = attributes.iter().filter_map(|a| a.attribute("reasonCode"));
    match codes.next() {
        Some(first) if codes.all(|c| c == first) => first.to_owned(),
        _ => String::new(),
    }
}

type Bins = (Vec<RawBin>, BTreeMap<String, i64>);

fn bins(
    name: &str,
    field: &str,
    attributes: &[Attribute<'_, '_>],
    mut literals: Vec<String>,
    document: &Document<'_>,
    m: &VariableMapping,
) -> Result<Bins, ImportError> {
    let data =
        (document.descendants()).find(|n| is(n, "DataField") && n.attribute("name") == Some(field));
    let text = data.is_some_and(|d| {
        d.attribute("optype") == Some("categorical") || d.attribute("dataType") == Some("string")
    });
    // Without a data dictionary, values that are no numbers are categories.
    let categorical = text || literals.iter().any(|l| Decimal::parse(l).is_err());
    let mut codes = BTreeMap::new();
    if categorical {
        for value in data
            .iter()
            .flat_map(|d| d.children())
            .filter(|n| is(n, "Value"))
        {
            if value.attribute("property").is_none_or(|p| p == "valid") {
                literals.extend(value.attribute("value").map(str::to_owned));
            }
        }
        let mut categories: Vec<String> = Vec::new();
        for literal in literals {
            if !categories.contains(&literal) {
                categories.push(literal);
            }
        }
        codes = assign_codes(name, m, &categories)?;
    }
    let asks_missing = |n: Node<'_, '_>| {
        n.descendants().any(|d| {
            d.attribute("operator")
                .is_some_and(|o| o == "isMissing" || o == "isNotMissing")
        })
    };
    let wants_missing = m.missing.is_some() || attributes.iter().any(|a| asks_missing(a.predicate));
    let mut values = Values {
        multiplier: m.multiplier.unwrap_or(1),
        code: categorical.then_some(&codes),
        missing: None,
    };
    let evaluate = |values: &Values<'_>| {
        (1..)
            .zip(attributes)
            .map(|(number, a)| {
                Ok(truth(a.predicate, values)
                    .map_err(at(name, Some(number)))?
                    .yes)
            })
            .collect::<Result<Vec<Integers>, ImportError>>()
    };
    let mut sets = evaluate(&values)?;
    let mut domain = Integers::all();
    let mut extra = BTreeMap::new();
    if categorical {
        domain = codes
            .values()
            .fold(Integers::none(), |s, c| s.or(&Integers::one(*c)));
        let mut next = codes.values().max().map_or(0, |c| c + 1);
        // An attribute that takes what is not named takes every other category.
        if sets.iter().any(|s| !s.without(&domain).is_empty()) {
            domain = domain.or(&Integers::one(next));
            extra.insert(OTHER.to_owned(), next);
            next += 1;
        }
        if wants_missing {
            extra.insert(MISSING.to_owned(), m.missing.unwrap_or(next));
        }
    } else if wants_missing {
        // `True` and `isNotMissing` name nothing.
        let named: Vec<Integers> = sets
            .iter()
            .filter(|s| **s != Integers::all())
            .cloned()
            .collect();
        extra.insert(MISSING.to_owned(), missing_code(m, &named));
    }
    if let Some(code) = extra.get(MISSING) {
        values.missing = Some(*code);
        domain = domain.or(&Integers::one(*code));
        sets = evaluate(&values)?;
    }
    let mut bins = Vec::with_capacity(attributes.len());
    let mut before = Integers::none();
    for ((number, a), set) in (1..).zip(attributes).zip(sets) {
        let points = Decimal::parse(a.points).map_err(at(name, Some(number)))?;
        let set = set.and(&domain);
        // The categories that no attribute before takes.
        let here = set.without(&before);
        let takes = |code: &i64| !here.and(&Integers::one(*code)).is_empty();
        let label: Vec<&str> = (codes.iter().chain(&extra))
            .filter(|(_, code)| takes(code))
            .map(|(category, _)| category.as_str())
            .collect();
        before = before.or(&set);
        bins.push(RawBin {
            points,
            text: a.points.to_owned(),
            label: label.join(", "),
            number,
            values: set,
        });
    }
    codes.extend(extra);
    Ok((bins, codes))
}
