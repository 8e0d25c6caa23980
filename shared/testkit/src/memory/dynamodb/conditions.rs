//! Conditions of writes, and of the keys of a query.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>

use std::cmp::Ordering;

use serde_json::Value;

use crate::memory::answer::Refused;
use crate::memory::dynamodb::attributes::{contains, order, parts, text_of};
use crate::memory::dynamodb::expression::{Operand, Parser, Placeholders, Token};
use crate::memory::dynamodb::items::Item;
use crate::memory::input::{invalid, not_implemented};

/// What an item must be like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// `attribute_exists(name)`
    Exists(String),
    /// `begins_with(name, text)`
    BeginsWith(String, Operand),
    /// `contains(name, operand)`
    Contains(String, Operand),
    /// `left < right`
    Compare(Operand, Comparison, Operand),
    /// `NOT condition`
    Not(Box<Condition>),
    /// `left AND right`
    And(Box<Condition>, Box<Condition>),
    /// `left OR right`
    Or(Box<Condition>, Box<Condition>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// The condition in the parameter `kind`, if the request has one.
pub(super) fn condition(
    kind: &'static str,
    input: &Value,
    placeholders: &mut Placeholders,
) -> Result<Option<Condition>, Refused> {
    let Some(mut parser) = Parser::of(kind, input, placeholders)? else { return Ok(None) };
    let condition = disjunction(&mut parser)?;
    parser.require_end()?;
    Ok(Some(condition))
}

impl Condition {
    /// Whether it holds for an item; for one without attributes where there is none.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Exists(name) => item.contains_key(name),
            Self::BeginsWith(name, start) => {
                let texts = (item.get(name).and_then(text_of), start.resolve(item).and_then(text_of));
                matches!(texts, (Some(text), Some(start)) if text.starts_with(start))
            }
            Self::Contains(name, operand) => {
                let values = (item.get(name), operand.resolve(item));
                matches!(values, (Some(container), Some(part)) if contains(container, part))
            }
            Self::Compare(left, comparison, right) => {
                comparison.holds(left.resolve(item), right.resolve(item))
            }
            Self::Not(condition) => !condition.holds(item),
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
        }
    }

    /// The conditions that all have to hold.
    pub(super) fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(left, right) => [left.conjuncts(), right.conjuncts()].concat(),
            condition => vec![condition],
        }
    }
}

