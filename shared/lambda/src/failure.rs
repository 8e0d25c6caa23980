//! Why a request was not served: one place that decides what the workflow is told.
//!
//! The message is what ends in the status tag: an [`AwsError`] has put all that matters into it.

use ami_share_aws::error::AwsError;
use lambda_runtime::Diagnostic;

/// A request that was not served.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The request is not what this function takes.
    #[error("the request cannot be read: {0}")]
    BadRequest(String),
    /// The function was deployed wrongly.
    #[error("{0}")]
    Environment(String),
    /// AWS has not made yet what it was asked for, or does not know yet what it was told.
    #[error("{0}")]
    NotReady(String),
    /// What was just written is not what is read back.
    #[error("{0}")]
    NotSettled(String),
}

impl Failure {
    /// The error type by which the workflow's `Retry` knows what to do: `Busy` and `Retry` come again.
    fn error_type(&self) -> &'static str {
        match self {
            Self::Aws(AwsError::Busy(_)) | Self::NotSettled(_) => "Busy",
            Self::Aws(error) if error.fault().may_be_tried_again() => "Retry",
            Self::Aws(_) => "AwsFailed",
            Self::NotReady(_) => "NotReady",
            Self::BadRequest(_) => "BadRequest",
            Self::Environment(_) => "BadEnvironment",
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Diagnostic { error_type: failure.error_type().to_owned(), error_message: failure.to_string() }
    }
}
