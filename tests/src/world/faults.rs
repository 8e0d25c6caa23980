//! Lets calls of chosen callers fail, go unanswered, wait or read the past, and events go astray. The real AWS has no
//! API for that.
//!
//! A fault that a test does not end lasts as long as its stack, so each names an image or a key of the test. Parameters
//! have the names that the request gives them: `ImageId`, or `ImageId.1` in a list; `*` stands for any text in names,
//! values, operations and callers.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Account;

/// The calls that a fault strikes: those of one operation, with certain parameters, of certain callers.
#[derive(Debug, Clone)]
pub struct Calls {
    service: String,
    operation: String,
    caller: String,
    parameters: Map<String, Value>,
    times: Option<usize>,
}

impl Calls {
    /// The next call of an operation, of any caller. `service` is the name in a signature: `ec2`, `kms`, `states`.
    pub fn of(service: &str, operation: &str) -> Self {
        let (service, operation) = (service.to_owned(), operation.to_owned());
        Self { service, operation, caller: "*".to_owned(), parameters: Map::new(), times: Some(1) }
    }

    /// Only calls with this parameter.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: &str) -> Self {
        self.parameters.insert(parameter.to_owned(), json!(value));
        self
    }

    /// Only calls of a function, by its name without the name of the stack.
    #[must_use]
    pub fn by(mut self, function: &str) -> Self {
        self.caller = format!("*-{function}");
        self
    }

    /// The next calls, as many as this. SDKs repeat a call that was not answered: each attempt counts.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// All calls until the fault ends.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }
}

/// Whether a call that waits has taken effect.
pub use super::interruptions::When;

/// A fault of calls or of events, to end it or to ask how often it struck.
#[derive(Debug)]
#[must_use]
pub struct Fault {
    kind: &'static str,
    id: u64,
}

/// What EC2, KMS and AWS Organizations hold now, for later reads that lag.
#[derive(Debug)]
#[must_use]
pub struct Moment {
    fault: Fault,
    about: String,
}

/// What happens to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Astray {
    /// No rule receives it.
    Lost,
    /// It comes again so many seconds later.
    Repeated(u32),
    /// It comes so many seconds later, after others.
    Delayed(u32),
    /// It comes right after the next one.
    Swapped,
}

impl Account {
    /// The calls are refused with an error code and an HTTP status.
    pub async fn refuse(&self, calls: &Calls, code: &str, status: u16) -> Result<Fault> {
        self.arm(calls, &json!({ "then": "refuse", "code": code, "status": status })).await
    }

    /// The calls take effect, and their callers get no answer.
    pub async fn leave_unanswered(&self, calls: &Calls) -> Result<Fault> {
        self.arm(calls, &json!({ "then": "time-out" })).await
    }

    /// The calls wait until the fault ends, before or after they take effect. The SDK gives up a call after 20 seconds.
    pub async fn hold_calls(&self, calls: &Calls, when: When) -> Result<Fault> {
        self.arm(calls, &json!({ "then": "hold", "when": when.name() })).await
    }

    /// Remembers what the service holds now. `about` is the id of the image or of the key whose changes a later lag hides.
    pub async fn moment(&self, service: &str, about: &str) -> Result<Moment> {
        let never = Calls::of(service, "*").times(0);
        let fault = self.arm(&never, &json!({ "then": "lag", "about": about })).await?;
        Ok(Moment { fault, about: about.to_owned() })
    }

    /// The calls read what their service held at that moment.
    pub async fn lag(&self, calls: &Calls, moment: &Moment) -> Result<Fault> {
        let back = json!({ "then": "lag", "about": moment.about, "since": moment.fault.id });
        self.arm(calls, &back).await
    }

    /// The next events of this detail-type that contain a text, such as the id of an image, go astray.
    pub async fn send_astray(
        &self,
        detail_type: &str,
        contains: &str,
        astray: Astray,
        times: usize,
    ) -> Result<Fault> {
        let (then, seconds) = match astray {
            Astray::Lost => ("lose", 0),
            Astray::Repeated(seconds) => ("repeat", seconds),
            Astray::Delayed(seconds) => ("delay", seconds),
            Astray::Swapped => ("swap", 0),
        };
        let body = json!({ "detail_type": detail_type, "contains": contains, "then": then, "seconds": seconds, "times": times });
        self.armed("event-faults", &body).await
    }

    /// How often a fault has struck so far.
    pub async fn struck(&self, fault: &Fault) -> Result<u64> {
        let answer = self.control("GET", &format!("{}?id={}", fault.kind, fault.id), "").await?;
        answer.pointer("/faults/0/struck").and_then(Value::as_u64).context("no such fault")
    }

    /// Waits until a fault has struck.
    pub async fn until_struck(&self, fault: &Fault) -> Result<()> {
        self.until("the fault has struck", async || Ok((self.struck(fault).await? > 0).then_some(()))).await
    }

    /// Ends a fault: calls and events that wait for its end go on. Returns how often it has struck.
    pub async fn end_fault(&self, fault: Fault) -> Result<u64> {
        let answer = self.control("DELETE", &format!("{}?id={}", fault.kind, fault.id), "").await?;
        answer.pointer("/faults/0/struck").and_then(Value::as_u64).context("no such fault")
    }

    async fn arm(&self, calls: &Calls, effect: &Value) -> Result<Fault> {
        let mut body = json!({
            "service": calls.service, "operation": calls.operation, "caller": calls.caller,
            "where": calls.parameters, "times": calls.times,
        });
        let (Some(all), Some(more)) = (body.as_object_mut(), effect.as_object()) else {
            anyhow::bail!("a fault is an object");
        };
        all.extend(more.clone());
        self.armed("faults", &body).await
    }

    async fn armed(&self, kind: &'static str, body: &Value) -> Result<Fault> {
        let answer = self.control("POST", kind, &body.to_string()).await?;
        let id = answer.get("id").and_then(Value::as_u64).context("no id of the fault")?;
        Ok(Fault { kind, id })
    }
}
