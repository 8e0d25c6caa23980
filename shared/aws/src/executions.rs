//! Starts executions of the workflows in Step Functions.

use aws_sdk_sfn::Client;
use serde_json::Value;

use crate::error::{AwsError, Explain, Fault};

/// Starts executions.
#[derive(Debug, Clone)]
pub struct ExecutionStarter {
    client: Client,
}

impl ExecutionStarter {
    /// A starter.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Starts the workflow with `input`. Without a `name` (1 to 80 characters) AWS makes one. `false` when the name
    /// exists: an execution with another input has it, or one that ended less than 90 days ago. The same name and
    /// input as a running execution give `true`, and start nothing.
    /// Source: <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
    ///
    /// # Errors
    /// When `states:StartExecution` fails for another reason.
    pub async fn start(
        &self,
        workflow_arn: &str,
        name: Option<&str>,
        input: &Value,
    ) -> Result<bool, AwsError> {
        let request = self.client.start_execution().state_machine_arn(workflow_arn).input(input.to_string());
        let request = request.set_name(name.map(str::to_owned));
        match request.send().await.explain("states:StartExecution", workflow_arn) {
            Err(error) if error.fault() == Fault::Condition => Ok(false),
            answer => answer.map(|_| true),
        }
    }
}
