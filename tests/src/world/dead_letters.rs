//! Events that no function or workflow could handle, and the dead-letter queue that stores them.

use anyhow::{Context, Result};
use aws_sdk_eventbridge::types::{DeadLetterConfig as RuleDeadLetters, Target as RuleTarget};
use aws_sdk_scheduler::types::{DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, Target};
use serde_json::{Value, json};

use super::{Account, HUB, REGION, STACK};

impl Account {
    /// Invokes a function asynchronously with an event, as EventBridge does: Lambda tries again when the function
    /// fails.
    pub async fn deliver_event(&self, function: &str, event: &Value) -> Result<()> {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/invocations");
        // The simulated AWS finds the service in the request's signature.
        let signed = format!("Credential=testing/20260101/{REGION}/lambda/aws4_request");
        let headers = format!(
            "Authorization: AWS4-HMAC-SHA256 {signed}, SignedHeaders=host, Signature=0\r\nX-Amz-Invocation-Type: Event\r\n"
        );
        self.send_request("POST", &path, &headers, &event.to_string()).await?;
        Ok(())
    }

    /// Sends an event whose rule targets a function that does not exist.
    pub async fn send_undeliverable_event(&self, event: &str) -> Result<()> {
        let rule = self.events.put_rule().name(event).event_pattern(json!({ "source": [event] }).to_string());
        rule.send().await.context("PutRule")?;
        let function = format!("arn:aws:lambda:{REGION}:{HUB}:function:{event}");
        let queue = RuleDeadLetters::builder().arn(dead_letters()).build();
        let target = RuleTarget::builder().id("gone").arn(function).dead_letter_config(queue).build()?;
        self.events.put_targets().rule(event).targets(target).send().await.context("PutTargets")?;
        self.put_event(event, &json!({})).await
    }

    /// Makes a recurring schedule with the role of an image's schedule, and an input with which no execution can start.
    pub async fn create_undeliverable_schedule(&self, image: &str, name: &str, input: &str) -> Result<()> {
        let schedule = self.scheduler.get_schedule().group_name(STACK).name(format!("{image}-end"));
        let schedule = schedule.send().await.context("GetSchedule")?;
        let role = schedule.target().context("a schedule without a target")?.role_arn();
        let queue =
            DeadLetterConfig::builder().arn(format!("arn:aws:sqs:{REGION}:{HUB}:{STACK}-dead-letters"));
        let target = Target::builder()
            .arn(format!("arn:aws:states:{REGION}:{HUB}:stateMachine:{STACK}-share"))
            .role_arn(role)
            .input(input)
            .dead_letter_config(queue.build());
        let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build()?;
        let request = self.scheduler.create_schedule().group_name(STACK).name(name);
        let request = request.schedule_expression("rate(1 hour)").flexible_time_window(window);
        request.target(target.build()?).send().await.context("CreateSchedule")?;
        Ok(())
    }

    /// Deletes a schedule of the stack's group.
    pub async fn delete_schedule(&self, name: &str) -> Result<()> {
        let request = self.scheduler.delete_schedule().group_name(STACK).name(name);
        request.send().await.context("DeleteSchedule")?;
        Ok(())
    }

    /// Whether the stack's dead-letter queue has a message that contains `text`.
    pub async fn is_dead_letter(&self, text: &str) -> Result<bool> {
        let url = self.sqs.get_queue_url().queue_name(format!("{STACK}-dead-letters")).send().await;
        let url = url.context("GetQueueUrl")?.queue_url.context("no queue URL")?;
        let request = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        // Other tests read this queue too: the messages stay visible to them.
        let answer = request.visibility_timeout(0).send().await.context("ReceiveMessage")?;
        Ok(answer.messages().iter().any(|message| message.body().is_some_and(|body| body.contains(text))))
    }
}

fn dead_letters() -> String {
    format!("arn:aws:sqs:{REGION}:{HUB}:{STACK}-dead-letters")
}
