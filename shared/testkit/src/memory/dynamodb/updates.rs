//! Updates: `SET`, `REMOVE`, `ADD` and `DELETE`.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::memory::answer::Refused;
use crate::memory::dynamodb::attributes::{difference, parts, sum, union};
use crate::memory::dynamodb::expression::{Operand, Parser, Placeholders};
use crate::memory::dynamodb::items::{Item, KEYS};
use crate::memory::input::{invalid, not_implemented};

/// What an update changes: each attribute once.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Update {
    changes: Vec<(String, Change)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Set(Term),
    Remove,
    /// Adds to a number, or items to a set.
    Add(Value),
    /// Removes items from a set.
    Delete(Value),
}

/// What `SET` gives an attribute.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    Plain(Operand),
    /// `if_not_exists(name, operand)`
    IfNotExists(String, Operand),
    /// `list_append(operand, operand)`
    Append(Operand, Operand),
    /// `left + right`, or with -1 `left - right`.
    Sum(Box<Term>, i128, Box<Term>),
}

/// The update in a request. A request without one changes nothing.
pub(super) fn update(input: &Value, placeholders: &mut Placeholders) -> Result<Update, Refused> {
    let Some(mut parser) = Parser::of("UpdateExpression", input, placeholders)? else {
        return Ok(Update::default());
    };
    let mut update = Update::default();
    let mut verbs = BTreeSet::new();
    while let Some(verb) = parser.next_if_word() {
        let verb = verb.to_ascii_uppercase();
        loop {
            update.changes.push(change(&mut parser, &verb)?);
            if !parser.accepts(",") {
                break;
            }
        }
        if !verbs.insert(verb.clone()) {
            return Err(invalid(format!(
                "Invalid UpdateExpression: The \"{verb}\" section can only be used once in an update expression;"
            )));
        }
    }
    parser.require_end()?;
    update.require_distinct()?;
    Ok(update)
}

fn change(parser: &mut Parser, verb: &str) -> Result<(String, Change), Refused> {
    if !["SET", "REMOVE", "ADD", "DELETE"].contains(&verb) {
        return Err(not_implemented(format!("UpdateExpression: {verb} is not understood here")));
    }
    let name = parser.attribute()?;
    if KEYS.contains(&name.as_str()) {
        return Err(invalid(format!(
            "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the key"
        )));
    }
    let change = match verb {
        "SET" => {
            parser.require("=")?;
            Change::Set(term(parser)?)
        }
        "ADD" => Change::Add(of_type(parser.value()?, verb, &["N", "SS", "NS"])?),
        "DELETE" => Change::Delete(of_type(parser.value()?, verb, &["SS", "NS"])?),
        _ => Change::Remove,
    };
    Ok((name, change))
}

fn of_type(value: Value, verb: &str, accepted: &[&str]) -> Result<Value, Refused> {
    match parts(&value) {
        Some((kind, _)) if !accepted.contains(&kind) => Err(invalid(format!(
            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: {verb}, operand type: \
             {kind}, typeSet: ALLOWED_FOR_{verb}_OPERAND"
        ))),
        _ => Ok(value),
    }
}

fn term(parser: &mut Parser) -> Result<Term, Refused> {
    let left = summand(parser)?;
    let sign = if parser.accepts("+") {
        1
    } else if parser.accepts("-") {
        -1
    } else {
        return Ok(left);
    };
    Ok(Term::Sum(Box::new(left), sign, Box::new(summand(parser)?)))
}

fn summand(parser: &mut Parser) -> Result<Term, Refused> {
    let Some(word) = parser.next_if_word() else { return parser.operand().map(Term::Plain) };
    if !parser.accepts("(") {
        return Ok(Term::Plain(Operand::Attribute(parser.unreserved(word)?)));
    }
    let term = match word.as_str() {
        "if_not_exists" => {
            let name = parser.attribute()?;
            parser.require(",")?;
            Term::IfNotExists(name, parser.operand()?)
        }
        "list_append" => {
            let first = parser.operand()?;
            parser.require(",")?;
            Term::Append(first, parser.operand()?)
        }
        function => return Err(not_implemented(format!("UpdateExpression: the function {function}"))),
    };
    parser.require(")")?;
    Ok(term)
}

