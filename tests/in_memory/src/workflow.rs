//! Runs `workflows/share.asl.json` itself: what is tested is the order of work that is deployed.
//!
//! Only the states and fields that the workflow uses are known; any other one fails the test. Source of the language:
//! <https://states-language.net/spec.html>

use std::collections::HashMap;

use ami_share_testkit::memory::InMemoryAws;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::connection::{Connection, SharedAws};
use crate::functions::Functions;

const SHARE: &str = include_str!("../../../workflows/share.asl.json");

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// With this output.
    Succeeded(Value),
    /// With an error.
    Failed(Raised),
}

/// An error of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// Its name, by which `Retry` and `Catch` find it.
    pub error: String,
    /// Its text.
    pub cause: String,
}

/// Runs executions of the share workflow, one after the other.
pub struct Runner {
    aws: SharedAws,
    connection: Connection,
    functions: Functions,
    workflow: Value,
}

/// What the context object `$$` holds.
#[derive(Debug, Clone)]
struct Context {
    execution: String,
    item: Value,
}

impl Runner {
    /// A runner with functions of its own.
    pub async fn start(aws: &SharedAws) -> Self {
        let connection = Connection::new(aws);
        let functions = Functions::start(&connection).await;
        let workflow = serde_json::from_str(SHARE).unwrap_or_default();
        Self { aws: aws.clone(), connection, functions, workflow }
    }

    /// Runs one execution.
    pub async fn execute(&self, input: Value) -> Ended {
        let execution = format!("arn:aws:states:eu-west-1:111122223333:execution:share:{}", self.unique());
        let context = Context { execution, item: Value::Null };
        match self.run(&self.workflow, input, &context).await {
            Ok(output) => Ended::Succeeded(output),
            Err(raised) => Ended::Failed(raised),
        }
    }

    /// Each call lets the clock go on, so no two executions or invocations have the same number.
    fn unique(&self) -> String {
        let aws: &InMemoryAws = &self.aws.lock();
        format!("{}-{}", aws.calls.len(), aws.now.as_millisecond())
    }

    async fn run(&self, machine: &Value, input: Value, context: &Context) -> Result<Value, Raised> {
        let mut name = text(machine, "StartAt").to_owned();
        let mut document = input;
        loop {
            let state = machine.pointer(&format!("/States/{name}"));
            let state = state.unwrap_or_else(|| panic!("there is no state {name}"));
            match self.step(state, document, context).await? {
                Step::Next(next, output) => (name, document) = (next, output),
                Step::End(output) => return Ok(output),
            }
        }
    }

    async fn step(&self, state: &Value, input: Value, context: &Context) -> Result<Step, Raised> {
        match text(state, "Type") {
            "Choice" => Ok(Step::Next(choose(state, &input), input)),
            "Wait" => {
                self.wait_until(&input, text(state, "TimestampPath"));
                Ok(next(state, input))
            }
            "Succeed" => Ok(Step::End(input)),
            "Fail" => Err(fail(state, &input)),
            "Pass" => {
                let result = match state.get("Parameters") {
                    Some(template) => fill(template, &input, context),
                    None => state.get("Result").cloned().unwrap_or_else(|| selected(state, &input)),
                };
                Ok(next(state, placed(state, input, result)))
            }
            "Task" => {
                let result = self.task(state, &input, context).await;
                settled(state, input, result)
            }
            "Map" => {
                let result = self.map(state, &input, context).await;
                settled(state, input, result)
            }
            other => panic!("states of type {other} are not known here"),
        }
    }

    fn wait_until(&self, input: &Value, path: &str) {
        let until = at(input, path).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        let mut aws = self.aws.lock();
        aws.now = until.map_or(aws.now, |until| until.max(aws.now));
    }

    /// Invokes a function, again as `Retry` says.
    async fn task(&self, state: &Value, input: &Value, context: &Context) -> Result<Value, Raised> {
        let resource = text(state, "Resource");
        assert_eq!(resource, "arn:${Partition}:states:::lambda:invoke", "another resource is not known here");
        let parameters = fill(state.get("Parameters").unwrap_or(&Value::Null), input, context);
        let mut tries: HashMap<usize, u64> = HashMap::new();
        loop {
            match self.invoke(&parameters).await {
                Ok(payload) => return Ok(json!({ "Payload": payload })),
                Err(raised) => {
                    let Some((number, retrier)) = retrier(state, &raised) else { return Err(raised) };
                    let tried = tries.entry(number).or_default();
                    if *tried >= number_of(retrier, "MaxAttempts", 3.0) as u64 {
                        return Err(raised);
                    }
                    self.pause(retrier, *tried);
                    *tried += 1;
                }
            }
        }
    }

