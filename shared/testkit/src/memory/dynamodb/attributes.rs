//! Attribute values: which ones DynamoDB accepts, and how it compares, adds and measures them.
//!
//! Sources: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::memory::answer::Refused;
use crate::memory::dynamodb::items::Item;
use crate::memory::input::{invalid, not_implemented};

/// The type of an attribute value (`S`, `SS`, …), and what it holds.
pub(super) fn parts(value: &Value) -> Option<(&str, &Value)> {
    let mut fields = value.as_object()?.iter();
    match (fields.next(), fields.next()) {
        (Some((kind, held)), None) => Some((kind, held)),
        _ => None,
    }
}

/// The text of an `S`.
pub(super) fn text_of(value: &Value) -> Option<&str> {
    value.get("S").and_then(Value::as_str)
}

/// The value as it is stored: sets in order, numbers in one notation. Two equal values are the same JSON then.
pub(super) fn stored(value: &Value) -> Result<Value, Refused> {
    let unusable =
        || invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes");
    let (kind, held) = parts(value).ok_or_else(unusable)?;
    Ok(match (kind, held) {
        ("S", Value::String(_)) | ("BOOL", Value::Bool(_)) | ("NULL", Value::Bool(true)) => value.clone(),
        ("N", Value::String(text)) => json!({ "N": number(text)?.to_string() }),
        ("SS", Value::Array(texts)) => json!({ "SS": set(kind, texts, |text| Ok(text.to_owned()))? }),
        ("NS", Value::Array(texts)) => {
            let numbers = set(kind, texts, number)?;
            json!({ "NS": numbers.iter().map(i128::to_string).collect::<Vec<_>>() })
        }
        ("L", Value::Array(values)) => {
            json!({ "L": values.iter().map(stored).collect::<Result<Vec<_>, _>>()? })
        }
        ("M", Value::Object(fields)) => json!({ "M": stored_fields(fields)? }),
        ("B" | "BS", _) => return Err(not_implemented("attributes here are not binary")),
        _ => return Err(unusable()),
    })
}

/// Attributes as they are stored.
pub(super) fn stored_fields(fields: &Map<String, Value>) -> Result<Item, Refused> {
    fields.iter().map(|(name, value)| Ok((name.clone(), stored(value)?))).collect()
}

fn number(text: &str) -> Result<i128, Refused> {
    text.parse().map_err(|_| match text.parse::<f64>() {
        Ok(_) => not_implemented(format!("numbers here are whole, and {text} is not")),
        Err(_) => invalid(format!("The parameter cannot be converted to a numeric value: {text}")),
    })
}

fn set<T: Ord>(
    kind: &str,
    texts: &[Value],
    read: impl Fn(&str) -> Result<T, Refused>,
) -> Result<BTreeSet<T>, Refused> {
    if texts.is_empty() {
        let kind = if kind == "SS" { "string" } else { "number" };
        return Err(invalid(format!(
            "One or more parameter values were invalid: An {kind} set  may not be empty"
        )));
    }
    let items = texts.iter().map(|text| read(text.as_str().unwrap_or_default()));
    let items: BTreeSet<T> = items.collect::<Result<_, _>>()?;
    if items.len() < texts.len() {
        let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
        return Err(invalid(format!(
            "One or more parameter values were invalid: Input collection [{}] contains duplicates.",
            texts.join(", ")
        )));
    }
    Ok(items)
}

/// The order of two texts (by their bytes) or of two numbers. Other values, and values of different types, have none.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (parts(left)?, parts(right)?) {
        (("S", left), ("S", right)) => Some(left.as_str()?.cmp(right.as_str()?)),
        (("N", left), ("N", right)) => Some(whole(left)?.cmp(&whole(right)?)),
        _ => None,
    }
}

/// Whether a text contains a text, or a set or list an item.
pub(super) fn contains(container: &Value, item: &Value) -> bool {
    match (parts(container), parts(item)) {
        (Some(("S", Value::String(text))), Some(("S", Value::String(part)))) => text.contains(part),
        (Some(("SS", Value::Array(items))), Some(("S", item)))
        | (Some(("NS", Value::Array(items))), Some(("N", item))) => items.contains(item),
        (Some(("L", Value::Array(items))), _) => items.contains(item),
        _ => false,
    }
}

/// The sum of two numbers, with `sign` before the second one. `None` when one of them is no number.
pub(super) fn sum(left: &Value, sign: i128, right: &Value) -> Option<Value> {
    let sum = whole(left.get("N")?)?.checked_add(whole(right.get("N")?)?.checked_mul(sign)?)?;
    Some(json!({ "N": sum.to_string() }))
}

fn whole(number: &Value) -> Option<i128> {
    number.as_str()?.parse().ok()
}

