//! The element Condition of a statement. Sources:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>

use serde_json::Value;

use super::context::{Context, ContextValue};
use super::elements::is_like;
use super::truth::Truth;

/// Whether all conditions of a statement hold.
pub(super) fn hold(condition: Option<&Value>, context: &Context) -> Truth {
    match condition {
        None => Truth::Yes,
        Some(Value::Object(operators)) => {
            Truth::all(operators.iter().map(|(operator, keys)| holds(operator, keys, context)))
        }
        Some(_) => Truth::Unknown,
    }
}

fn holds(operator: &str, keys: &Value, context: &Context) -> Truth {
    let (Some(operator), Value::Object(keys)) = (Operator::parse(operator), keys) else {
        return Truth::Unknown;
    };
    Truth::all(keys.iter().map(|(key, expected)| operator.holds(context.value(key), expected)))
}

/// How two values are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Arn,
    Null,
    /// Numbers, dates, addresses and bytes: known operators whose values are not compared here.
    NotCompared,
}

/// What is asked of a key with several values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    AnyValue,
    AllValues,
}

#[derive(Clone, Copy)]
struct Operator {
    comparison: Comparison,
    is_negated: bool,
    quantifier: Option<Quantifier>,
    if_exists: bool,
}

impl Operator {
    /// Reads the name of an operator; `None` for one that AWS does not document.
    fn parse(name: &str) -> Option<Self> {
        let (quantifier, name) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAnyValue", name)) => (Some(Quantifier::AnyValue), name),
            Some(("ForAllValues", name)) => (Some(Quantifier::AllValues), name),
            Some(_) => return None,
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (comparison, is_negated) = match name {
            "StringEquals" => (Comparison::Equal, false),
            "StringNotEquals" => (Comparison::Equal, true),
            "StringEqualsIgnoreCase" | "Bool" => (Comparison::EqualIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Null" if !if_exists && quantifier.is_none() => (Comparison::Null, false),
            "NumericNotEquals" | "DateNotEquals" | "NotIpAddress" => (Comparison::NotCompared, true),
            "BinaryEquals" | "IpAddress" => (Comparison::NotCompared, false),
            name if is_order(name, "Numeric") || is_order(name, "Date") => (Comparison::NotCompared, false),
            _ => return None,
        };
        Some(Self { comparison, is_negated, quantifier, if_exists })
    }

    fn holds(self, value: &ContextValue, expected: &Value) -> Truth {
        let expected = match expected {
            Value::Array(several) => several.iter().collect(),
            alone => vec![alone],
        };
        match (self.comparison, value) {
            _ if expected.is_empty() => Truth::Unknown,
            (_, ContextValue::Unknown) => Truth::Unknown,
            (Comparison::Null, value) => is_null(*value == ContextValue::Absent, &expected),
            (_, ContextValue::Absent) => self.holds_of_absent().into(),
            (_, ContextValue::Known(values)) => self.holds_of(values, &expected),
        }
    }

    fn holds_of_absent(self) -> bool {
        match self.quantifier {
            _ if self.if_exists => true,
            Some(Quantifier::AllValues) => true,
            Some(Quantifier::AnyValue) => false,
            None => self.is_negated,
        }
    }

    fn holds_of(self, values: &[String], expected: &[&Value]) -> Truth {
        let of_value = |value: &String| {
            let is_one = Truth::any(expected.iter().map(|expected| self.compare(value, expected)));
            if self.is_negated { is_one.negated() } else { is_one }
        };
        match (self.quantifier, values) {
            (Some(Quantifier::AllValues), values) => Truth::all(values.iter().map(of_value)),
            (Some(Quantifier::AnyValue), values) => Truth::any(values.iter().map(of_value)),
            (None, [only]) => of_value(only),
            // Without a quantifier, AWS documents nothing for a key with several values.
            (None, _) => Truth::Unknown,
        }
    }

    fn compare(self, value: &str, expected: &Value) -> Truth {
        let Some(expected) = text(expected) else { return Truth::Unknown };
        if expected.contains("${") {
            // A policy variable.
            return Truth::Unknown;
        }
        match self.comparison {
            Comparison::Equal => (value == expected).into(),
            Comparison::EqualIgnoringCase => (value.to_lowercase() == expected.to_lowercase()).into(),
            Comparison::Like => is_like(&expected, value).into(),
            Comparison::Arn => is_like_arn(&expected, value),
            Comparison::Null | Comparison::NotCompared => Truth::Unknown,
        }
    }
}

fn is_order(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind).is_some_and(|order| {
        ["Equals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"].contains(&order)
    })
}

fn is_null(is_absent: bool, expected: &[&Value]) -> Truth {
    Truth::any(expected.iter().map(|expected| match text(expected).as_deref() {
        Some("true") => is_absent.into(),
        Some("false") => (!is_absent).into(),
        _ => Truth::Unknown,
    }))
}

/// Each of the six parts of an ARN is compared for itself.
fn is_like_arn(pattern: &str, value: &str) -> Truth {
    let parts = |arn: &str| arn.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (pattern, value) = (parts(pattern), parts(value));
    if pattern.len() != 6 || value.len() != 6 {
        return Truth::Unknown;
    }
    Truth::all(pattern.iter().zip(&value).map(|(pattern, value)| is_like(pattern, value).into()))
}

/// A value of a condition; numbers and booleans may stand without quotes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}