    /// Waits before the next try, without jitter.
    fn pause(&self, retrier: &Value, tried: u64) {
        let rate = number_of(retrier, "BackoffRate", 2.0);
        let seconds =
            number_of(retrier, "IntervalSeconds", 1.0) * rate.powi(i32::try_from(tried).unwrap_or(i32::MAX));
        let seconds = seconds.min(number_of(retrier, "MaxDelaySeconds", f64::MAX));
        self.aws.lock().wait(SignedDuration::from_secs_f64(seconds));
    }

    /// Invokes a function, until it answers or a call interrupts it.
    async fn invoke(&self, parameters: &Value) -> Result<Value, Raised> {
        let id = format!("invocation-{}", self.unique());
        let payload = parameters.get("Payload").unwrap_or(&Value::Null);
        let mut invocation = Box::pin(self.functions.invoke(text(parameters, "FunctionName"), payload, &id));
        let answer = std::future::poll_fn(|cx| {
            let polled = invocation.as_mut().poll(cx);
            match polled {
                std::task::Poll::Pending if self.connection.take_interruption() => {
                    std::task::Poll::Ready(Err(Raised {
                        error: "Runtime.ExitError".to_owned(),
                        cause: "the function was interrupted".to_owned(),
                    }))
                }
                polled => polled.map(|answer| {
                    answer.map_err(|diagnostic| Raised {
                        cause: cause(&diagnostic),
                        error: diagnostic.error_type,
                    })
                }),
            }
        });
        answer.await
    }

    /// Runs the iterations one after the other: at most that is what `MaxConcurrency` promises.
    async fn map(&self, state: &Value, input: &Value, context: &Context) -> Result<Value, Raised> {
        let items = at(input, text(state, "ItemsPath")).and_then(Value::as_array).cloned();
        let processor = state.get("ItemProcessor").unwrap_or(&Value::Null);
        let mut outputs = Vec::new();
        for item in items.unwrap_or_else(|| panic!("{} is no list", text(state, "ItemsPath"))) {
            let context = Context { item: item.clone(), ..context.clone() };
            let input = match state.get("ItemSelector") {
                Some(template) => fill(template, input, &context),
                None => item,
            };
            outputs.push(Box::pin(self.run(processor, input, &context)).await?);
        }
        Ok(Value::Array(outputs))
    }
}

/// The cause that Step Functions reads from a function's failure.
fn cause(diagnostic: &lambda_runtime::Diagnostic) -> String {
    json!({ "errorType": diagnostic.error_type, "errorMessage": diagnostic.error_message }).to_string()
}

/// What follows a state.
enum Step {
    Next(String, Value),
    End(Value),
}

fn next(state: &Value, output: Value) -> Step {
    match state.get("Next").and_then(Value::as_str) {
        Some(next) => Step::Next(next.to_owned(), output),
        None => Step::End(output),
    }
}

/// What `InputPath` selects.
fn selected(state: &Value, input: &Value) -> Value {
    let path = state.get("InputPath").and_then(Value::as_str).unwrap_or("$");
    at(input, path).unwrap_or_else(|| panic!("{path} is not in {input}")).clone()
}

/// The result of a state goes where `ResultPath` says, or its error where the `Catch` says.
fn settled(state: &Value, input: Value, result: Result<Value, Raised>) -> Result<Step, Raised> {
    match result {
        Ok(result) => {
            let output = placed(state, input, result);
            let output = match state.get("OutputPath").and_then(Value::as_str) {
                Some(path) => at(&output, path).cloned().unwrap_or_default(),
                None => output,
            };
            Ok(next(state, output))
        }
        Err(raised) => {
            let catchers = state.get("Catch").and_then(Value::as_array);
            let catcher = catchers.into_iter().flatten().find(|catcher| names(catcher, &raised));
            let Some(catcher) = catcher else { return Err(raised) };
            let error = json!({ "Error": raised.error, "Cause": raised.cause });
            Ok(next(catcher, placed(catcher, input, error)))
        }
    }
}

