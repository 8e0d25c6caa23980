//! Kills or holds functions at one of their calls, and lists the calls that they made. The real AWS has no API for
//! that.

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Account, STACK};

/// Whether the service receives the call at which the function is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The call never reaches the service.
    Before,
    /// The service executes the call, and the function never receives the answer.
    After,
}

impl When {
    /// What the requests to the simulated AWS call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// What happens to a function that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    /// Its process is killed, and the workflow may retry.
    Kill,
    /// Its process is killed, and the execution that waits for it is stopped: nothing is retried.
    Stop,
    /// It waits until [`Account::release`].
    Hold,
}

/// One call of one function, at which it is interrupted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interruption {
    /// The function's name, without the name of the stack.
    pub function: String,
    /// The `action` of its payload, for a function with several actions.
    pub action: Option<String>,
    /// The number of the call, from 1.
    pub call: usize,
    /// Before or after the service executes the call.
    pub when: When,
    /// What happens to the function.
    pub then: Then,
}

/// One invocation whose payload names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The function's name, without the name of the stack.
    pub function: String,
    /// The id of its request, which the ledger records as the holder of a lease.
    pub request_id: String,
    /// The `action` of its payload, if it has one.
    pub action: Option<String>,
    /// The `detail-type` of its payload, if that is an event.
    pub event: Option<String>,
    /// `running`, `held`, `interrupted`, `failed`, or `ended` with an answer.
    pub state: String,
    /// Its calls so far, like `dynamodb:PutItem`.
    pub calls: Vec<String>,
}

impl Account {
    /// Interrupts a function once, when it works on `image`. Replaces an earlier interruption for this image.
    pub async fn interrupt(&self, image: &str, interruption: &Interruption) -> Result<()> {
        let Interruption { function, action, call, when, then } = interruption;
        let then = match then {
            Then::Kill => "kill",
            Then::Stop => "stop",
            Then::Hold => "hold",
        };
        let body = json!({ "image": image, "function": function, "action": action, "call": call, "when": when.name(), "then": then });
        self.control("POST", "interruptions", &body.to_string()).await?;
        Ok(())
    }

    /// Releases the function that is held for `image`; an error if there is none. Returns whether the function still
    /// waited for its call: the SDK stops waiting after a while.
    pub async fn release(&self, image: &str) -> Result<bool> {
        let answer = self.control("POST", "releases", &json!({ "image": image }).to_string()).await;
        let answer = answer.with_context(|| format!("no function is held for {image}"))?;
        answer.get("waited").and_then(Value::as_bool).context("no `waited` in the answer")
    }

    /// The invocations whose payload names `image`, in order, since the first request about it.
    pub async fn invocations(&self, image: &str) -> Result<Vec<Invocation>> {
        let answer = self.control("GET", &format!("invocations?image={image}"), "").await?;
        let all = answer.get("invocations").and_then(Value::as_array).context("no list of invocations")?;
        Ok(all.iter().map(read).collect())
    }

    /// Expires the lease that a killed invocation left in a partition of the ledger, instead of waiting 30 seconds.
    pub async fn expire_lease(&self, partition: &str, holder: &str) -> Result<()> {
        let request = self.update_row(partition, "LEASE").update_expression("SET ends = :past");
        let request = request.condition_expression("holder = :holder");
        let request = request.expression_attribute_values(":holder", AttributeValue::S(holder.to_owned()));
        ignore_failed_condition(
            request.expression_attribute_values(":past", AttributeValue::N("0".to_owned())),
        )
        .await
    }

    /// Expires the wait for the usage report of an interrupted reconciliation, instead of waiting five minutes.
    pub async fn expire_usage_report_wait(&self, image: &str) -> Result<()> {
        let request = self.update_row(&format!("IMAGE#{image}"), "NOTIFIED");
        let request = request.update_expression("SET waiting_until = :past");
        let request = request.condition_expression("attribute_exists(waiting_until)");
        let past = AttributeValue::S("1970-01-01T00:00:00Z".to_owned());
        ignore_failed_condition(request.expression_attribute_values(":past", past)).await
    }

    fn update_row(&self, partition: &str, row: &str) -> UpdateItemFluentBuilder {
        let request = self.dynamodb.update_item().table_name(format!("{STACK}-ledger"));
        let request = request.key("pk", AttributeValue::S(partition.to_owned()));
        request.key("sk", AttributeValue::S(row.to_owned()))
    }

    pub(super) async fn control(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let content = self.send_request(method, &format!("/simulated-aws/{path}"), "", body).await?;
        serde_json::from_str(&content).context("the answer is not JSON")
    }

    /// Sends a request that no SDK client sends. Each of `headers` ends with a line break.
    pub(super) async fn send_request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<String> {
        let endpoint = self.config.endpoint_url().context("the hub has no endpoint")?;
        let host = endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.context("connecting to the simulated AWS")?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.context("sending to the simulated AWS")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context("reading from the simulated AWS")?;
        let (head, content) =
            answer.split_once("\r\n\r\n").context("the answer has no end of its headers")?;
        if !head.lines().next().is_some_and(|status| status.contains(" 20")) {
            bail!("the simulated AWS refused {method} {path}: {head}");
        }
        Ok(content.to_owned())
    }
}

/// Updates the row, unless the condition fails.
async fn ignore_failed_condition(request: UpdateItemFluentBuilder) -> Result<()> {
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
