//! Writes: single ones and batches.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::dynamodb::DynamoDb;
use crate::memory::dynamodb::conditions::{Condition, condition};
use crate::memory::dynamodb::expression::Placeholders;
use crate::memory::dynamodb::items::{Item, Key, item_of, key_of, only_key, require_storable};
use crate::memory::dynamodb::updates::{Update, update};
use crate::memory::input::{invalid, not_implemented, require_known, required_text, text};

/// Writes that one `BatchWriteItem` accepts.
const BATCH: usize = 25;

pub(super) const CONDITION: &str = "ConditionalCheckFailedException";

/// One write of one item.
pub(super) struct Write {
    pub(super) table: String,
    pub(super) key: Key,
    condition: Option<Condition>,
    effect: Effect,
}

enum Effect {
    Put(Item),
    Update(Update),
    Delete,
    /// Only the condition counts.
    Nothing,
}

impl DynamoDb {
    pub(super) fn put_item(&mut self, input: &Value) -> Answer {
        self.write_one("PutItem", input, Write::put(input, &["ReturnValues"])?)
    }

    pub(super) fn update_item(&mut self, input: &Value) -> Answer {
        self.write_one("UpdateItem", input, Write::update(input, &["ReturnValues"])?)
    }

    pub(super) fn delete_item(&mut self, input: &Value) -> Answer {
        self.write_one("DeleteItem", input, Write::delete(input, &["ReturnValues"])?)
    }

    fn write_one(&mut self, operation: &str, input: &Value, write: Write) -> Answer {
        let returned = text(input, "ReturnValues").unwrap_or("NONE");
        let is_update = operation == "UpdateItem";
        if !(matches!(returned, "NONE" | "ALL_OLD") || returned == "ALL_NEW" && is_update) {
            return Err(not_implemented(format!("{operation} does not return {returned} here")));
        }
        let before = self.find(&write.table, &write.key).cloned();
        let after = write.outcome(before.as_ref())?;
        self.store(write, after.clone());
        let returned = match returned {
            "ALL_OLD" => before,
            "ALL_NEW" => after,
            _ => None,
        };
        Ok(returned.map_or_else(|| json!({}), |item| json!({ "Attributes": item })))
    }

    pub(super) fn store(&mut self, write: Write, after: Option<Item>) {
        let table = self.tables.entry(write.table).or_default();
        match after {
            Some(item) => table.insert(write.key, item),
            None => table.remove(&write.key),
        };
    }

    pub(super) fn batch_write_item(&mut self, input: &Value) -> Answer {
        require_known("BatchWriteItem", input, &["RequestItems"])?;
        let mut writes = Vec::new();
        for (table, requests) in input.get("RequestItems").and_then(Value::as_object).into_iter().flatten() {
            for request in requests.as_array().into_iter().flatten() {
                writes.push(Write::of_batch(table, request)?);
            }
        }
        if writes.is_empty() {
            return Err(invalid("1 validation error detected: Value '{}' at 'requestItems' is empty"));
        }
        if writes.len() > BATCH {
            return Err(invalid("Too many items requested for the BatchWriteItem call"));
        }
        require_distinct(&writes, "Provided list of item keys contains duplicates")?;
        for write in writes {
            let after = write.outcome(None)?;
            self.store(write, after);
        }
        Ok(json!({ "UnprocessedItems": {} }))
    }
}

impl Write {
    fn put(input: &Value, known: &[&str]) -> Result<Self, Refused> {
        require_known("Put", input, &[&["TableName", "Item"], &CONDITIONAL[..], known].concat())?;
        let (condition, _) = expressions(input)?;
        let (key, item) = item_of(input.get("Item"))?;
        Ok(Self {
            table: required_text(input, "TableName")?.to_owned(),
            key,
            condition,
            effect: Effect::Put(item),
        })
    }

    fn update(input: &Value, known: &[&str]) -> Result<Self, Refused> {
        let known = [&["UpdateExpression"], known].concat();
        Self::of_key("Update", input, &known, Effect::Update)
    }

    fn delete(input: &Value, known: &[&str]) -> Result<Self, Refused> {
        Self::of_key("Delete", input, known, |_| Effect::Delete)
    }

    fn of_key(
        operation: &str,
        input: &Value,
        known: &[&str],
        effect: impl FnOnce(Update) -> Effect,
    ) -> Result<Self, Refused> {
        require_known(operation, input, &[&["TableName", "Key"], &CONDITIONAL[..], known].concat())?;
        let (condition, update) = expressions(input)?;
        let key = key_of(input.get("Key"))?;
        Ok(Self {
            table: required_text(input, "TableName")?.to_owned(),
            key,
            condition,
            effect: effect(update),
        })
    }

