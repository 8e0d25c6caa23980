//! Event buses, topics, the queues that receive from them, and the messages in the queues.

use anyhow::{Context, Result};
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, Target as RuleTarget};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use super::{Account, HUB, REGION, TARGET_BUS};

impl Account {
    /// Makes a bus for the hub's notifications in this account, and a queue that receives them; returns the queue's
    /// URL.
    pub async fn listen(&self) -> Result<String> {
        self.events.create_event_bus().name(TARGET_BUS).send().await.context("CreateEventBus")?;
        let permit = self.events.put_permission().event_bus_name(TARGET_BUS).action("events:PutEvents");
        permit.principal(HUB).statement_id("hub").send().await.context("PutPermission")?;
        self.listen_on(TARGET_BUS, "notifications").await
    }

    /// Makes a queue that receives every event of ami-share on one of this account's buses; returns its URL.
    pub async fn listen_on(&self, bus: &str, queue: &str) -> Result<String> {
        self.watch(bus, queue, &json!({ "source": ["ami-share"] })).await
    }

    /// Makes a queue that receives the events of a bus that match `pattern`; returns its URL.
    pub async fn watch(&self, bus: &str, queue: &str, pattern: &Value) -> Result<String> {
        let (url, arn) = self.queue(queue).await?;
        let rule = self.events.put_rule().name(queue).event_bus_name(bus).event_pattern(pattern.to_string());
        rule.send().await.context("PutRule")?;
        let target = RuleTarget::builder().id("queue").arn(arn).build()?;
        let targets = self.events.put_targets().rule(queue).event_bus_name(bus).targets(target);
        targets.send().await.context("PutTargets")?;
        Ok(url)
    }

    /// Puts an event on this account's default bus.
    pub async fn put_event(&self, source: &str, detail: &Value) -> Result<()> {
        let entry = PutEventsRequestEntry::builder().source(source).detail_type("Test");
        let entry = entry.detail(detail.to_string()).build();
        self.events.put_events().entries(entry).send().await.context("PutEvents")?;
        Ok(())
    }

    /// Makes a queue that receives what a topic of this account publishes; returns its URL.
    pub async fn subscribe(&self, topic: &str, queue: &str) -> Result<String> {
        let (url, arn) = self.queue(queue).await?;
        let topic = format!("arn:aws:sns:{REGION}:{}:{topic}", self.id);
        let request = self.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
        request.send().await.context("Subscribe")?;
        Ok(url)
    }

    /// Makes a queue that rules and topics may send to; returns its URL and its ARN.
    pub async fn queue(&self, name: &str) -> Result<(String, String)> {
        let made = self.sqs.create_queue().queue_name(name).send().await.context("CreateQueue")?;
        let url = made.queue_url().context("no queue URL")?.to_owned();
        let request =
            self.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
        let answer = request.send().await.context("GetQueueAttributes")?;
        let arn = answer
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::QueueArn))
            .context("no queue ARN")?;
        let services = json!({ "Service": ["events.amazonaws.com", "sns.amazonaws.com"] });
        let statement =
            json!({ "Effect": "Allow", "Principal": services, "Action": "sqs:SendMessage", "Resource": arn });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let request = self.sqs.set_queue_attributes().queue_url(&url);
        request.attributes(QueueAttributeName::Policy, policy).send().await.context("SetQueueAttributes")?;
        Ok((url, arn.clone()))
    }

    /// Receives and deletes all messages of a queue.
    pub async fn take(&self, queue: &str) -> Result<Vec<Value>> {
        let mut messages = Vec::new();
        loop {
            let answer = self
                .sqs
                .receive_message()
                .queue_url(queue)
                .max_number_of_messages(10)
                .send()
                .await
                .context("ReceiveMessage")?;
            if answer.messages().is_empty() {
                return Ok(messages);
            }
            for message in answer.messages() {
                messages.push(
                    serde_json::from_str(message.body().unwrap_or_default())
                        .context("a message is not JSON")?,
                );
                let receipt = message.receipt_handle().context("no receipt")?;
                self.sqs
                    .delete_message()
                    .queue_url(queue)
                    .receipt_handle(receipt)
                    .send()
                    .await
                    .context("DeleteMessage")?;
            }
        }
    }
}
