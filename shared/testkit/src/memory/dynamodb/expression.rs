//! What all expressions have in common: their tokens, and the placeholders for names (`#n`) and values (`:v`).
//!
//! Sources: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html>

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value};

use crate::memory::answer::Refused;
use crate::memory::dynamodb::attributes::stored;
use crate::memory::dynamodb::items::Item;
use crate::memory::input::{invalid, not_implemented};

/// Words that no expression may use as a name without a placeholder.
const RESERVED: &str = include_str!("reserved_words.txt");

const SYMBOLS: [&str; 11] = ["<=", ">=", "<>", "<", ">", "=", "(", ")", ",", "+", "-"];

/// The placeholders of a request, and which of them its expressions have used.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, Value>,
    used: BTreeSet<String>,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, the name of a function or of an attribute.
    Word(String),
    /// `#name`
    Name(String),
    /// `:value`
    Value(String),
    /// An operator, a bracket or a comma.
    Symbol(&'static str),
}

/// What an operator or a function is applied to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// An attribute of the item.
    Attribute(String),
    /// A value of the request.
    Value(Value),
}

/// Reads one expression from its beginning to its end.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    /// The parameter with the expression.
    pub(super) kind: &'static str,
    placeholders: &'a mut Placeholders,
    tokens: Peekable<IntoIter<Token>>,
}

impl Placeholders {
    /// The placeholders that a request defines.
    pub(super) fn of(input: &Value) -> Result<Self, Refused> {
        let defined = |kind: &str| match input.get(kind).and_then(Value::as_object) {
            Some(defined) if defined.is_empty() => Err(invalid(format!("{kind} must not be empty"))),
            defined => Ok(defined.cloned().unwrap_or_default()),
        };
        let name = |(placeholder, name): (String, Value)| {
            (placeholder, name.as_str().unwrap_or_default().to_owned())
        };
        Ok(Self {
            names: defined("ExpressionAttributeNames")?.into_iter().map(name).collect(),
            values: values(defined("ExpressionAttributeValues")?)?,
            used: BTreeSet::new(),
        })
    }

    /// Refuses placeholders that no expression has used.
    pub(super) fn require_all_used(&self) -> Result<(), Refused> {
        let kinds: [(&str, Vec<&String>); 2] = [
            ("ExpressionAttributeNames", self.names.keys().collect()),
            ("ExpressionAttributeValues", self.values.keys().collect()),
        ];
        for (kind, defined) in kinds {
            let unused: Vec<&str> = defined
                .into_iter()
                .filter(|defined| !self.used.contains(*defined))
                .map(String::as_str)
                .collect();
            if !unused.is_empty() {
                return Err(invalid(format!(
                    "Value provided in {kind} unused in expressions: keys: {{{}}}",
                    unused.join(", ")
                )));
            }
        }
        Ok(())
    }

    fn name(&mut self, kind: &str, placeholder: String) -> Result<String, Refused> {
        let name = self.names.get(&placeholder).cloned().ok_or_else(|| {
            invalid(format!(
                "Invalid {kind}: An expression attribute name used in the document path is not defined; attribute name: \
                 {placeholder}"
            ))
        })?;
        self.used.insert(placeholder);
        Ok(name)
    }

    fn value(&mut self, kind: &str, placeholder: String) -> Result<Value, Refused> {
        let value = self.values.get(&placeholder).cloned().ok_or_else(|| {
            invalid(format!(
                "Invalid {kind}: An expression attribute value used in expression is not defined; attribute value: \
                 {placeholder}"
            ))
        })?;
        self.used.insert(placeholder);
        Ok(value)
    }
}

fn values(defined: Map<String, Value>) -> Result<BTreeMap<String, Value>, Refused> {
    let value = |(placeholder, value): (String, Value)| {
        let value = stored(&value).map_err(|refused| Refused {
            message: format!(
                "ExpressionAttributeValues contains invalid value: {} for key {placeholder}",
                refused.message
            ),
            ..refused
        })?;
        Ok((placeholder, value))
    };
    defined.into_iter().map(value).collect()
}

