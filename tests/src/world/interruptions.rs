//! Kills functions in the middle of their work or holds them up, and tells how far they came: no AWS has an API for that.

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Account, STACK};

/// Whether the service still does what the killed function asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The call never reaches the service.
    Before,
    /// The service does it, and the function never hears of it.
    After,
}

/// What becomes of a function that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    /// Its process is killed, and the workflow may try again.
    Kill,
    /// Its process is killed, and the execution that waits for it is stopped: nothing is tried again.
    Stop,
    /// It waits until it is released.
    Hold,
}

/// One call of one function, at which it is interrupted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interruption {
    /// The function's name, without the stack's.
    pub function: String,
    /// The `action` of its payload, for a function that has several.
    pub action: Option<String>,
    /// Which of its calls, from 1.
    pub call: usize,
    /// On which side of the call.
    pub when: When,
    /// What happens there.
    pub then: Then,
}

/// One invocation that spoke of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The function's name, without the stack's.
    pub function: String,
    /// The id of its request, by which the ledger knows the holder of a turn.
    pub request_id: String,
    /// The `action` of its payload, where it has one.
    pub action: Option<String>,
    /// The `detail-type` of its payload, where that is an event.
    pub event: Option<String>,
    /// `running`, `held`, `interrupted`, `failed`, or `ended` with an answer.
    pub state: String,
    /// The calls that it made so far, like `dynamodb:PutItem`.
    pub calls: Vec<String>,
}

impl Account {
    /// Interrupts a function once, when it works for `image`. Replaces what was asked for of this image before.
    pub async fn interrupt(&self, image: &str, interruption: &Interruption) -> Result<()> {
        let Interruption { function, action, call, when, then } = interruption;
        let when = match when {
            When::Before => "before",
            When::After => "after",
        };
        let then = match then {
            Then::Kill => "kill",
            Then::Stop => "stop",
            Then::Hold => "hold",
        };
        let body = json!({ "image": image, "function": function, "action": action, "call": call, "when": when, "then": then });
        self.control("POST", "interruptions", &body.to_string()).await?;
        Ok(())
    }

    /// Lets go of a function that is held, and fails when none is: then nothing was held up as long as a test thinks.
    /// Answers whether the function still waited for its call; the SDK gives one up after a while.
    pub async fn release(&self, image: &str) -> Result<bool> {
        let answer = self.control("POST", "releases", &json!({ "image": image }).to_string()).await;
        let answer = answer.with_context(|| format!("nothing is held up for {image}"))?;
        answer.get("waited").and_then(Value::as_bool).context("not said whether it waited")
    }

    /// The invocations that spoke of `image`, in their order, since it was first asked about here.
    pub async fn invocations(&self, image: &str) -> Result<Vec<Invocation>> {
        let answer = self.control("GET", &format!("invocations?image={image}"), "").await?;
        let all = answer.get("invocations").and_then(Value::as_array).context("no list of invocations")?;
        Ok(all.iter().map(read).collect())
    }

    /// Ends the turn that a killed invocation has left in a partition of the ledger, as half a minute would.
    pub async fn lease_expires(&self, partition: &str, holder: &str) -> Result<()> {
        let request = self.update_row(partition, "LEASE").update_expression("SET ends = :past");
        let request = request.condition_expression("holder = :holder");
        let request = request.expression_attribute_values(":holder", AttributeValue::S(holder.to_owned()));
        unless_refused(request.expression_attribute_values(":past", AttributeValue::N("0".to_owned()))).await
    }

    /// Ends the time for which the notices of a killed look wait for its usage report, as some minutes would.
    pub async fn usage_report_is_waited_for_no_more(&self, image: &str) -> Result<()> {
        let request = self.update_row(&format!("IMAGE#{image}"), "NOTIFIED");
        let request = request.update_expression("SET waiting_until = :past");
        let request = request.condition_expression("attribute_exists(waiting_until)");
        let past = AttributeValue::S("1970-01-01T00:00:00Z".to_owned());
        unless_refused(request.expression_attribute_values(":past", past)).await
    }

    fn update_row(&self, partition: &str, row: &str) -> UpdateItemFluentBuilder {
        let request = self.dynamodb.update_item().table_name(format!("{STACK}-ledger"));
        let request = request.key("pk", AttributeValue::S(partition.to_owned()));
        request.key("sk", AttributeValue::S(row.to_owned()))
    }

    pub(super) async fn control(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let content = self.ask(method, &format!("/simulated-aws/{path}"), "", body).await?;
        serde_json::from_str(&content).context("an answer that is no JSON")
    }

    /// Asks the simulated AWS for what no client of an SDK here asks for. `headers` end with a line break each.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<String> {
        let endpoint = self.config.endpoint_url().context("the hub has no endpoint")?;
        let host = endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.context("reaching the simulated AWS")?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.context("asking the simulated AWS")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context("hearing the simulated AWS")?;
        let (head, content) =
            answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
        if !head.lines().next().is_some_and(|status| status.contains(" 20")) {
            bail!("the simulated AWS does not take {method} {path}: {head}");
        }
        Ok(content.to_owned())
    }
}

/// Writes, if the condition is met.
async fn unless_refused(request: UpdateItemFluentBuilder) -> Result<()> {
    match request.send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
        {
            Ok(())
        }
        answer => answer.map(|_| ()).context("UpdateItem"),
    }
}

fn read(invocation: &Value) -> Invocation {
    let text = |name: &str| invocation.get(name).and_then(Value::as_str).map(str::to_owned);
    let calls = invocation.get("calls").and_then(Value::as_array).into_iter().flatten();
    Invocation {
        function: text("function").unwrap_or_default(),
        request_id: text("request-id").unwrap_or_default(),
        action: text("action"),
        event: text("detail-type"),
        state: text("state").unwrap_or_default(),
        calls: calls.filter_map(|call| call.as_str().map(str::to_owned)).collect(),
    }
}