fn placed(state: &Value, input: Value, result: Value) -> Value {
    match state.get("ResultPath") {
        None => result,
        Some(Value::Null) => input,
        Some(path) => {
            let mut output = input;
            let path = path.as_str().unwrap_or_default();
            let names = path.trim_start_matches("$.").split('.');
            let place = names.fold(&mut output, |place, name| {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                &mut place[name]
            });
            *place = result;
            output
        }
    }
}

fn retrier<'a>(state: &'a Value, raised: &Raised) -> Option<(usize, &'a Value)> {
    let retriers = state.get("Retry").and_then(Value::as_array);
    retriers.into_iter().flatten().enumerate().find(|(_, retrier)| names(retrier, raised))
}

/// Whether a `Retry` or a `Catch` names the error.
fn names(rule: &Value, raised: &Raised) -> bool {
    let errors = rule.get("ErrorEquals").and_then(Value::as_array);
    let errors = errors.into_iter().flatten().filter_map(Value::as_str);
    errors.into_iter().any(|error| {
        error == raised.error
            || error == "States.ALL"
            || (error == "States.TaskFailed" && raised.error != "States.Timeout")
    })
}

fn choose(state: &Value, input: &Value) -> String {
    let choices = state.get("Choices").and_then(Value::as_array);
    let chosen = choices.into_iter().flatten().find(|choice| holds(choice, input));
    let next = chosen.and_then(|choice| choice.get("Next")).or(state.get("Default"));
    next.and_then(Value::as_str).unwrap_or_else(|| panic!("no choice holds")).to_owned()
}

fn holds(choice: &Value, input: &Value) -> bool {
    if let Some(inner) = choice.get("Not") {
        return !holds(inner, input);
    }
    if let Some(all) = choice.get("And").and_then(Value::as_array) {
        return all.iter().all(|inner| holds(inner, input));
    }
    if let Some(any) = choice.get("Or").and_then(Value::as_array) {
        return any.iter().any(|inner| holds(inner, input));
    }
    let found = at(input, text(choice, "Variable"));
    let fields = choice.as_object().cloned().unwrap_or_default();
    let tests = fields.iter().filter(|(name, _)| !["Variable", "Next", "Comment"].contains(&name.as_str()));
    let mut tests = tests.map(|(name, expected)| match name.as_str() {
        "IsPresent" => Some(found.is_some()) == expected.as_bool(),
        "StringEquals" | "BooleanEquals" => found == Some(expected),
        other => panic!("the comparison {other} is not known here"),
    });
    tests.all(|holds| holds)
}

fn fail(state: &Value, input: &Value) -> Raised {
    let read = |name: &str| {
        let path = state.get(format!("{name}Path")).and_then(Value::as_str);
        let found = path.and_then(|path| at(input, path)).or(state.get(name));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Raised { error: read("Error"), cause: read("Cause") }
}

/// Fills a template: a field whose name ends with `.$` is read from the input or the context.
fn fill(template: &Value, input: &Value, context: &Context) -> Value {
    match template {
        Value::Object(fields) => {
            let filled = fields.iter().map(|(name, value)| match name.strip_suffix(".$") {
                Some(name) => (name.to_owned(), read(value.as_str().unwrap_or_default(), input, context)),
                None => (name.clone(), fill(value, input, context)),
            });
            Value::Object(filled.collect())
        }
        Value::Array(items) => items.iter().map(|item| fill(item, input, context)).collect(),
        other => other.clone(),
    }
}

fn read(path: &str, input: &Value, context: &Context) -> Value {
    match path {
        "$$.Execution.Id" => context.execution.clone().into(),
        "$$.Map.Item.Value" => context.item.clone(),
        path if path.starts_with("$$") => panic!("{path} is not known here"),
        path => at(input, path).unwrap_or_else(|| panic!("{path} is not in {input}")).clone(),
    }
}

fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if path == "$" {
        return Some(document);
    }
    path.strip_prefix("$.")?.split('.').try_fold(document, |place, name| place.get(name))
}

fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number_of(document: &Value, name: &str, default: f64) -> f64 {
    document.get(name).and_then(Value::as_f64).unwrap_or(default)
}