    fn of_batch(table: &str, request: &Value) -> Result<Self, Refused> {
        let (key, effect) = match only_field(request) {
            Some(("PutRequest", put)) => {
                require_known("PutRequest", put, &["Item"])?;
                let (key, item) = item_of(put.get("Item"))?;
                (key, Effect::Put(item))
            }
            Some(("DeleteRequest", delete)) => {
                require_known("DeleteRequest", delete, &["Key"])?;
                (key_of(delete.get("Key"))?, Effect::Delete)
            }
            _ => return Err(invalid("Supplied WriteRequest is empty, must contain exactly one request")),
        };
        Ok(Self { table: table.to_owned(), key, condition: None, effect })
    }

    pub(super) fn of_transaction(item: &Value) -> Result<Self, Refused> {
        match only_field(item) {
            Some(("Put", put)) => Self::put(put, &[]),
            Some(("Update", update)) => {
                required_text(update, "UpdateExpression")?;
                Self::update(update, &[])
            }
            Some(("Delete", delete)) => Self::delete(delete, &[]),
            Some(("ConditionCheck", check)) => {
                required_text(check, "ConditionExpression")?;
                Self::of_key("ConditionCheck", check, &[], |_| Effect::Nothing)
            }
            _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
        }
    }

    /// The item afterwards, if there is one then.
    pub(super) fn outcome(&self, before: Option<&Item>) -> Result<Option<Item>, Refused> {
        let nothing = Item::new();
        if let Some(condition) = &self.condition
            && !condition.holds(before.unwrap_or(&nothing))
        {
            return Err(Refused::new(CONDITION, "The conditional request failed"));
        }
        match &self.effect {
            Effect::Put(item) => Ok(Some(item.clone())),
            Effect::Update(update) if before.is_none() && update.only_removes() => Ok(None),
            Effect::Update(update) => {
                let after = update.apply(before.unwrap_or(&only_key(&self.key)))?;
                require_storable(&after, "Item size to update has exceeded the maximum allowed size")?;
                Ok(Some(after))
            }
            Effect::Delete => Ok(None),
            Effect::Nothing => Ok(before.cloned()),
        }
    }
}

/// The parameters of a condition.
const CONDITIONAL: [&str; 3] =
    ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"];

/// The condition and the update of a request.
fn expressions(input: &Value) -> Result<(Option<Condition>, Update), Refused> {
    let mut placeholders = Placeholders::of(input)?;
    let update = update(input, &mut placeholders)?;
    let condition = condition("ConditionExpression", input, &mut placeholders)?;
    placeholders.require_all_used()?;
    Ok((condition, update))
}

fn only_field(input: &Value) -> Option<(&str, &Value)> {
    let mut fields = input.as_object()?.iter().filter(|(_, value)| !value.is_null());
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) => Some((name, value)),
        _ => None,
    }
}