impl Comparison {
    fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// An attribute that does not exist differs from every value, and has no order.
    fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let (Some(left), Some(right)) = (left, right) else { return self == Self::NotEqual };
        let order = || order(left, right);
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => order().is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order().is_some_and(Ordering::is_le),
            Self::Greater => order().is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

fn disjunction(parser: &mut Parser) -> Result<Condition, Refused> {
    let mut condition = conjunction(parser)?;
    while parser.accepts_word("OR") {
        condition = Condition::Or(Box::new(condition), Box::new(conjunction(parser)?));
    }
    Ok(condition)
}

fn conjunction(parser: &mut Parser) -> Result<Condition, Refused> {
    let mut condition = negation(parser)?;
    while parser.accepts_word("AND") {
        condition = Condition::And(Box::new(condition), Box::new(negation(parser)?));
    }
    Ok(condition)
}

fn negation(parser: &mut Parser) -> Result<Condition, Refused> {
    if parser.accepts_word("NOT") {
        return Ok(Condition::Not(Box::new(negation(parser)?)));
    }
    if parser.accepts("(") {
        let condition = disjunction(parser)?;
        parser.require(")")?;
        return Ok(condition);
    }
    match parser.next_if_word() {
        Some(function) if parser.accepts("(") => call(parser, &function),
        Some(name) => {
            let name = parser.unreserved(name)?;
            comparison(parser, Operand::Attribute(name))
        }
        None => {
            let left = parser.operand()?;
            comparison(parser, left)
        }
    }
}

/// The call of a function, after its opening bracket.
fn call(parser: &mut Parser, function: &str) -> Result<Condition, Refused> {
    let condition = match function {
        "attribute_exists" => Condition::Exists(parser.attribute()?),
        "attribute_not_exists" => Condition::Not(Box::new(Condition::Exists(parser.attribute()?))),
        "begins_with" => {
            let (name, start) = arguments(parser)?;
            require_type(parser, function, &start, &["S"])?;
            Condition::BeginsWith(name, start)
        }
        "contains" => {
            let (name, part) = arguments(parser)?;
            Condition::Contains(name, part)
        }
        function => return Err(not_implemented(format!("{}: the function {function}", parser.kind))),
    };
    parser.require(")")?;
    Ok(condition)
}

fn arguments(parser: &mut Parser) -> Result<(String, Operand), Refused> {
    let name = parser.attribute()?;
    parser.require(",")?;
    Ok((name, parser.operand()?))
}

fn comparison(parser: &mut Parser, left: Operand) -> Result<Condition, Refused> {
    let next = parser.next();
    let symbol =
        if let Some(Token::Symbol(symbol)) = next { Comparison::of(symbol).zip(Some(symbol)) } else { None };
    let Some((comparison, symbol)) = symbol else {
        return Err(parser.not_understood(next.as_ref(), "a comparison"));
    };
    let right = parser.operand()?;
    if comparison.is_order() {
        require_type(parser, symbol, &left, &["S", "N"])?;
        require_type(parser, symbol, &right, &["S", "N"])?;
    }
    Ok(Condition::Compare(left, comparison, right))
}

/// Refuses a value of another type than `accepted`. An attribute of another type only makes the condition false.
fn require_type(
    parser: &Parser,
    operator: &str,
    operand: &Operand,
    accepted: &[&str],
) -> Result<(), Refused> {
    match operand {
        Operand::Value(value) => match parts(value) {
            Some((kind, _)) if !accepted.contains(&kind) => Err(invalid(format!(
                "Invalid {}: Incorrect operand type for operator or function; operator or function: {operator}, operand \
                 type: {kind}",
                parser.kind
            ))),
            _ => Ok(()),
        },
        Operand::Attribute(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(expression: &str) -> Result<Condition, Refused> {
        let values: Item = [
            (":one", json!({ "N": "1" })),
            (":two", json!({ "N": "2" })),
            (":text", json!({ "S": "ab" })),
            (":set", json!({ "SS": ["b", "a"] })),
            (":true", json!({ "BOOL": true })),
        ]
        .into_iter()
        .filter(|(name, _)| expression.contains(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let mut input = json!({ "ConditionExpression": expression });
        if !values.is_empty() {
            input["ExpressionAttributeValues"] = values.into();
        }
        let mut placeholders = Placeholders::of(&input)?;
        Ok(condition("ConditionExpression", &input, &mut placeholders)?.unwrap())
    }

    fn holds(expression: &str) -> bool {
        let item = json!({
            "one": { "N": "1" },
            "ten": { "N": "10" },
            "word": { "S": "abc" },
            "letters": { "SS": ["a", "b"] },
            "entries": { "L": [{ "N": "1" }, { "S": "ab" }] },
        });
        parsed(expression).unwrap().holds(item.as_object().unwrap())
    }

    fn refused(expression: &str) -> Refused {
        parsed(expression).unwrap_err()
    }

    #[test]
    fn attributes_exist_or_not() {
        assert!(holds("attribute_exists(one)"));
        assert!(!holds("attribute_exists(absent)"));
        assert!(holds("attribute_not_exists(absent)"));
        assert!(!holds("attribute_not_exists(one)"));
    }

    #[test]
    fn numbers_are_compared_by_their_value() {
        for expression in
            ["one = :one", "one < :two", "one <= :one", "ten > :two", "ten >= :two", "one <> :two"]
        {
            assert!(holds(expression), "{expression}");
            assert!(!holds(&format!("NOT {expression}")), "{expression}");
        }
        assert!(holds(":two < ten") && holds("one < ten"), "either side may be an attribute or a value");
    }

    #[test]
    fn sets_are_equal_in_any_order() {
        assert!(holds("letters = :set"));
    }

    #[test]
    fn an_attribute_that_does_not_exist_differs_from_every_value_and_has_no_order() {
        assert!(holds("absent <> :one"));
        for comparison in ["=", "<", "<=", ">", ">="] {
            assert!(!holds(&format!("absent {comparison} :one")), "{comparison}");
        }
    }

    #[test]
    fn values_of_different_types_differ_and_have_no_order() {
        assert!(holds("one <> :text"));
        assert!(!holds("one = :text") && !holds("one < :text") && !holds("one > :text"));
    }

    #[test]
    fn texts_begin_with_texts_and_contain_texts_and_sets_and_lists_contain_items() {
        assert!(holds("begins_with(word, :text)") && !holds("begins_with(one, :text)"));
        assert!(
            holds("contains(word, :text)")
                && holds("contains(entries, :text)")
                && holds("contains(entries, :one)")
        );
        assert!(!holds("contains(letters, :text)") && !holds("contains(absent, :one)"));
        assert!(!holds("begins_with(absent, :text)"));
    }

    #[test]
    fn not_comes_before_and_which_comes_before_or() {
        let (yes, no) = ("attribute_exists(one)", "attribute_exists(absent)");
        assert!(holds(&format!("{yes} OR {no} AND {no}")));
        assert!(!holds(&format!("({yes} OR {no}) AND {no}")));
        assert!(holds(&format!("NOT {no} AND {yes}")));
        assert!(!holds(&format!("NOT ({no} OR {yes})")));
        assert!(holds(&format!("not {no} and {yes} or {no}")), "keywords have no case");
    }

    #[test]
    fn the_condition_of_a_lease_holds_without_a_row_once_it_expired_and_for_its_holder() {
        let lease = parsed("attribute_not_exists(pk) OR ends < :two OR holder = :text").unwrap();
        let row = |ends: &str, holder: &str| {
            let row = json!({ "pk": { "S": "a" }, "ends": { "N": ends }, "holder": { "S": holder } });
            lease.holds(row.as_object().unwrap())
        };
        assert!(lease.holds(&Item::new()));
        assert!(row("1", "other") && row("3", "ab"));
        assert!(!row("2", "other"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        assert!(refused("one < :true").message.ends_with("operator or function: <, operand type: BOOL"));
        assert!(refused("begins_with(word, :one)").message.ends_with("begins_with, operand type: N"));
        assert_eq!(refused("attribute_exists(:one)").code, "ValidationException");
    }

    #[test]
    fn what_is_not_understood_is_never_true() {
        for expression in [
            "size(word) > :one",
            "attribute_type(word, :text)",
            "one IN (:one)",
            "one BETWEEN :one AND :two",
            "one = :one one",
            "(one = :one",
            "one",
            "one + :one",
            "one = (:one)",
        ] {
            assert_eq!(refused(expression).status, 501, "{expression}");
        }
    }
}
