//! EventBridge: `PutEvents`.
//!
//! Sources: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>,
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{invalid, numbered_id, require_known, text, unknown_operation};

const ENTRIES: usize = 10;
/// Bytes of all entries. Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
const SIZE: usize = 1024 * 1024;

/// An event that a bus accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The account of the bus. `None` for the caller's own account.
    pub account: Option<String>,
    /// The name of the bus.
    pub bus: String,
    /// What sent it.
    pub source: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// What happened.
    pub detail: Value,
    /// What it is about.
    pub resources: Vec<String>,
}

/// The buses. The caller's own account has every bus (named without an ARN); another account has one if the test says
/// so.
///
/// AWS does not document what it answers for another account's bus that does not exist. Here it is the answer to a bus
/// whose policy denies the caller (assumption `missing-bus`).
#[derive(Debug, Clone, Default)]
pub struct EventBuses {
    accounts: BTreeSet<String>,
    events: Vec<Event>,
}

impl EventBuses {
    /// Gives an account a bus, of any name, that the caller may put events on.
    pub fn add_bus(&mut self, account: &str) {
        self.accounts.insert(account.to_owned());
    }

    /// Deletes the buses of an account.
    pub fn remove_bus(&mut self, account: &str) {
        self.accounts.remove(account);
    }

    /// The events that were accepted, in their order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Answers one request.
    ///
    /// # Errors
    /// What EventBridge answers instead, or `NotImplemented`.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        if operation != "PutEvents" {
            return Err(unknown_operation("EventBridge", operation));
        }
        require_known(operation, input, &["Entries"])?;
        let entries = input.get("Entries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !(1..=ENTRIES).contains(&entries.len()) {
            return Err(invalid(format!(
                "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy constraint: \
                 Member must have length less than or equal to {ENTRIES} and greater than or equal to 1"
            )));
        }
        let known = ["EventBusName", "Source", "DetailType", "Detail", "Resources"];
        for entry in entries {
            require_known("PutEventsRequestEntry", entry, &known)?;
        }
        if entries.iter().map(size).sum::<usize>() > SIZE {
            return Err(invalid("Total size of the entries in the request is over the limit."));
        }
        let verdicts: Vec<Result<(), Refused>> = entries.iter().map(|entry| self.put(entry)).collect();
        let failed = verdicts.iter().filter(|verdict| verdict.is_err()).count();
        let first = self.events.len() + failed + 1 - entries.len();
        let mut ids = (first..).map(numbered_id);
        let entries = verdicts.into_iter().map(|verdict| match verdict {
            Ok(()) => json!({ "EventId": ids.next() }),
            Err(Refused { code, message, .. }) => json!({ "ErrorCode": code, "ErrorMessage": message }),
        });
        Ok(json!({ "FailedEntryCount": failed, "Entries": entries.collect::<Vec<_>>() }))
    }

    fn put(&mut self, entry: &Value) -> Result<(), Refused> {
        let [source, detail_type, detail] =
            ["Source", "DetailType", "Detail"].map(|name| match text(entry, name) {
                None | Some("") => Err(Refused::new(
                    "InvalidArgument",
                    format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
                )),
                Some(text) => Ok(text.to_owned()),
            });
        let (source, detail_type, detail) = (source?, detail_type?, detail?);
        if source.starts_with("aws.") {
            let message = format!("Not authorized for the source: {source}");
            return Err(Refused::new("NotAuthorizedForSourceException", message));
        }
        let detail = serde_json::from_str(&detail).ok().filter(Value::is_object);
        let detail = detail.ok_or_else(|| Refused::new("MalformedDetail", "Detail is malformed."))?;
        let (account, bus) = self.address(text(entry, "EventBusName").unwrap_or("default"))?;
        let resources = entry.get("Resources").and_then(Value::as_array).into_iter().flatten();
        let resources = resources.filter_map(Value::as_str).map(str::to_owned).collect();
        self.events.push(Event { account, bus, source, detail_type, detail, resources });
        Ok(())
    }

    /// The account and the name of a bus that accepts events.
    fn address(&self, bus: &str) -> Result<(Option<String>, String), Refused> {
        if !bus.starts_with("arn:") {
            return Ok((None, bus.to_owned()));
        }
        let parts: Vec<&str> = bus.splitn(6, ':').collect();
        let [_, _, "events", _, account, resource] = parts.as_slice() else {
            return Err(Refused::new("InvalidArgument", format!("The bus {bus} is not an ARN of a bus.")));
        };
        if !self.accounts.contains(*account) {
            return Err(Refused::new(
                "AccessDeniedException",
                format!(
                    "User is not authorized to perform: events:PutEvents on resource: {bus} because no resource-based \
                     policy allows the events:PutEvents action"
                ),
            ));
        }
        let name = resource.strip_prefix("event-bus/").unwrap_or(resource);
        Ok((Some((*account).to_owned()), name.to_owned()))
    }
}

