//! Transactions: several writes, of which all are made or none.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>

use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::dynamodb::DynamoDb;
use crate::memory::dynamodb::items::Item;
use crate::memory::dynamodb::writes::{CONDITION, Write, require_distinct};
use crate::memory::input::{invalid, require_known, text};

/// Writes that one `TransactWriteItems` accepts.
const TRANSACTION: usize = 100;

impl DynamoDb {
    /// The same token with the same writes again succeeds and writes nothing. (AWS forgets a token after ten minutes.)
    pub(super) fn transact_write_items(&mut self, input: &Value) -> Answer {
        require_known("TransactWriteItems", input, &["TransactItems", "ClientRequestToken"])?;
        let items = input.get("TransactItems").unwrap_or(&Value::Null);
        let token = text(input, "ClientRequestToken");
        match token.and_then(|token| self.transactions.get(token)) {
            Some(done) if done == items => return Ok(json!({})),
            Some(_) => {
                return Err(Refused::new(
                    "IdempotentParameterMismatchException",
                    "The request uses the same client token as a previous, but non-identical request.",
                ));
            }
            None => {}
        }
        let writes = items.as_array().into_iter().flatten().map(Write::of_transaction);
        let writes: Vec<Write> = writes.collect::<Result<_, _>>()?;
        if !(1..=TRANSACTION).contains(&writes.len()) {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have \
                 length less than or equal to {TRANSACTION} and greater than or equal to 1"
            )));
        }
        require_distinct(&writes, "Transaction request cannot include multiple operations on one item")?;
        self.write_all(writes)?;
        self.transactions.extend(token.map(|token| (token.to_owned(), items.clone())));
        Ok(json!({}))
    }

    /// All writes, or none.
    fn write_all(&mut self, writes: Vec<Write>) -> Result<(), Refused> {
        let outcomes = writes.iter().map(|write| write.outcome(self.find(&write.table, &write.key)));
        let outcomes: Vec<_> = outcomes.collect();
        if outcomes.iter().any(Result::is_err) {
            return Err(cancelled(&outcomes));
        }
        for (write, after) in writes.into_iter().zip(outcomes.into_iter().flatten()) {
            self.store(write, after);
        }
        Ok(())
    }
}

/// A reason for each write, in their order.
fn cancelled(outcomes: &[Result<Option<Item>, Refused>]) -> Refused {
    let code = |outcome: &Result<_, Refused>| match outcome {
        Ok(_) => "None",
        Err(refused) if refused.code == CONDITION => "ConditionalCheckFailed",
        Err(_) => "ValidationError",
    };
    let codes: Vec<&str> = outcomes.iter().map(code).collect();
    let reason = |outcome: &Result<_, Refused>| match outcome {
        Ok(_) => json!({ "Code": "None" }),
        Err(refused) => json!({ "Code": code(outcome), "Message": refused.message }),
    };
    let reasons: Vec<Value> = outcomes.iter().map(reason).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    Refused::new("TransactionCanceledException", message)
        .with_details(json!({ "CancellationReasons": reasons }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::dynamodb::examples::{if_number, item, key, ledger, number_of, set_number};

    fn transaction(items: Value) -> Value {
        json!({ "TransactItems": items })
    }

    #[test]
    fn a_transaction_makes_all_of_its_writes() {
        let mut dynamodb = ledger();
        let items = json!([
            { "ConditionCheck": if_number(1, json!({ "Key": key("1") })) },
            { "Put": { "TableName": "t", "Item": item("2", 2) } },
            { "Update": set_number("3", 3) },
            { "Delete": { "TableName": "t", "Key": key("4") } },
        ]);
        assert_eq!(dynamodb.call("TransactWriteItems", &transaction(items)).unwrap(), json!({}));
        let numbers = ["1", "2", "3", "4"].map(|sk| number_of(&dynamodb, sk));
        assert_eq!(numbers, [Some("1".to_owned()), Some("2".to_owned()), Some("3".to_owned()), None]);
    }

    #[test]
    fn a_transaction_whose_condition_fails_makes_no_write_and_says_which_one_failed() {
        let mut dynamodb = ledger();
        let items = json!([
            { "Update": set_number("3", 3) },
            { "ConditionCheck": if_number(2, json!({ "Key": key("1") })) },
        ]);
        let refused = dynamodb.call("TransactWriteItems", &transaction(items)).unwrap_err();
        assert_eq!(refused.code, "TransactionCanceledException");
        assert_eq!(
            refused.message,
            "Transaction cancelled, please refer cancellation reasons for specific reasons \
             [None, ConditionalCheckFailed]"
        );
        let failed = json!({ "Code": "ConditionalCheckFailed", "Message": "The conditional request failed" });
        let reasons = json!({ "CancellationReasons": [{ "Code": "None" }, failed] });
        assert_eq!(json!(refused.details), reasons);
        assert!(number_of(&dynamodb, "3").is_none());
    }

    #[test]
    fn a_change_that_does_not_fit_the_item_cancels_its_transaction() {
        let mut dynamodb = ledger();
        let mut add = set_number("1", 3);
        add["UpdateExpression"] = json!("ADD #number :number");
        add["ExpressionAttributeValues"] = json!({ ":number": { "SS": ["x"] } });
        let refused =
            dynamodb.call("TransactWriteItems", &transaction(json!([{ "Update": add }]))).unwrap_err();
        assert!(refused.message.ends_with("[ValidationError]"), "{}", refused.message);
    }

    #[test]
    fn a_transaction_changes_each_item_once() {
        let items =
            json!([{ "Update": set_number("1", 3) }, { "Put": { "TableName": "t", "Item": item("1", 4) } }]);
        let refused = ledger().call("TransactWriteItems", &transaction(items)).unwrap_err();
        assert_eq!(refused.message, "Transaction request cannot include multiple operations on one item");
        for items in
            [json!([]), json!([{}]), json!([{ "Delete": {}, "Put": {} }]), json!(vec![json!({}); 101])]
        {
            let refused = ledger().call("TransactWriteItems", &transaction(items)).unwrap_err();
            assert_eq!(refused.code, "ValidationException");
        }
    }

    #[test]
    fn a_transaction_that_is_sent_again_is_made_once() {
        let mut dynamodb = ledger();
        let put = |sk| json!([{ "Put": { "TableName": "t", "Item": item(sk, 2), "ConditionExpression": "attribute_not_exists(pk)" } }]);
        let with_token = |items| json!({ "TransactItems": items, "ClientRequestToken": "once" });
        for _ in 0..2 {
            assert_eq!(dynamodb.call("TransactWriteItems", &with_token(put("2"))).unwrap(), json!({}));
        }
        let refused = dynamodb.call("TransactWriteItems", &with_token(put("3"))).unwrap_err();
        assert_eq!(refused.code, "IdempotentParameterMismatchException");
        assert_eq!(
            dynamodb.call("TransactWriteItems", &transaction(put("2"))).unwrap_err().code,
            "TransactionCanceledException"
        );
    }
}