impl<'a> Parser<'a> {
    /// The parser of the expression in the parameter `kind`, or `None` when the request has none.
    pub(super) fn of(
        kind: &'static str,
        input: &Value,
        placeholders: &'a mut Placeholders,
    ) -> Result<Option<Self>, Refused> {
        let Some(text) = input.get(kind).and_then(Value::as_str) else { return Ok(None) };
        let tokens = tokens(kind, text)?;
        if tokens.is_empty() {
            return Err(invalid(format!("Invalid {kind}: The expression can not be empty;")));
        }
        Ok(Some(Self { kind, placeholders, tokens: tokens.into_iter().peekable() }))
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }

    /// Whether the next token is this symbol; it is consumed then.
    pub(super) fn accepts(&mut self, symbol: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Symbol(next) if *next == symbol)).is_some()
    }

    /// Whether the next token is this keyword; it is consumed then.
    pub(super) fn accepts_word(&mut self, word: &str) -> bool {
        let is_word = |token: &Token| matches!(token, Token::Word(next) if next.eq_ignore_ascii_case(word));
        self.tokens.next_if(is_word).is_some()
    }

    /// The next token if it is a word; it is consumed then.
    pub(super) fn next_if_word(&mut self) -> Option<String> {
        match self.tokens.next_if(|token| matches!(token, Token::Word(_))) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Consumes this symbol.
    pub(super) fn require(&mut self, symbol: &str) -> Result<(), Refused> {
        if self.accepts(symbol) {
            return Ok(());
        }
        let next = self.next();
        Err(self.not_understood(next.as_ref(), symbol))
    }

    /// The end of the expression.
    pub(super) fn require_end(&mut self) -> Result<(), Refused> {
        match self.next() {
            None => Ok(()),
            next => Err(self.not_understood(next.as_ref(), "the end")),
        }
    }

    /// The name of an attribute.
    pub(super) fn attribute(&mut self) -> Result<String, Refused> {
        match self.next() {
            Some(Token::Word(word)) => self.unreserved(word),
            Some(Token::Name(placeholder)) => self.placeholders.name(self.kind, placeholder),
            Some(Token::Value(_)) => {
                Err(invalid(format!("Invalid {}: Operator or function requires a document path", self.kind)))
            }
            next => Err(self.not_understood(next.as_ref(), "an attribute")),
        }
    }

    /// A value of the request.
    pub(super) fn value(&mut self) -> Result<Value, Refused> {
        match self.next() {
            Some(Token::Value(placeholder)) => self.placeholders.value(self.kind, placeholder),
            next => Err(self.not_understood(next.as_ref(), "a value")),
        }
    }

    /// An attribute or a value.
    pub(super) fn operand(&mut self) -> Result<Operand, Refused> {
        if matches!(self.tokens.peek(), Some(Token::Value(_))) {
            return self.value().map(Operand::Value);
        }
        self.attribute().map(Operand::Attribute)
    }

    /// The name of an attribute that an expression has without a placeholder.
    pub(super) fn unreserved(&self, word: String) -> Result<String, Refused> {
        if RESERVED.split_whitespace().any(|reserved| reserved.eq_ignore_ascii_case(&word)) {
            return Err(invalid(format!(
                "Invalid {}: Attribute name is a reserved keyword; reserved keyword: {word}",
                self.kind
            )));
        }
        Ok(word)
    }

    /// An expression that has `next` (or its end) instead of `expected`. It may be one that DynamoDB understands.
    pub(super) fn not_understood(&self, next: Option<&Token>, expected: &str) -> Refused {
        let next = match next {
            None => "the end",
            Some(Token::Symbol(symbol)) => symbol,
            Some(Token::Word(text) | Token::Name(text) | Token::Value(text)) => text,
        };
        not_implemented(format!("{}: expected {expected}, found {next}", self.kind))
    }
}

impl Operand {
    /// Its value for an item.
    pub(super) fn resolve<'a>(&'a self, item: &'a Item) -> Option<&'a Value> {
        match self {
            Self::Attribute(name) => item.get(name),
            Self::Value(value) => Some(value),
        }
    }
}

/// The attributes that a projection names. `None` stands for all.
pub(super) fn projection(
    input: &Value,
    placeholders: &mut Placeholders,
) -> Result<Option<BTreeSet<String>>, Refused> {
    let Some(mut parser) = Parser::of("ProjectionExpression", input, placeholders)? else { return Ok(None) };
    let mut names = BTreeSet::from([parser.attribute()?]);
    while parser.accepts(",") {
        names.insert(parser.attribute()?);
    }
    parser.require_end()?;
    Ok(Some(names))
}

