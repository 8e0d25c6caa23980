//! DynamoDB: tables with the keys `pk` and `sk` and the index of managed images.
//!
//! A table exists as soon as a request names it. Reads are always consistent, and a transaction never meets another
//! one. Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html>

mod attributes;
mod conditions;
#[cfg(test)]
mod examples;
mod expression;
mod items;
mod reads;
mod transactions;
mod updates;
mod writes;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::memory::answer::Answer;
pub use crate::memory::dynamodb::items::Item;
use crate::memory::dynamodb::items::{Key, Table};
use crate::memory::input::unknown_operation;

/// All tables.
#[derive(Debug, Clone, Default)]
pub struct DynamoDb {
    tables: BTreeMap<String, Table>,
    /// The writes of each transaction that succeeded, by its token.
    transactions: BTreeMap<String, Value>,
}

impl DynamoDb {
    /// Answers one request.
    ///
    /// # Errors
    /// What DynamoDB answers instead, or `NotImplemented`.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        match operation {
            "GetItem" => self.get_item(input),
            "BatchGetItem" => self.batch_get_item(input),
            "Query" => self.query(input),
            "Scan" => self.scan(input),
            "PutItem" => self.put_item(input),
            "UpdateItem" => self.update_item(input),
            "DeleteItem" => self.delete_item(input),
            "BatchWriteItem" => self.batch_write_item(input),
            "TransactWriteItems" => self.transact_write_items(input),
            operation => Err(unknown_operation("DynamoDB", operation)),
        }
    }

    /// The items of a table, in the order of their keys.
    pub fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        self.tables.get(table).into_iter().flat_map(Table::values)
    }

    /// The item with this key.
    pub fn item(&self, table: &str, pk: &str, sk: &str) -> Option<&Item> {
        self.find(table, &(pk.to_owned(), sk.to_owned()))
    }

    fn find(&self, table: &str, key: &Key) -> Option<&Item> {
        self.tables.get(table)?.get(key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_found_by_table_and_key() {
        let mut dynamodb = DynamoDb::default();
        for sk in ["b", "a"] {
            let item = json!({ "pk": { "S": "x" }, "sk": { "S": sk } });
            dynamodb.call("PutItem", &json!({ "TableName": "ledger", "Item": item })).unwrap();
        }
        let keys: Vec<&str> =
            dynamodb.items("ledger").map(|item| item["sk"]["S"].as_str().unwrap()).collect();
        assert_eq!(keys, ["a", "b"]);
        assert!(dynamodb.item("ledger", "x", "a").is_some());
        assert!(dynamodb.item("ledger", "x", "c").is_none());
        assert_eq!(dynamodb.items("other").count(), 0);
    }

    #[test]
    fn an_unknown_operation_or_parameter_is_not_implemented() {
        let mut dynamodb = DynamoDb::default();
        assert_eq!(dynamodb.call("ListTables", &json!({})).unwrap_err().status, 501);
        let filtered = json!({ "TableName": "ledger", "FilterExpression": "a = :a" });
        let refused = dynamodb.call("Scan", &filtered).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (501, "NotImplemented"));
        assert_eq!(refused.message, "Scan has no parameter FilterExpression here");
    }
}
