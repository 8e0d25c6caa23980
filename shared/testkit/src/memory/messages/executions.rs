//! Step Functions: `StartExecution`. A state machine exists as soon as a request names it.
//!
//! Source: <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>

use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{invalid, numbered_id, require_known, required_text, text, unknown_operation};

const INPUT_LIMIT: usize = 262_144;
const NAME_LIMIT: usize = 80;

/// Characters that no name may have, besides white space and control characters.
const NOT_IN_NAMES: &str = "<>{}[]?*\"#%\\^|~`$&,;:/";

/// An execution that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// The state machine, by ARN.
    pub state_machine_arn: String,
    /// Its name, unique among the executions of the state machine.
    pub name: String,
    /// Its input, as JSON text.
    pub input: String,
    /// Whether it has not ended yet.
    pub is_running: bool,
}

/// All executions.
#[derive(Debug, Clone, Default)]
pub struct Executions {
    started: Vec<Execution>,
}

impl Executions {
    /// The executions that were started, in their order.
    pub fn started(&self) -> &[Execution] {
        &self.started
    }

    /// Ends an execution, successfully or not. Its name stays taken. `false` when there is none with this ARN.
    pub fn end(&mut self, arn: &str) -> bool {
        let execution = self.started.iter_mut().find(|execution| execution.arn == arn);
        execution.map(|execution| execution.is_running = false).is_some()
    }

    /// Answers one request. All executions start in 1970: there is no clock here.
    ///
    /// # Errors
    /// What Step Functions answers instead, or `NotImplemented`.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        if operation != "StartExecution" {
            return Err(unknown_operation("Step Functions", operation));
        }
        require_known(operation, input, &["stateMachineArn", "name", "input"])?;
        let execution = self.execution(input)?;
        let answer = json!({ "executionArn": execution.arn, "startDate": 0 });
        let named = self.started.iter().find(|started| started.arn == execution.arn);
        match named {
            None => self.started.push(execution),
            // The same request as that of a running execution starts nothing.
            Some(named) if *named == execution => {}
            Some(named) => {
                let message = format!("Execution Already Exists: '{}'", named.arn);
                return Err(Refused::new("ExecutionAlreadyExists", message));
            }
        }
        Ok(answer)
    }

    fn execution(&self, request: &Value) -> Result<Execution, Refused> {
        let state_machine_arn = required_text(request, "stateMachineArn")?;
        let parts: Vec<&str> = state_machine_arn.splitn(7, ':').collect();
        let [arn, partition, "states", region, account, "stateMachine", machine] = parts.as_slice() else {
            let message = format!("Invalid Arn: '{state_machine_arn}'");
            return Err(Refused::new("InvalidArn", message));
        };
        let name = text(request, "name").map_or_else(|| numbered_id(self.started.len() + 1), str::to_owned);
        if !is_name(&name) {
            return Err(Refused::new("InvalidName", format!("Invalid Name: '{name}'")));
        }
        let input = text(request, "input").unwrap_or("{}").to_owned();
        if input.len() > INPUT_LIMIT {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less \
                 than or equal to {INPUT_LIMIT}"
            )));
        }
        if serde_json::from_str::<Value>(&input).is_err() {
            let message = format!("Invalid State Machine Execution Input: '{input}'");
            return Err(Refused::new("InvalidExecutionInput", message));
        }
        let arn = format!("{arn}:{partition}:states:{region}:{account}:execution:{machine}:{name}");
        Ok(Execution { arn, state_machine_arn: state_machine_arn.to_owned(), name, input, is_running: true })
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| !c.is_whitespace() && !c.is_control() && !NOT_IN_NAMES.contains(c);
    (1..=NAME_LIMIT).contains(&name.chars().count()) && name.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: &str = "arn:aws:states:us-east-1:111122223333:stateMachine:ami-share-share";

    fn start(executions: &mut Executions, name: Option<&str>, input: &str) -> Result<String, String> {
        let request = json!({ "stateMachineArn": WORKFLOW, "name": name, "input": input });
        let answer = executions.call("StartExecution", &request).map_err(|refused| refused.code)?;
        Ok(answer["executionArn"].as_str().unwrap().to_owned())
    }

    #[test]
    fn executions_are_recorded_in_their_order() {
        let mut executions = Executions::default();
        let arn = start(&mut executions, Some("a"), r#"{"n":1}"#).unwrap();
        assert_eq!(arn, "arn:aws:states:us-east-1:111122223333:execution:ami-share-share:a");
        start(&mut executions, None, "{}").unwrap();
        start(&mut executions, None, "{}").unwrap();
        let inputs: Vec<&str> =
            executions.started().iter().map(|execution| execution.input.as_str()).collect();
        assert_eq!(inputs, [r#"{"n":1}"#, "{}", "{}"]);
    }

    #[test]
    fn the_same_name_and_input_as_a_running_execution_start_nothing() {
        let mut executions = Executions::default();
        let first = start(&mut executions, Some("a"), "{}");
        assert_eq!(start(&mut executions, Some("a"), "{}"), first);
        assert_eq!(executions.started().len(), 1);
    }

    #[test]
    fn a_name_with_another_input_or_of_an_execution_that_ended_exists_already() {
        let mut executions = Executions::default();
        let arn = start(&mut executions, Some("a"), "{}").unwrap();
        let exists = Err("ExecutionAlreadyExists".to_owned());
        assert_eq!(start(&mut executions, Some("a"), r#"{"n":1}"#), exists);
        assert!(executions.end(&arn));
        assert_eq!(start(&mut executions, Some("a"), "{}"), exists);
        assert!(!executions.end("other"));
    }

    #[test]
    fn another_state_machine_has_names_of_its_own() {
        let mut executions = Executions::default();
        start(&mut executions, Some("a"), "{}").unwrap();
        let other = json!({ "stateMachineArn": format!("{WORKFLOW}-2"), "name": "a", "input": r#"{"n":1}"# });
        assert!(executions.call("StartExecution", &other).is_ok());
    }

    #[test]
    fn bad_names_inputs_and_arns_are_refused() {
        let longest = "x".repeat(80);
        assert!(start(&mut Executions::default(), Some(&longest), "{}").is_ok());
        for name in ["", "a b", "a:b", "a/b", &"x".repeat(81)] {
            assert_eq!(start(&mut Executions::default(), Some(name), "{}"), Err("InvalidName".to_owned()));
        }
        assert_eq!(start(&mut Executions::default(), None, "{"), Err("InvalidExecutionInput".to_owned()));
        let long = format!("\"{}\"", "x".repeat(INPUT_LIMIT));
        assert_eq!(start(&mut Executions::default(), None, &long), Err("ValidationException".to_owned()));
        let bad = json!({ "stateMachineArn": "ami-share-share" });
        assert_eq!(Executions::default().call("StartExecution", &bad).unwrap_err().code, "InvalidArn");
    }

    #[test]
    fn what_is_not_understood_is_not_implemented() {
        assert_eq!(Executions::default().call("StopExecution", &json!({})).unwrap_err().status, 501);
        let traced = json!({ "stateMachineArn": WORKFLOW, "traceHeader": "x" });
        assert_eq!(Executions::default().call("StartExecution", &traced).unwrap_err().status, 501);
    }
}
