//! The elements Action, NotAction, Resource and NotResource of a statement.

use serde_json::Value;
use wildmatch::WildMatch;

use super::truth::Truth;
use crate::ids::KeyArn;

/// Whether a statement names an action. Actions are not case-sensitive. A statement without Action has no effect. Source:
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html> (Policy)
pub(super) fn name_action(statement: &Value, action: &str) -> Truth {
    let action = action.to_ascii_lowercase();
    let is_among =
        |patterns: &Value| matches_one(patterns, |pattern| is_like(&pattern.to_ascii_lowercase(), &action));
    match (statement.get("Action"), statement.get("NotAction")) {
        (Some(actions), None) => is_among(actions),
        (None, Some(excepted)) => is_among(excepted).negated(),
        (None, None) => Truth::No,
        (Some(_), Some(_)) => Truth::Unknown,
    }
}

/// Whether a statement names the key. In a key policy `*` is the key itself; AWS does not document what KMS does with a
/// resource that is another key, so that is unknown. A statement without Resource has no effect. Source:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html#key-policy-elements>
pub(super) fn name_key(statement: &Value, key: &KeyArn) -> Truth {
    let is_among = |patterns: &Value| matches_one(patterns, |pattern| is_like(pattern, key.as_str()));
    let named = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(resources), None) => is_among(resources),
        (None, Some(excepted)) => is_among(excepted).negated(),
        (None, None) => return Truth::No,
        (Some(_), Some(_)) => Truth::Unknown,
    };
    named.max(Truth::Unknown)
}

/// Whether a text matches a pattern with the wildcards `*` and `?`, which are the only ones of a policy.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

/// Whether a pattern, or one of a list of patterns, matches. Anything but texts is unknown.
fn matches_one(patterns: &Value, matches: impl Fn(&str) -> bool) -> Truth {
    let of = |pattern: &Value| pattern.as_str().map_or(Truth::Unknown, |pattern| matches(pattern).into());
    match patterns {
        Value::Array(patterns) if patterns.is_empty() => Truth::Unknown,
        Value::Array(patterns) => Truth::any(patterns.iter().map(of)),
        alone => of(alone),
    }
}
