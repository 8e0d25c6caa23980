//! A step of the workflow that failed while the workflow goes on: what Step Functions hands on of it.

use serde::{Deserialize, Serialize};

use crate::refusal::RefusalReason;

/// The output of a `Catch`. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-fallback-states>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStep {
    /// The error's name: that of a function's failure, or one of Step Functions' own.
    #[serde(rename = "Error")]
    pub error: String,
    /// What the error says; of a Lambda function it is a JSON document.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl FailedStep {
    /// Why the step failed, for people to read.
    pub fn message(&self) -> String {
        let message = error_message(&self.cause);
        if message.is_empty() { self.error.clone() } else { message }
    }

    /// Why nobody new is granted access.
    pub fn refusal(&self) -> RefusalReason {
        RefusalReason::StepFailed { message: self.message() }
    }
}

/// What the cause of a failure says to people: Lambda's error is JSON inside it.
pub fn error_message(cause: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct LambdaError {
        error_message: String,
    }
    serde_json::from_str(cause).map_or_else(|_| cause.to_owned(), |error: LambdaError| error.error_message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_function_is_taken_out_of_its_document() {
        let cause = r#"{"errorType":"AwsFailed","errorMessage":"kms:GetKeyPolicy failed"}"#;
        let message =
            |cause: &str| FailedStep { error: "AwsFailed".to_owned(), cause: cause.to_owned() }.message();
        assert_eq!(message(cause), "kms:GetKeyPolicy failed");
        assert_eq!(message("the task timed out"), "the task timed out");
        assert_eq!(message(""), "AwsFailed");
    }
}
