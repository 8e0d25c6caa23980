//! Reads: `GetItem`, `BatchGetItem`, `Query` and `Scan`.
//!
//! Sources: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::dynamodb::DynamoDb;
use crate::memory::dynamodb::attributes::text_of;
use crate::memory::dynamodb::conditions::{Comparison, Condition, condition};
use crate::memory::dynamodb::expression::{Operand, Placeholders, projection};
use crate::memory::dynamodb::items::{INDEX, INDEX_KEYS, Item, KEYS, Key, Table, key_of};
use crate::memory::input::{invalid, not_implemented, require_known, required_text, text};

/// Keys that one `BatchGetItem` accepts.
const BATCH: usize = 100;

const MISMATCH: &str =
    "One or more parameter values were invalid: Condition parameter type does not match schema type";

/// What a query reads: the table, or its index.
struct Source {
    /// Partition key and sort key.
    keys: [&'static str; 2],
    /// All names in the key after which a page starts.
    start: BTreeSet<&'static str>,
}

/// Which items a query or a scan reads, and how.
struct Page<'a> {
    input: &'a Value,
    source: Source,
    condition: Option<Condition>,
    /// The partition of the source, unless all of them are read.
    partition: Option<String>,
    projection: Option<BTreeSet<String>>,
}

impl DynamoDb {
    pub(super) fn get_item(&self, input: &Value) -> Answer {
        let known =
            ["TableName", "Key", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"];
        require_known("GetItem", input, &known)?;
        let mut placeholders = Placeholders::of(input)?;
        let projection = projection(input, &mut placeholders)?;
        placeholders.require_all_used()?;
        let key = key_of(input.get("Key"))?;
        let item = self.find(required_text(input, "TableName")?, &key);
        Ok(item.map_or_else(|| json!({}), |item| json!({ "Item": projected(item, projection.as_ref()) })))
    }

    pub(super) fn batch_get_item(&self, input: &Value) -> Answer {
        require_known("BatchGetItem", input, &["RequestItems"])?;
        let known = ["Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"];
        let mut responses = Map::new();
        let mut count = 0;
        for (table, request) in input.get("RequestItems").and_then(Value::as_object).into_iter().flatten() {
            require_known("BatchGetItem", request, &known)?;
            let mut placeholders = Placeholders::of(request)?;
            let projection = projection(request, &mut placeholders)?;
            placeholders.require_all_used()?;
            let keys = request.get("Keys").and_then(Value::as_array).into_iter().flatten();
            let keys: Vec<Key> = keys.map(|key| key_of(Some(key))).collect::<Result<_, _>>()?;
            if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
                return Err(invalid("Provided list of item keys contains duplicates"));
            }
            count += keys.len();
            let found = keys.iter().filter_map(|key| self.find(table, key));
            let found: Vec<Item> = found.map(|item| projected(item, projection.as_ref())).collect();
            responses.insert(table.clone(), json!(found));
        }
        match count {
            0 => Err(invalid("1 validation error detected: Value '{}' at 'requestItems' is empty")),
            count if count > BATCH => Err(invalid("Too many items requested for the BatchGetItem call")),
            _ => Ok(json!({ "Responses": responses, "UnprocessedKeys": {} })),
        }
    }

    pub(super) fn query(&self, input: &Value) -> Answer {
        let known = [
            "TableName",
            "IndexName",
            "KeyConditionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
            "ProjectionExpression",
            "ConsistentRead",
            "ScanIndexForward",
            "Limit",
            "ExclusiveStartKey",
        ];
        require_known("Query", input, &known)?;
        let source = Source::of(input)?;
        let mut placeholders = Placeholders::of(input)?;
        let condition = condition("KeyConditionExpression", input, &mut placeholders)?;
        let condition = condition.ok_or_else(|| {
            invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
        })?;
        let partition = Some(partition_of(&condition, source.keys)?);
        let projection = projection(input, &mut placeholders)?;
        placeholders.require_all_used()?;
        Page { input, source, condition: Some(condition), partition, projection }.read(self)
    }

    pub(super) fn scan(&self, input: &Value) -> Answer {
        let known = [
            "TableName",
            "IndexName",
            "ExpressionAttributeNames",
            "ProjectionExpression",
            "ConsistentRead",
            "Limit",
            "ExclusiveStartKey",
        ];
        require_known("Scan", input, &known)?;
        let source = Source::of(input)?;
        let mut placeholders = Placeholders::of(input)?;
        let projection = projection(input, &mut placeholders)?;
        placeholders.require_all_used()?;
        Page { input, source, condition: None, partition: None, projection }.read(self)
    }
}