impl Update {
    /// Whether it can only remove. Such an update makes no item where there is none.
    /// Source: <https://github.com/scylladb/scylladb/issues/5862>, which compares with DynamoDB.
    pub(super) fn only_removes(&self) -> bool {
        let removes = |change: &Change| matches!(change, Change::Remove | Change::Delete(_));
        !self.changes.is_empty() && self.changes.iter().all(|(_, change)| removes(change))
    }

    /// The item afterwards. Every value is the one from before the update.
    pub(super) fn apply(&self, before: &Item) -> Result<Item, Refused> {
        let mut item = before.clone();
        for (name, change) in &self.changes {
            match change.value(name, before)? {
                Some(value) => item.insert(name.clone(), value),
                None => item.shift_remove(name),
            };
        }
        Ok(item)
    }

    fn require_distinct(&self) -> Result<(), Refused> {
        let mut names = BTreeSet::new();
        match self.changes.iter().find(|(name, _)| !names.insert(name)) {
            Some((name, _)) => Err(invalid(format!(
                "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of \
                 these paths; path one: [{name}], path two: [{name}]"
            ))),
            None => Ok(()),
        }
    }
}

impl Change {
    /// The value of the attribute `name` afterwards.
    fn value(&self, name: &str, before: &Item) -> Result<Option<Value>, Refused> {
        match (self, before.get(name)) {
            (Self::Set(term), _) => term.value(before).map(Some),
            (Self::Remove, _) | (Self::Delete(_), None) => Ok(None),
            (Self::Add(added), None) => Ok(Some(added.clone())),
            (Self::Add(added), Some(value)) => {
                sum(value, 1, added).or_else(|| union(value, added)).map(Some).ok_or_else(wrong_type)
            }
            (Self::Delete(deleted), Some(value)) => difference(value, deleted).ok_or_else(wrong_type),
        }
    }
}

impl Term {
    fn value(&self, before: &Item) -> Result<Value, Refused> {
        match self {
            Self::Plain(operand) => resolved(operand, before).cloned(),
            Self::IfNotExists(name, operand) => match before.get(name) {
                Some(value) => Ok(value.clone()),
                None => resolved(operand, before).cloned(),
            },
            Self::Append(first, second) => {
                let list =
                    |operand| resolved(operand, before).map(|value| value.get("L").and_then(Value::as_array));
                let (first, second) = list(first)?.zip(list(second)?).ok_or_else(wrong_type)?;
                Ok(json!({ "L": first.iter().chain(second).collect::<Vec<_>>() }))
            }
            Self::Sum(left, sign, right) => {
                sum(&left.value(before)?, *sign, &right.value(before)?).ok_or_else(wrong_type)
            }
        }
    }
}

fn resolved<'a>(operand: &'a Operand, item: &'a Item) -> Result<&'a Value, Refused> {
    operand.resolve(item).ok_or_else(|| {
        invalid("The provided expression refers to an attribute that does not exist in the item")
    })
}

