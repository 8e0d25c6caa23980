//! Items and requests for the tests of writes.

use serde_json::{Value, json};

use crate::memory::dynamodb::DynamoDb;

/// The key of an item.
pub(super) fn key(sk: &str) -> Value {
    json!({ "pk": { "S": "a" }, "sk": { "S": sk } })
}

/// An item with a number.
pub(super) fn item(sk: &str, number: u32) -> Value {
    let mut item = key(sk);
    item["number"] = json!({ "N": number.to_string() });
    item
}

/// A table with the item `1`, whose number is 1.
pub(super) fn ledger() -> DynamoDb {
    let mut dynamodb = DynamoDb::default();
    dynamodb.call("PutItem", &json!({ "TableName": "t", "Item": item("1", 1) })).unwrap();
    dynamodb
}

pub(super) fn number_of(dynamodb: &DynamoDb, sk: &str) -> Option<String> {
    Some(dynamodb.item("t", "a", sk)?.get("number")?["N"].as_str()?.to_owned())
}

/// `input` under the condition that the number of the item is `number`.
pub(super) fn if_number(number: u32, mut input: Value) -> Value {
    input["TableName"] = json!("t");
    input["ConditionExpression"] = json!("#number = :expected");
    input["ExpressionAttributeNames"] = json!({ "#number": "number" });
    input["ExpressionAttributeValues"][":expected"] = json!({ "N": number.to_string() });
    input
}

pub(super) fn set_number(sk: &str, number: u32) -> Value {
    json!({
        "TableName": "t",
        "Key": key(sk),
        "UpdateExpression": "SET #number = :number",
        "ExpressionAttributeNames": { "#number": "number" },
        "ExpressionAttributeValues": { ":number": { "N": number.to_string() } },
    })
}
