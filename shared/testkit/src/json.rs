//! JSON as a person types it: numbers, escapes and white space keep the characters they were
//! written with, which a parsed value would lose.

use proptest::prelude::*;

use crate::ids::matching;

/// A JSON value whose tokens are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// A number, a string with its quotes, `true`, `false` or `null`.
    Token(String),
    /// A list.
    List(Vec<Json>),
    /// An object. The names keep their quotes and may repeat.
    Object(Vec<(String, Json)>),
}

/// The white space between two tokens.
const SPACES: [&str; 5] = ["", " ", "\n", "\t  ", "\r\n"];

impl Json {
    /// A token with this text.
    pub fn token(text: impl Into<String>) -> Self {
        Self::Token(text.into())
    }

    /// The text without white space between tokens.
    pub fn compact(&self) -> String {
        self.spaced(&[])
    }

    /// The text with white space between tokens, picked by `spaces` one after the other.
    pub fn spaced(&self, spaces: &[u8]) -> String {
        let mut text = Spaced { text: String::new(), spaces: spaces.iter().cycle() };
        text.value(self);
        text.text
    }
}

struct Spaced<'a> {
    text: String,
    spaces: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl Spaced<'_> {
    fn token(&mut self, token: &str) {
        let mut space = || self.spaces.next().map_or("", |space| SPACES[usize::from(*space) % SPACES.len()]);
        let (before, after) = (space(), space());
        self.text.extend([before, token, after]);
    }

    fn value(&mut self, value: &Json) {
        match value {
            Json::Token(token) => self.token(token),
            Json::List(items) => {
                self.token("[");
                for (position, item) in items.iter().enumerate() {
                    self.comma_after(position);
                    self.value(item);
                }
                self.token("]");
            }
            Json::Object(fields) => {
                self.token("{");
                for (position, (name, value)) in fields.iter().enumerate() {
                    self.comma_after(position);
                    self.token(name);
                    self.token(":");
                    self.value(value);
                }
                self.token("}");
            }
        }
    }

    fn comma_after(&mut self, count: usize) {
        if count > 0 {
            self.token(",");
        }
    }
}

/// Numbers in every notation of JSON.
fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1.0".to_owned()),
        Just("1e5".to_owned()),
        Just("-0".to_owned()),
        matching("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?"),
    ]
}

/// Strings with escapes, white space, brackets and characters of any language.
pub fn strings() -> impl Strategy<Value = String> {
    let piece = [
        "[^\"\\\\\\x00-\\x1f]{1,6}",
        "[ ,:{}\\[\\]]{1,3}",
        "\\\\[nrtbf/\"\\\\]",
        "\\\\u0[0-9a-fA-F]{3}",
        "\\\\ud83d\\\\ude00",
    ]
    .join("|");
    prop::collection::vec(matching(&piece), 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Any JSON value, a few levels deep.
pub fn values() -> impl Strategy<Value = Json> {
    let literals = prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned);
    let token = prop_oneof![2 => strings(), 1 => numbers(), 1 => literals].prop_map(Json::Token);
    token.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::List),
            prop::collection::vec((strings(), inner), 0..3).prop_map(Json::Object),
        ]
    })
}