fn tokens(kind: &str, text: &str) -> Result<Vec<Token>, Refused> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
        let after = match (symbol, first) {
            (Some(symbol), _) => {
                tokens.push(Token::Symbol(symbol));
                rest.strip_prefix(symbol).unwrap_or_default()
            }
            (None, '#' | ':' | '_' | 'a'..='z' | 'A'..='Z') => {
                let is_end = |(at, c): &(usize, char)| *at > 0 && !c.is_ascii_alphanumeric() && *c != '_';
                let end = rest.char_indices().find(is_end).map_or(rest.len(), |(at, _)| at);
                let (word, after) = rest.split_at(end);
                let token = match first {
                    '#' => Token::Name,
                    ':' => Token::Value,
                    _ => Token::Word,
                };
                tokens.push(token(word.to_owned()));
                after
            }
            _ => return Err(not_implemented(format!("{kind}: `{rest}` is not understood here"))),
        };
        rest = after.trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn projected(input: Value) -> Result<Option<BTreeSet<String>>, Refused> {
        let mut placeholders = Placeholders::of(&input)?;
        let names = projection(&input, &mut placeholders)?;
        placeholders.require_all_used()?;
        Ok(names)
    }

    fn refused(input: Value) -> String {
        let refused = projected(input).unwrap_err();
        assert_eq!(refused.code, "ValidationException");
        refused.message
    }

    #[test]
    fn an_expression_is_split_into_tokens() {
        let word = |text: &str| Token::Word(text.to_owned());
        let expected = [
            word("ends"),
            Token::Symbol("<="),
            Token::Value(":now".to_owned()),
            word("AND"),
            Token::Symbol("("),
            Token::Name("#a_1".to_owned()),
            Token::Symbol(")"),
        ];
        assert_eq!(tokens("", "ends<=:now AND ( #a_1)").unwrap(), expected);
    }

    #[test]
    fn names_stand_for_themselves_or_for_what_a_placeholder_says() {
        let names = projected(json!({
            "ProjectionExpression": "pk, #number",
            "ExpressionAttributeNames": { "#number": "number" },
        }));
        assert_eq!(names.unwrap(), Some(BTreeSet::from(["number".to_owned(), "pk".to_owned()])));
        assert_eq!(projected(json!({})).unwrap(), None);
    }

    #[test]
    fn placeholders_are_defined_and_used() {
        assert!(
            refused(json!({ "ProjectionExpression": "#a" })).ends_with("is not defined; attribute name: #a")
        );
        let unused =
            json!({ "ProjectionExpression": "pk", "ExpressionAttributeNames": { "#a": "a", "#b": "b" } });
        assert!(refused(unused).ends_with("ExpressionAttributeNames unused in expressions: keys: {#a, #b}"));
        let unused = json!({ "ExpressionAttributeValues": { ":a": { "S": "a" } } });
        assert!(refused(unused).ends_with("ExpressionAttributeValues unused in expressions: keys: {:a}"));
        let none = json!({ "ProjectionExpression": "pk", "ExpressionAttributeNames": {} });
        assert_eq!(refused(none), "ExpressionAttributeNames must not be empty");
        let empty = json!({ "ExpressionAttributeValues": { ":a": { "SS": [] } } });
        assert!(refused(empty).ends_with("An string set  may not be empty for key :a"));
    }

    #[test]
    fn a_reserved_word_needs_a_placeholder() {
        for word in ["number", "Status", "AT", "keys"] {
            let message = refused(json!({ "ProjectionExpression": word }));
            assert!(message.ends_with(&format!("reserved keyword; reserved keyword: {word}")), "{message}");
        }
    }

    #[test]
    fn what_is_not_understood_is_never_ignored() {
        for expression in ["a.b", "a[0]", "pk sk", "pk,", "(pk)", "ä"] {
            let refused = projected(json!({ "ProjectionExpression": expression })).unwrap_err();
            assert_eq!(refused.status, 501, "{expression}");
        }
        assert!(
            refused(json!({ "ProjectionExpression": " " })).ends_with("The expression can not be empty;")
        );
    }
}
