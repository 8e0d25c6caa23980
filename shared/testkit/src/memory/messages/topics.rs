//! SNS: `Publish` and `PublishBatch`. A topic exists as soon as a request names it.
//!
//! Sources: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>,
//! <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{OF_QUERY_PROTOCOL, numbered_id, require_known, text, unknown_operation};

const BATCH: usize = 10;
/// Bytes of all messages of one call.
const SIZE: usize = 262_144;
/// Characters of a subject, and of the id of a message.
const SUBJECT: usize = 100;
const ID: usize = 80;

/// A message that a topic accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic, by ARN.
    pub topic: String,
    /// The subject of the email.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
}

/// All topics.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    messages: Vec<Message>,
}

impl Topics {
    /// The messages that were accepted, in their order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Answers one request. Lists stand under `member`, as in the request.
    ///
    /// # Errors
    /// What SNS answers instead, or `NotImplemented`.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        let known = |known: &[&'static str]| [&OF_QUERY_PROTOCOL, known].concat();
        match operation {
            "Publish" => {
                require_known(operation, input, &known(&["TopicArn", "Subject", "Message"]))?;
                let topic = topic(input)?;
                self.publish(topic, input).map(|id| json!({ "MessageId": id }))
            }
            "PublishBatch" => {
                require_known(operation, input, &known(&["TopicArn", "PublishBatchRequestEntries"]))?;
                self.publish_batch(input)
            }
            operation => Err(unknown_operation("SNS", operation)),
        }
    }

    fn publish(&mut self, topic: &str, message: &Value) -> Result<String, Refused> {
        let parameter =
            |message: &str| Refused::new("InvalidParameter", format!("Invalid parameter: {message}"));
        let subject = text(message, "Subject");
        if subject.is_some_and(|subject| !is_subject(subject)) {
            return Err(parameter("Subject"));
        }
        let text = text(message, "Message").filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| parameter("Empty message"))?;
        if text.len() > SIZE {
            return Err(parameter("Message too long"));
        }
        let message =
            Message { topic: topic.to_owned(), subject: subject.map(str::to_owned), text: text.to_owned() };
        self.messages.push(message);
        Ok(numbered_id(self.messages.len()))
    }

    fn publish_batch(&mut self, input: &Value) -> Answer {
        let topic = topic(input)?;
        let messages = input.pointer("/PublishBatchRequestEntries/member").and_then(Value::as_array);
        let messages = messages.map_or(&[][..], Vec::as_slice);
        check_batch(messages)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for message in messages {
            let id = text(message, "Id");
            match self.publish(topic, message) {
                Ok(message_id) => successful.push(json!({ "Id": id, "MessageId": message_id })),
                Err(Refused { code, message, .. }) => {
                    failed.push(json!({ "Id": id, "Code": code, "Message": message, "SenderFault": true }));
                }
            }
        }
        Ok(json!({ "Successful": { "member": successful }, "Failed": { "member": failed } }))
    }
}

fn topic(input: &Value) -> Result<&str, Refused> {
    let topic = text(input, "TopicArn").filter(|topic| topic.split(':').nth(2) == Some("sns"));
    topic.ok_or_else(|| Refused::new("InvalidParameter", "Invalid parameter: TopicArn"))
}