impl Source {
    fn of(input: &Value) -> Result<Self, Refused> {
        let is_consistent = input.get("ConsistentRead").and_then(Value::as_bool).unwrap_or_default();
        match text(input, "IndexName") {
            None => Ok(Self { keys: KEYS, start: BTreeSet::from(KEYS) }),
            Some(INDEX) if is_consistent => {
                Err(invalid("Consistent reads are not supported on global secondary indexes"))
            }
            Some(INDEX) => Ok(Self { keys: INDEX_KEYS, start: KEYS.into_iter().chain(INDEX_KEYS).collect() }),
            Some(index) => Err(invalid(format!("The table does not have the specified index: {index}"))),
        }
    }

    fn has(&self, item: &Item) -> bool {
        self.keys.iter().all(|name| item.contains_key(*name))
    }

    /// The place of an item in the order of the source. The key of the table tells apart items with one key of the index.
    fn place(&self, item: &Item) -> Vec<String> {
        let names = self.keys.into_iter().chain(KEYS);
        names.map(|name| item.get(name).and_then(text_of).unwrap_or_default().to_owned()).collect()
    }
}

impl Page<'_> {
    /// A page that reached the limit names its last key, even if there is nothing after it.
    fn read(&self, dynamodb: &DynamoDb) -> Answer {
        let table = required_text(self.input, "TableName")?;
        let items = dynamodb.tables.get(table).map(|table| self.selected(table)).unwrap_or_default();
        let mut items = self.after_start(items)?;
        let limit = self.limit()?;
        let last = limit.and_then(|limit| items.get(limit.checked_sub(1)?).copied());
        items.truncate(limit.unwrap_or(items.len()));
        let count = items.len();
        let items: Vec<Item> =
            items.into_iter().map(|item| projected(item, self.projection.as_ref())).collect();
        let mut answer = json!({ "Items": items, "Count": count, "ScannedCount": count });
        if let (Some(last), Some(answer)) = (last, answer.as_object_mut()) {
            let names = self.source.start.iter().map(|name| (*name).to_owned()).collect();
            answer.insert("LastEvaluatedKey".to_owned(), json!(projected(last, Some(&names))));
        }
        Ok(answer)
    }

    /// The items of the source that meet the condition, in order.
    fn selected<'a>(&self, table: &'a Table) -> Vec<&'a Item> {
        let meets = |item: &&Item| self.condition.as_ref().is_none_or(|condition| condition.holds(item));
        let candidates: Vec<&Item> = match &self.partition {
            Some(partition) if self.source.keys == KEYS => {
                let rest = table.range((partition.clone(), String::new())..);
                rest.take_while(|((pk, _), _)| pk == partition).map(|(_, item)| item).collect()
            }
            _ => table.values().filter(|item| self.source.has(item)).collect(),
        };
        let mut items: Vec<&Item> = candidates.into_iter().filter(meets).collect();
        items.sort_by_cached_key(|item| self.source.place(item));
        if self.is_backward() {
            items.reverse();
        }
        items
    }

    fn after_start<'a>(&self, mut items: Vec<&'a Item>) -> Result<Vec<&'a Item>, Refused> {
        let Some(start) = self.input.get("ExclusiveStartKey").and_then(Value::as_object) else {
            return Ok(items);
        };
        let names: BTreeSet<&str> = start.keys().map(String::as_str).collect();
        if names != self.source.start || start.values().any(|value| text_of(value).is_none()) {
            return Err(invalid("The provided starting key is invalid"));
        }
        if self.condition.as_ref().is_some_and(|condition| !condition.holds(start)) {
            return Err(invalid(
                "The provided starting key is outside query boundaries based on provided conditions",
            ));
        }
        let start = self.source.place(start);
        items.retain(|item| {
            let place = self.source.place(item);
            if self.is_backward() { place < start } else { place > start }
        });
        Ok(items)
    }

    fn is_backward(&self) -> bool {
        self.input.get("ScanIndexForward").and_then(Value::as_bool) == Some(false)
    }

    fn limit(&self) -> Result<Option<usize>, Refused> {
        let Some(limit) = self.input.get("Limit").and_then(Value::as_i64) else { return Ok(None) };
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        limit.map(Some).ok_or_else(|| {
            invalid(
                "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value \
                 greater than or equal to 1",
            )
        })
    }
}

/// The partition that a query reads. Refuses anything but the value of the partition key, and a condition of the sort
/// key or none.
fn partition_of(condition: &Condition, [hash, range]: [&str; 2]) -> Result<String, Refused> {
    let mut partitions = Vec::new();
    let mut others = Vec::new();
    for condition in condition.conjuncts() {
        match condition {
            Condition::Compare(Operand::Attribute(name), Comparison::Equal, Operand::Value(value))
                if name == hash =>
            {
                partitions.push(text_of(value).ok_or_else(|| invalid(MISMATCH))?);
            }
            other => others.push(other),
        }
    }
    match (partitions.as_slice(), others.as_slice()) {
        ([partition], []) => Ok((*partition).to_owned()),
        ([partition], [other]) if is_of_sort_key(other, range) => Ok((*partition).to_owned()),
        ([], _) => Err(invalid(format!("Query condition missed key schema element: {hash}"))),
        _ => Err(not_implemented("KeyConditionExpression: a condition that is not understood here")),
    }
}