pub(super) fn require_distinct(writes: &[Write], message: &str) -> Result<(), Refused> {
    let items: BTreeSet<(&str, &Key)> =
        writes.iter().map(|write| (write.table.as_str(), &write.key)).collect();
    if items.len() < writes.len() { Err(invalid(message)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::dynamodb::examples::{if_number, item, key, ledger, number_of, set_number};

    #[test]
    fn a_put_replaces_the_item_if_its_condition_holds() {
        let mut dynamodb = ledger();
        let put = |number, new| if_number(number, json!({ "Item": item("1", new) }));
        let refused = dynamodb.call("PutItem", &put(2, 3)).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (400, CONDITION));
        assert_eq!(refused.message, "The conditional request failed");
        assert_eq!(number_of(&dynamodb, "1").unwrap(), "1");
        assert_eq!(dynamodb.call("PutItem", &put(1, 3)).unwrap(), json!({}));
        assert_eq!(number_of(&dynamodb, "1").unwrap(), "3");
    }

    #[test]
    fn a_new_item_is_put_only_once() {
        let mut dynamodb = ledger();
        let new = |sk| json!({ "TableName": "t", "Item": item(sk, 2), "ConditionExpression": "attribute_not_exists(pk)" });
        assert_eq!(dynamodb.call("PutItem", &new("1")).unwrap_err().code, CONDITION);
        assert!(dynamodb.call("PutItem", &new("2")).is_ok());
    }

    #[test]
    fn an_update_changes_or_makes_the_item_if_its_condition_holds() {
        let mut dynamodb = ledger();
        for sk in ["1", "2"] {
            dynamodb.call("UpdateItem", &set_number(sk, 5)).unwrap();
            assert_eq!(*dynamodb.item("t", "a", sk).unwrap(), *item(sk, 5).as_object().unwrap());
        }
        let refused = dynamodb.call("UpdateItem", &if_number(4, set_number("1", 6))).unwrap_err();
        assert_eq!(refused.code, CONDITION);
        assert_eq!(number_of(&dynamodb, "1").unwrap(), "5");
    }

    #[test]
    fn an_update_that_only_removes_makes_no_item() {
        let mut dynamodb = ledger();
        let update = |expression: &str, values: Value| {
            let mut input = json!({ "TableName": "t", "Key": key("2"), "UpdateExpression": expression });
            input["ExpressionAttributeValues"] = values;
            input
        };
        let values = json!({ ":x": { "SS": ["x"] } });
        dynamodb.call("UpdateItem", &update("REMOVE a", Value::Null)).unwrap();
        dynamodb.call("UpdateItem", &update("DELETE a :x", values.clone())).unwrap();
        assert!(dynamodb.item("t", "a", "2").is_none());
        dynamodb.call("UpdateItem", &update("ADD a :x DELETE b :x", values)).unwrap();
        assert!(dynamodb.item("t", "a", "2").is_some());
    }

    #[test]
    fn a_write_returns_the_item_before_or_after_it() {
        let mut dynamodb = ledger();
        let mut update = set_number("1", 2);
        update["ReturnValues"] = json!("ALL_NEW");
        assert_eq!(dynamodb.call("UpdateItem", &update).unwrap(), json!({ "Attributes": item("1", 2) }));
        let delete = |returned| json!({ "TableName": "t", "Key": key("1"), "ReturnValues": returned });
        assert_eq!(dynamodb.call("DeleteItem", &delete("ALL_NEW")).unwrap_err().status, 501);
        assert_eq!(
            dynamodb.call("DeleteItem", &delete("ALL_OLD")).unwrap(),
            json!({ "Attributes": item("1", 2) })
        );
        assert_eq!(dynamodb.call("DeleteItem", &delete("ALL_OLD")).unwrap(), json!({}), "it is gone");
    }

    #[test]
    fn a_delete_has_a_condition_too() {
        let mut dynamodb = ledger();
        let delete = |number| if_number(number, json!({ "Key": key("1") }));
        assert_eq!(dynamodb.call("DeleteItem", &delete(2)).unwrap_err().code, CONDITION);
        dynamodb.call("DeleteItem", &delete(1)).unwrap();
        assert!(dynamodb.item("t", "a", "1").is_none());
    }

    #[test]
    fn an_unused_placeholder_of_a_write_is_refused() {
        let mut put = if_number(1, json!({ "Item": item("1", 2) }));
        put["ConditionExpression"] = json!("attribute_exists(pk)");
        let refused = ledger().call("PutItem", &put).unwrap_err();
        assert_eq!(
            refused.message,
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#number}"
        );
    }

    #[test]
    fn a_batch_puts_and_deletes_up_to_25_different_items() {
        let mut dynamodb = ledger();
        let batch = |requests: Vec<Value>| json!({ "RequestItems": { "t": requests } });
        let put = |sk: usize| json!({ "PutRequest": { "Item": item(&sk.to_string(), 7) } });
        let delete = json!({ "DeleteRequest": { "Key": key("1") } });
        let answer = dynamodb.call("BatchWriteItem", &batch(vec![put(2), delete.clone()])).unwrap();
        assert_eq!(answer, json!({ "UnprocessedItems": {} }));
        assert!(number_of(&dynamodb, "1").is_none() && number_of(&dynamodb, "2").is_some());
        assert!(dynamodb.call("BatchWriteItem", &batch((0..25).map(put).collect())).is_ok());
        for (requests, message) in [
            ((0..26).map(put).collect(), "Too many items requested"),
            (vec![], "is empty"),
            (vec![put(1), delete], "contains duplicates"),
            (vec![json!({})], "exactly one request"),
        ] {
            let refused = dynamodb.call("BatchWriteItem", &batch(requests)).unwrap_err();
            assert!(refused.message.contains(message), "{message}");
        }
    }
}
