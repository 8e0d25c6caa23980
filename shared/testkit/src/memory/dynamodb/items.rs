//! Items and their keys. Every table has the partition key `pk` and the sort key `sk`, both texts, and one index.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::memory::answer::Refused;
use crate::memory::dynamodb::attributes::{parts, size, stored_fields, text_of};
use crate::memory::input::invalid;

/// The attributes of one item, by name.
pub type Item = Map<String, Value>;

/// Partition key and sort key.
pub(super) type Key = (String, String);

/// The items of one table, in the order of their keys.
pub(super) type Table = BTreeMap<Key, Item>;

/// The names of the table's keys.
pub(super) const KEYS: [&str; 2] = ["pk", "sk"];

/// The index of every table. An item is in it when it has both of the index's keys.
pub(super) const INDEX: &str = "managed-images";
/// The index's keys: its partition key, and its sort key.
pub(super) const INDEX_KEYS: [&str; 2] = ["managed", "pk"];

/// Bytes of a partition key, of a sort key and of an item. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const KEY_LIMITS: [(&str, usize); 2] = [("hashkey", 2048), ("rangekey", 1024)];
const ITEM_LIMIT: usize = 400 * 1024;

/// The key that a request names: `pk` and `sk`, and nothing else.
pub(super) fn key_of(key: Option<&Value>) -> Result<Key, Refused> {
    let mismatch = || invalid("The provided key element does not match the schema");
    let fields = key.and_then(Value::as_object).ok_or_else(mismatch)?;
    let [Some(pk), Some(sk)] = KEYS.map(|name| fields.get(name).and_then(text_of)) else {
        return Err(mismatch());
    };
    if fields.len() != KEYS.len() {
        return Err(mismatch());
    }
    checked((pk.to_owned(), sk.to_owned()))
}

/// The item of a request as it is stored, and its key.
pub(super) fn item_of(item: Option<&Value>) -> Result<(Key, Item), Refused> {
    let fields = item.and_then(Value::as_object).cloned().unwrap_or_default();
    let item = stored_fields(&fields)?;
    let [pk, sk] = KEYS.map(|name| key_attribute(&item, name).map(str::to_owned));
    let key = checked((pk?, sk?))?;
    require_storable(&item, "Item size has exceeded the maximum allowed size")?;
    Ok((key, item))
}

fn key_attribute<'a>(item: &'a Item, name: &str) -> Result<&'a str, Refused> {
    let value = item.get(name).ok_or_else(|| {
        invalid(format!("One or more parameter values were invalid: Missing the key {name} in the item"))
    })?;
    text_of(value).ok_or_else(|| {
        let actual = parts(value).map_or("", |(kind, _)| kind);
        invalid(format!(
            "One or more parameter values were invalid: Type mismatch for key {name} expected: S actual: {actual}"
        ))
    })
}

fn checked(key: Key) -> Result<Key, Refused> {
    for (((what, limit), name), value) in KEY_LIMITS.into_iter().zip(KEYS).zip([&key.0, &key.1]) {
        if value.is_empty() {
            return Err(invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty string value. Key: {name}"
            )));
        }
        if value.len() > limit {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Size of {what} has exceeded the maximum size limit of{limit} \
                 bytes"
            )));
        }
    }
    Ok(key)
}

/// Refuses an item that is too large (with the text `too_large`), or that the index cannot hold.
pub(super) fn require_storable(item: &Item, too_large: &str) -> Result<(), Refused> {
    if size(item) > ITEM_LIMIT {
        return Err(invalid(too_large));
    }
    let [name, _] = INDEX_KEYS;
    match item.get(name).map(|value| (parts(value), text_of(value))) {
        Some((_, Some(""))) => Err(invalid(format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. \
             The AttributeValue for a key attribute cannot contain an empty string value. IndexName: {INDEX}, IndexKey: \
             {name}"
        ))),
        Some((kind, None)) => Err(invalid(format!(
            "One or more parameter values were invalid: Type mismatch for Index Key {name} Expected: S Actual: {} \
             IndexName: {INDEX}",
            kind.map_or("", |(kind, _)| kind)
        ))),
        Some(_) | None => Ok(()),
    }
}

/// An item with nothing but its key.
pub(super) fn only_key((pk, sk): &Key) -> Item {
    let [hash, range] = KEYS.map(str::to_owned);
    Item::from_iter([(hash, json!({ "S": pk })), (range, json!({ "S": sk }))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(item: Value) -> String {
        item_of(Some(&item)).unwrap_err().message
    }

    #[test]
    fn an_item_has_both_keys_as_texts_that_are_neither_empty_nor_too_long() {
        let with = |pk: Value, sk: Value| refused(json!({ "pk": pk, "sk": sk }));
        assert!(refused(json!({ "pk": { "S": "a" } })).ends_with("Missing the key sk in the item"));
        assert!(with(json!({ "N": "1" }), json!({ "S": "b" })).ends_with("key pk expected: S actual: N"));
        assert!(with(json!({ "S": "" }), json!({ "S": "b" })).ends_with("Key: pk"));
        assert!(with(json!({ "S": "a" }), json!({ "S": "b".repeat(1025) })).contains("limit of1024 bytes"));
        let longest = json!({ "pk": { "S": "a".repeat(2048) }, "sk": { "S": "b".repeat(1024) } });
        assert!(item_of(Some(&longest)).is_ok());
    }

    #[test]
    fn a_key_has_no_other_attribute() {
        let key = json!({ "pk": { "S": "a" }, "sk": { "S": "b" } });
        assert_eq!(key_of(Some(&key)).unwrap(), ("a".to_owned(), "b".to_owned()));
        for key in [
            json!({ "pk": { "S": "a" } }),
            json!({ "pk": { "S": "a" }, "sk": { "S": "b" }, "x": { "S": "c" } }),
        ] {
            let message = key_of(Some(&key)).unwrap_err().message;
            assert_eq!(message, "The provided key element does not match the schema");
        }
    }

    #[test]
    fn an_item_that_is_too_large_or_has_a_bad_index_key_is_refused() {
        let with = |name: &str, value: Value| {
            refused(json!({ "pk": { "S": "a" }, "sk": { "S": "b" }, name: value }))
        };
        assert!(with("x", json!({ "S": "x".repeat(400 * 1024) })).starts_with("Item size has exceeded"));
        assert!(with("managed", json!({ "BOOL": true })).contains("Type mismatch for Index Key managed"));
        assert!(with("managed", json!({ "S": "" })).contains("IndexName: managed-images"));
    }
}
