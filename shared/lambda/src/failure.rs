//! Why a request failed, and the error type by which the workflow decides whether to retry.
//!
//! The message ends up in the status tag, so it names the call, the resource and what AWS said.

use ami_share_aws::error::AwsError;
use lambda_runtime::Diagnostic;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A call of AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The request is not the document that this function expects.
    #[error("the request cannot be read: {0}")]
    BadRequest(String),
    /// The function is deployed with a wrong environment.
    #[error("{0}")]
    Environment(String),
    /// AWS has not finished what was requested, or does not apply a change yet.
    #[error("{0}")]
    NotReady(String),
    /// AWS does not show yet what was written.
    #[error("{0}")]
    NotSettled(String),
}

impl Failure {
    /// The error type that the `Retry` of the workflows knows. They retry `Busy`, `Retry` and `NotReady`. Which failures
    /// of AWS are retryable is decided in [`Fault::is_retryable`](ami_share_aws::error::Fault::is_retryable).
    fn error_type(&self) -> &'static str {
        match self {
            Self::Aws(AwsError::Busy(_)) | Self::NotSettled(_) => "Busy",
            Self::Aws(error) => match error.fault().is_retryable() {
                true => "Retry",
                false => "AwsFailed",
            },
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