fn size(entry: &Value) -> usize {
    let texts = ["Source", "DetailType", "Detail"].map(|name| text(entry, name).map_or(0, str::len));
    let resources = entry.get("Resources").and_then(Value::as_array).into_iter().flatten();
    texts.iter().sum::<usize>() + resources.filter_map(Value::as_str).map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ANOTHER: &str = "arn:aws:events:us-east-1:222222222222:event-bus/ami-share";

    fn entry(bus: &str) -> Value {
        json!({
            "EventBusName": bus,
            "Source": "ami-share",
            "DetailType": "AMI Shared",
            "Detail": r#"{"image_id":"ami-1"}"#,
            "Resources": ["image/ami-1"],
        })
    }

    fn put(buses: &mut EventBuses, entries: Vec<Value>) -> Answer {
        buses.call("PutEvents", &json!({ "Entries": entries }))
    }

    #[test]
    fn events_are_recorded_in_their_order() {
        let mut buses = EventBuses::default();
        buses.add_bus("222222222222");
        put(&mut buses, vec![entry(OF_ANOTHER), entry("ami-share")]).unwrap();
        let [first, second] = buses.events() else { panic!("{:?}", buses.events()) };
        assert_eq!((first.account.as_deref(), first.bus.as_str()), (Some("222222222222"), "ami-share"));
        assert_eq!((&second.account, &second.detail), (&None, &json!({ "image_id": "ami-1" })));
        assert_eq!(second.resources, ["image/ami-1"]);
    }

    #[test]
    fn an_account_without_a_bus_makes_only_its_own_entry_fail() {
        let mut buses = EventBuses::default();
        put(&mut buses, vec![entry("ami-share")]).unwrap();
        let answer =
            put(&mut buses, vec![entry("ami-share"), entry(OF_ANOTHER), entry("ami-share")]).unwrap();
        assert_eq!(answer["FailedEntryCount"], 1);
        assert_eq!(answer["Entries"][1]["ErrorCode"], "AccessDeniedException");
        let ids = [0, 2].map(|at| answer["Entries"][at]["EventId"].as_str().unwrap().to_owned());
        assert_eq!(ids, [numbered_id(2), numbered_id(3)]);
        assert_eq!(buses.events().len(), 3);
    }

    #[test]
    fn a_bus_that_is_deleted_accepts_nothing() {
        let mut buses = EventBuses::default();
        buses.add_bus("222222222222");
        buses.remove_bus("222222222222");
        assert_eq!(put(&mut buses, vec![entry(OF_ANOTHER)]).unwrap()["FailedEntryCount"], 1);
    }

    #[test]
    fn an_entry_that_eventbridge_does_not_understand_fails() {
        for (name, value, code) in [
            ("Source", json!(""), "InvalidArgument"),
            ("DetailType", Value::Null, "InvalidArgument"),
            ("Detail", json!("{"), "MalformedDetail"),
            ("Detail", json!("[]"), "MalformedDetail"),
            ("Source", json!("aws.ec2"), "NotAuthorizedForSourceException"),
        ] {
            let mut entry = entry("ami-share");
            entry[name] = value;
            let answer = put(&mut EventBuses::default(), vec![entry]).unwrap();
            assert_eq!(answer["Entries"][0]["ErrorCode"], code);
        }
    }

    #[test]
    fn a_call_has_one_to_ten_entries_and_a_size() {
        for count in [0, 11] {
            let refused = put(&mut EventBuses::default(), vec![entry("ami-share"); count]).unwrap_err();
            assert_eq!(refused.code, "ValidationException");
        }
        let mut large = entry("ami-share");
        large["DetailType"] = json!("x".repeat(SIZE));
        let refused = put(&mut EventBuses::default(), vec![large]).unwrap_err();
        assert_eq!(refused.message, "Total size of the entries in the request is over the limit.");
    }

    #[test]
    fn what_is_not_understood_is_not_implemented() {
        let mut buses = EventBuses::default();
        assert_eq!(buses.call("PutRule", &json!({})).unwrap_err().status, 501);
        let mut timed = entry("ami-share");
        timed["Time"] = json!(1);
        assert_eq!(put(&mut buses, vec![timed]).unwrap_err().status, 501);
    }
}