fn wrong_type() -> Refused {
    invalid("An operand in the update expression has an incorrect data type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(expression: &str) -> Result<Value, Refused> {
        let mut input = json!({
            "UpdateExpression": expression,
            "ExpressionAttributeValues": {
                ":two": { "N": "2" },
                ":text": { "S": "x" },
                ":ab": { "SS": ["a", "b"] },
                ":bc": { "SS": ["b", "c"] },
                ":list": { "L": [{ "N": "2" }] },
            },
        });
        let values = input["ExpressionAttributeValues"].as_object_mut().unwrap();
        values.retain(|name, _| expression.contains(name.as_str()));
        if values.is_empty() {
            input.as_object_mut().unwrap().remove("ExpressionAttributeValues");
        }
        let before = json!({ "n": { "N": "5" }, "s": { "SS": ["a", "b"] }, "l": { "L": [{ "N": "1" }] } });
        let update = update(&input, &mut Placeholders::of(&input)?)?;
        update.apply(before.as_object().unwrap()).map(Value::Object)
    }

    /// The attribute `name` after the update; null when the item has none.
    fn attribute(expression: &str, name: &str) -> Value {
        updated(expression).unwrap()[name].clone()
    }

    fn refused(expression: &str) -> Refused {
        updated(expression).unwrap_err()
    }

    #[test]
    fn set_gives_a_value_and_remove_takes_none() {
        assert_eq!(attribute("SET fresh = :text", "fresh"), json!({ "S": "x" }));
        assert_eq!(attribute("SET n = :text", "n"), json!({ "S": "x" }));
        assert_eq!(attribute("SET fresh = n", "fresh"), json!({ "N": "5" }));
        assert_eq!(attribute("REMOVE n", "n"), Value::Null);
        assert_eq!(attribute("REMOVE absent", "n"), json!({ "N": "5" }));
    }

    #[test]
    fn set_computes_from_what_the_item_had() {
        assert_eq!(attribute("SET n = n + :two", "n"), json!({ "N": "7" }));
        assert_eq!(attribute("SET n = :two - n", "n"), json!({ "N": "-3" }));
        assert_eq!(attribute("SET n = if_not_exists(n, :two)", "n"), json!({ "N": "5" }));
        assert_eq!(attribute("SET m = if_not_exists(m, :two) + :two", "m"), json!({ "N": "4" }));
        assert_eq!(
            attribute("SET l = list_append(l, :list)", "l"),
            json!({ "L": [{ "N": "1" }, { "N": "2" }] })
        );
        assert_eq!(
            attribute("SET n = :two, m = n", "m"),
            json!({ "N": "5" }),
            "values are those from before"
        );
    }

    #[test]
    fn add_adds_to_numbers_and_sets_and_makes_them() {
        assert_eq!(attribute("ADD n :two", "n"), json!({ "N": "7" }));
        assert_eq!(attribute("ADD fresh :two", "fresh"), json!({ "N": "2" }));
        assert_eq!(attribute("ADD s :bc", "s"), json!({ "SS": ["a", "b", "c"] }));
        assert_eq!(attribute("ADD fresh :bc", "fresh"), json!({ "SS": ["b", "c"] }));
    }

    #[test]
    fn delete_removes_items_and_with_the_last_one_the_set() {
        assert_eq!(attribute("DELETE s :bc", "s"), json!({ "SS": ["a"] }));
        assert_eq!(attribute("DELETE s :ab", "s"), Value::Null);
        assert_eq!(attribute("DELETE absent :ab", "absent"), Value::Null);
    }

    #[test]
    fn one_update_has_several_clauses() {
        let item = updated("DELETE s :ab, excluded :ab ADD pending :ab REMOVE n").unwrap();
        assert_eq!(item, json!({ "l": { "L": [{ "N": "1" }] }, "pending": { "SS": ["a", "b"] } }));
    }

    #[test]
    fn two_changes_of_an_attribute_are_refused() {
        for expression in ["SET a = :two, a = :text", "ADD s :ab DELETE s :bc", "SET n = :two REMOVE n"] {
            assert!(refused(expression).message.contains("Two document paths overlap"), "{expression}");
        }
        let twice = refused("SET a = :two SET b = :text").message;
        assert!(twice.contains("The \"SET\" section can only be used once"), "{twice}");
    }

    #[test]
    fn keys_cannot_be_updated() {
        for expression in ["SET pk = :text", "REMOVE sk"] {
            assert!(
                refused(expression).message.ends_with("This attribute is part of the key"),
                "{expression}"
            );
        }
    }

    #[test]
    fn values_have_the_type_that_the_change_needs() {
        assert!(refused("ADD n :text").message.ends_with("typeSet: ALLOWED_FOR_ADD_OPERAND"));
        assert!(refused("DELETE s :two").message.ends_with("typeSet: ALLOWED_FOR_DELETE_OPERAND"));
        for expression in
            ["ADD n :ab", "ADD l :ab", "DELETE n :ab", "SET a = s + :two", "SET a = list_append(n, :list)"]
        {
            assert!(refused(expression).message.ends_with("has an incorrect data type"), "{expression}");
        }
        assert!(refused("SET a = absent").message.ends_with("does not exist in the item"));
    }

    #[test]
    fn what_is_not_understood_is_never_ignored() {
        for expression in [
            "PUT a = :two",
            "SET a.b = :two",
            "SET a = f(:two)",
            "SET a :two",
            "SET a = :two :text",
            "ADD a n",
        ] {
            assert_eq!(refused(expression).status, 501, "{expression}");
        }
    }
}