/// Refuses a batch as a whole.
fn check_batch(messages: &[Value]) -> Result<(), Refused> {
    for message in messages {
        require_known("PublishBatchRequestEntry", message, &["Id", "Subject", "Message"])?;
    }
    let ids: Vec<&str> = messages.iter().map(|message| text(message, "Id").unwrap_or_default()).collect();
    let is_in_id = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_id = |id: &str| !id.is_empty() && id.len() <= ID && id.chars().all(is_in_id);
    let size = |message: &Value| text(message, "Message").map_or(0, str::len);
    let (code, message) = if messages.is_empty() {
        ("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    } else if messages.len() > BATCH {
        ("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
    } else if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        ("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    } else if !ids.iter().copied().all(is_id) {
        (
            "InvalidBatchEntryId",
            "The Id of a batch entry in a batch request doesn't abide by the specification.",
        )
    } else if messages.iter().map(size).sum::<usize>() > SIZE {
        ("BatchRequestTooLong", "The length of all the batch messages put together is more than the limit.")
    } else {
        return Ok(());
    };
    Err(Refused::new(code, message))
}

/// ASCII without control characters, not too long, and it begins with no space.
fn is_subject(subject: &str) -> bool {
    subject.starts_with(|first: char| first.is_ascii_graphic())
        && subject.len() <= SUBJECT
        && subject.chars().all(|c| c.is_ascii() && !c.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:ami-share-notifications";

    fn publish(topics: &mut Topics, subject: &str, text: &str) -> Answer {
        topics.call("Publish", &json!({ "TopicArn": TOPIC, "Subject": subject, "Message": text }))
    }

    fn publish_batch(topics: &mut Topics, messages: Vec<Value>) -> Answer {
        let input = json!({
            "Action": "PublishBatch",
            "Version": "2010-03-31",
            "TopicArn": TOPIC,
            "PublishBatchRequestEntries": { "member": messages },
        });
        topics.call("PublishBatch", &input)
    }

    fn message(id: usize) -> Value {
        json!({ "Id": id.to_string(), "Subject": "AMI Shared", "Message": "text" })
    }

    #[test]
    fn messages_are_recorded_in_their_order() {
        let mut topics = Topics::default();
        assert_eq!(publish(&mut topics, "subject", "first").unwrap(), json!({ "MessageId": numbered_id(1) }));
        publish_batch(&mut topics, vec![message(0), message(1)]).unwrap();
        let texts: Vec<&str> = topics.messages().iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["first", "text", "text"]);
        let first = Message {
            topic: TOPIC.to_owned(),
            subject: Some("subject".to_owned()),
            text: "first".to_owned(),
        };
        assert_eq!(topics.messages()[0], first);
    }

    #[test]
    fn a_bad_message_of_a_batch_fails_alone() {
        let mut topics = Topics::default();
        let mut bad = message(1);
        bad["Subject"] = json!("two\nlines");
        let answer = publish_batch(&mut topics, vec![message(0), bad]).unwrap();
        assert_eq!(answer["Successful"], json!({ "member": [{ "Id": "0", "MessageId": numbered_id(1) }] }));
        let failed = &answer["Failed"]["member"][0];
        assert_eq!((&failed["Id"], &failed["Code"]), (&json!("1"), &json!("InvalidParameter")));
        assert_eq!(failed["SenderFault"], true);
    }

    #[test]
    fn a_subject_is_printable_ascii_of_at_most_100_characters() {
        let longest = "x".repeat(100);
        for (subject, is_accepted) in [
            (longest.as_str(), true),
            (&"x".repeat(101), false),
            ("", false),
            (" x", false),
            ("é", false),
            ("a\tb", false),
        ] {
            assert_eq!(publish(&mut Topics::default(), subject, "text").is_ok(), is_accepted, "{subject}");
        }
    }

    #[test]
    fn a_message_is_neither_empty_nor_too_long() {
        for text in ["", &"x".repeat(SIZE + 1)] {
            assert_eq!(
                publish(&mut Topics::default(), "subject", text).unwrap_err().code,
                "InvalidParameter"
            );
        }
    }

    #[test]
    fn a_bad_batch_is_refused_as_a_whole() {
        let mut without_id = message(0);
        without_id["Id"] = json!("a b");
        let mut long = message(0);
        long["Message"] = json!("x".repeat(SIZE));
        for (messages, code) in [
            (vec![], "EmptyBatchRequest"),
            ((0..11).map(message).collect(), "TooManyEntriesInBatchRequest"),
            (vec![message(0), message(0)], "BatchEntryIdsNotDistinct"),
            (vec![without_id], "InvalidBatchEntryId"),
            (vec![long, message(1)], "BatchRequestTooLong"),
        ] {
            assert_eq!(publish_batch(&mut Topics::default(), messages).unwrap_err().code, code);
        }
    }

    #[test]
    fn what_is_not_understood_is_not_implemented() {
        assert_eq!(Topics::default().call("Subscribe", &json!({})).unwrap_err().status, 501);
        let input = json!({ "TopicArn": TOPIC, "Message": "text", "MessageStructure": "json" });
        assert_eq!(Topics::default().call("Publish", &input).unwrap_err().status, 501);
        let refused = Topics::default().call("Publish", &json!({ "Message": "text" })).unwrap_err();
        assert_eq!(refused.message, "Invalid parameter: TopicArn");
    }
}