/// The items of either set. `None` when they are not sets of the same type.
pub(super) fn union(left: &Value, right: &Value) -> Option<Value> {
    let (kind, left, right) = sets(left, right)?;
    let added = right.iter().filter(|item| !left.contains(item));
    stored(&json!({ kind: left.iter().chain(added).collect::<Vec<_>>() })).ok()
}

/// The items of `left` that are not in `right`: an empty set is no attribute. `None` when they are not sets of the same
/// type.
pub(super) fn difference(left: &Value, right: &Value) -> Option<Option<Value>> {
    let (kind, left, right) = sets(left, right)?;
    let rest: Vec<&Value> = left.iter().filter(|item| !right.contains(item)).collect();
    Some((!rest.is_empty()).then(|| json!({ kind: rest })))
}

fn sets<'a>(left: &'a Value, right: &'a Value) -> Option<(&'a str, &'a Vec<Value>, &'a Vec<Value>)> {
    let ((kind, left), (other, right)) = (parts(left)?, parts(right)?);
    let is_set = matches!(kind, "SS" | "NS") && kind == other;
    is_set.then_some((kind, left.as_array()?, right.as_array()?))
}

/// The bytes of an item, about as DynamoDB counts them.
pub(super) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &Value) -> usize {
    match parts(value) {
        Some(("M", Value::Object(fields))) => 3 + fields.len() + size(fields),
        Some(("L", Value::Array(values))) => {
            3 + values.iter().map(|value| 1 + size_of_value(value)).sum::<usize>()
        }
        Some(("SS", Value::Array(texts))) => texts.iter().map(|text| text.as_str().map_or(0, str::len)).sum(),
        Some(("NS", Value::Array(numbers))) => numbers.iter().map(size_of_number).sum(),
        Some(("S", text)) => text.as_str().map_or(0, str::len),
        Some(("N", number)) => size_of_number(number),
        _ => 1,
    }
}

/// One byte for two digits, and one more.
fn size_of_number(number: &Value) -> usize {
    number.as_str().map_or(0, |digits| digits.len().div_ceil(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers_and_texts_by_their_bytes() {
        assert_eq!(order(&json!({ "N": "9" }), &json!({ "N": "10" })), Some(Ordering::Less));
        assert_eq!(order(&json!({ "S": "9" }), &json!({ "S": "10" })), Some(Ordering::Greater));
        assert_eq!(order(&json!({ "S": "é" }), &json!({ "S": "z" })), Some(Ordering::Greater));
        assert_eq!(order(&json!({ "S": "9" }), &json!({ "N": "9" })), None);
    }

    #[test]
    fn equal_values_are_stored_alike() {
        assert_eq!(stored(&json!({ "N": "007" })).unwrap(), json!({ "N": "7" }));
        assert_eq!(stored(&json!({ "SS": ["b", "a"] })).unwrap(), json!({ "SS": ["a", "b"] }));
        let nested = json!({ "M": { "a": { "L": [{ "N": "+1" }] } } });
        assert_eq!(stored(&nested).unwrap(), json!({ "M": { "a": { "L": [{ "N": "1" }] } } }));
    }

    #[test]
    fn sets_are_neither_empty_nor_have_duplicates() {
        let refused = |value: Value| stored(&value).unwrap_err().message;
        assert!(refused(json!({ "SS": [] })).ends_with("An string set  may not be empty"));
        assert!(refused(json!({ "NS": [] })).ends_with("An number set  may not be empty"));
        assert!(
            refused(json!({ "SS": ["a", "a"] })).ends_with("Input collection [a, a] contains duplicates.")
        );
        assert!(refused(json!({ "L": [{ "SS": [] }] })).ends_with("may not be empty"));
    }

    #[test]
    fn a_value_has_exactly_one_known_type() {
        for value in
            [json!({}), json!({ "S": "a", "N": "1" }), json!({ "S": 1 }), json!("a"), json!({ "X": "a" })]
        {
            assert_eq!(stored(&value).unwrap_err().code, "ValidationException", "{value}");
        }
        for value in [json!({ "B": "AA==" }), json!({ "N": "1.5" })] {
            assert_eq!(stored(&value).unwrap_err().status, 501, "{value}");
        }
        assert_eq!(stored(&json!({ "N": "one" })).unwrap_err().code, "ValidationException");
    }

    #[test]
    fn an_empty_set_is_no_attribute() {
        let both = json!({ "SS": ["a", "b"] });
        assert_eq!(difference(&both, &json!({ "SS": ["a", "c"] })), Some(Some(json!({ "SS": ["b"] }))));
        assert_eq!(difference(&both, &both), Some(None));
        assert_eq!(difference(&both, &json!({ "NS": ["1"] })), None);
        assert_eq!(union(&both, &json!({ "SS": ["b", "c"] })), Some(json!({ "SS": ["a", "b", "c"] })));
    }
}