fn is_of_sort_key(condition: &Condition, range: &str) -> bool {
    match condition {
        Condition::BeginsWith(name, Operand::Value(_)) => name == range,
        Condition::Compare(Operand::Attribute(name), comparison, Operand::Value(value)) => {
            name == range && *comparison != Comparison::NotEqual && text_of(value).is_some()
        }
        _ => false,
    }
}

fn projected(item: &Item, names: Option<&BTreeSet<String>>) -> Item {
    let is_in = |name: &String| names.is_none_or(|names| names.contains(name));
    item.iter().filter(|(name, _)| is_in(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pk: &str, sk: &str) -> Value {
        json!({ "pk": { "S": pk }, "sk": { "S": sk } })
    }

    /// Images `c`, `a` and `b`; the last one is not managed. A key has no index either.
    fn ledger() -> DynamoDb {
        let mut dynamodb = DynamoDb::default();
        for (pk, sk, managed) in [
            ("c", "INTENT", true),
            ("a", "INTENT", true),
            ("a", "SHARE#1", false),
            ("a", "SHARE#2", false),
            ("b", "INTENT", false),
        ] {
            let mut item = key(pk, sk);
            item["n"] = json!({ "N": "1" });
            if managed {
                item["managed"] = json!({ "S": "yes" });
            }
            dynamodb.call("PutItem", &json!({ "TableName": "t", "Item": item })).unwrap();
        }
        dynamodb
    }

    /// An input with the table and `others`.
    fn with(others: Value) -> Value {
        let mut input = json!({ "TableName": "t" });
        input.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        input
    }

    fn partition(pk: &str, others: Value) -> Value {
        let mut input = with(others);
        input["KeyConditionExpression"] = json!("pk = :pk");
        input["ExpressionAttributeValues"] = json!({ ":pk": { "S": pk } });
        input
    }

    fn managed(others: Value) -> Value {
        let mut input = with(others);
        input["IndexName"] = json!("managed-images");
        input["KeyConditionExpression"] = json!("managed = :managed");
        input["ExpressionAttributeValues"] = json!({ ":managed": { "S": "yes" } });
        input
    }

    /// The keys of the items that a read returns, and the whole answer.
    fn read(operation: &str, input: &Value) -> (Vec<String>, Value) {
        let answer = ledger().call(operation, input).unwrap();
        let name =
            |item: &Value| format!("{} {}", text_of(&item["pk"]).unwrap(), text_of(&item["sk"]).unwrap());
        (answer["Items"].as_array().unwrap().iter().map(name).collect(), answer)
    }

    fn refused(operation: &str, input: &Value) -> Refused {
        ledger().call(operation, input).unwrap_err()
    }

    #[test]
    fn an_item_is_read_by_its_key_as_a_whole_or_in_part() {
        let get = |sk, others| {
            let mut input = with(others);
            input["Key"] = key("a", sk);
            ledger().call("GetItem", &input).unwrap()
        };
        assert_eq!(get("INTENT", json!({}))["Item"]["managed"]["S"], "yes");
        assert_eq!(get("OTHER", json!({})), json!({}));
        let part = get("INTENT", json!({ "ProjectionExpression": "n, absent", "ConsistentRead": true }));
        assert_eq!(part, json!({ "Item": { "n": { "N": "1" } } }));
    }

    #[test]
    fn a_query_reads_one_partition_in_order() {
        let (keys, answer) = read("Query", &partition("a", json!({ "ConsistentRead": true })));
        assert_eq!(keys, ["a INTENT", "a SHARE#1", "a SHARE#2"]);
        assert_eq!((&answer["Count"], answer.get("LastEvaluatedKey")), (&json!(3), None));
        assert!(read("Query", &partition("x", json!({}))).0.is_empty());
        let (keys, _) = read("Query", &partition("a", json!({ "ScanIndexForward": false, "Limit": 2 })));
        assert_eq!(keys, ["a SHARE#2", "a SHARE#1"]);
    }

    #[test]
    fn a_query_may_have_a_condition_of_the_sort_key() {
        for (of_range, expected) in [
            ("begins_with(sk, :sk)", vec!["a SHARE#1", "a SHARE#2"]),
            ("sk > :sk", vec!["a SHARE#1", "a SHARE#2"]),
            ("sk = :sk", vec![]),
            ("sk < :sk", vec!["a INTENT"]),
        ] {
            let mut input = partition("a", json!({}));
            input["KeyConditionExpression"] = json!(format!("pk = :pk AND {of_range}"));
            input["ExpressionAttributeValues"][":sk"] = json!({ "S": "SHARE#" });
            assert_eq!(read("Query", &input).0, expected, "{of_range}");
        }
    }

    #[test]
    fn another_key_condition_is_refused() {
        for (condition, status) in [
            ("sk = :pk", 400),
            ("pk = :pk AND n = :pk", 501),
            ("pk = :pk OR sk = :pk", 400),
            ("pk = :pk AND sk <> :pk", 501),
            ("pk = :pk AND sk > :pk AND sk < :pk", 501),
        ] {
            let mut input = partition("a", json!({}));
            input["KeyConditionExpression"] = json!(condition);
            assert_eq!(refused("Query", &input).status, status, "{condition}");
        }
    }

    #[test]
    fn the_index_has_only_items_with_its_key_in_the_order_of_their_partition() {
        assert_eq!(read("Query", &managed(json!({}))).0, ["a INTENT", "c INTENT"]);
        let consistent = refused("Query", &managed(json!({ "ConsistentRead": true })));
        assert_eq!(consistent.message, "Consistent reads are not supported on global secondary indexes");
        let unknown = refused("Query", &with(json!({ "IndexName": "other" })));
        assert_eq!(unknown.message, "The table does not have the specified index: other");
    }

    #[test]
    fn the_next_page_starts_after_the_last_key() {
        let (keys, answer) = read("Query", &managed(json!({ "Limit": 1 })));
        assert_eq!(keys, ["a INTENT"]);
        let last = &answer["LastEvaluatedKey"];
        assert_eq!(*last, json!({ "pk": { "S": "a" }, "sk": { "S": "INTENT" }, "managed": { "S": "yes" } }));
        let (keys, answer) = read("Query", &managed(json!({ "Limit": 1, "ExclusiveStartKey": last })));
        assert_eq!(keys, ["c INTENT"]);
        // The limit is reached, so DynamoDB does not know yet that this was the last item.
        let last = &answer["LastEvaluatedKey"];
        let (keys, answer) = read("Query", &managed(json!({ "Limit": 1, "ExclusiveStartKey": last })));
        assert!(keys.is_empty() && answer.get("LastEvaluatedKey").is_none());
    }

    #[test]
    fn a_page_may_start_after_a_key_that_is_gone_but_not_after_one_of_another_partition() {
        let start = |pk: &str, sk: &str| partition("a", json!({ "ExclusiveStartKey": key(pk, sk) }));
        assert_eq!(read("Query", &start("a", "SHARE#10")).0, ["a SHARE#2"]);
        assert!(refused("Query", &start("b", "INTENT")).message.contains("outside query boundaries"));
        let incomplete = managed(json!({ "ExclusiveStartKey": key("a", "INTENT") }));
        assert_eq!(refused("Query", &incomplete).message, "The provided starting key is invalid");
    }

    #[test]
    fn a_limit_is_at_least_one() {
        assert_eq!(refused("Query", &partition("a", json!({ "Limit": 0 }))).code, "ValidationException");
    }

    #[test]
    fn a_scan_reads_every_item() {
        assert_eq!(read("Scan", &with(json!({}))).0.len(), 5);
        let (keys, answer) = read("Scan", &with(json!({ "Limit": 3 })));
        assert_eq!((keys.len(), &answer["LastEvaluatedKey"]), (3, &key("a", "SHARE#2")));
        let rest = with(json!({ "ExclusiveStartKey": answer["LastEvaluatedKey"] }));
        assert_eq!(read("Scan", &rest).0, ["b INTENT", "c INTENT"]);
    }

    #[test]
    fn a_batch_reads_up_to_a_hundred_different_keys() {
        let batch = |keys: Vec<Value>| json!({ "RequestItems": { "t": { "Keys": keys, "ProjectionExpression": "pk, managed" } } });
        let answer =
            ledger().call("BatchGetItem", &batch(vec![key("a", "INTENT"), key("x", "INTENT")])).unwrap();
        let found = json!([{ "pk": { "S": "a" }, "managed": { "S": "yes" } }]);
        assert_eq!(answer, json!({ "Responses": { "t": found }, "UnprocessedKeys": {} }));
        let many = |count: usize| batch((0..count).map(|number| key("a", &number.to_string())).collect());
        assert!(ledger().call("BatchGetItem", &many(100)).is_ok());
        for (keys, message) in [
            (many(101), "Too many items requested"),
            (many(0), "is empty"),
            (batch(vec![key("a", "b"); 2]), "contains duplicates"),
        ] {
            assert!(refused("BatchGetItem", &keys).message.contains(message), "{message}");
        }
    }
}
