//! A failed call of AWS: which call, on what, what AWS said, and whether the same call may succeed later.

use std::error::Error as StdError;

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// What kind of failure a call met.
///
/// This is the one place that decides what may be retried ([`Fault::is_retryable`]); the workflows learn it from
/// the error type that `ami_share_lambda::Failure` derives from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// AWS throttles the calls.
    Throttled,
    /// The network or the service failed for a moment.
    Transient,
    /// IAM, or a resource's policy, does not allow it.
    Denied,
    /// The resource does not exist, or no longer exists.
    Missing,
    /// The image is pending, disabled or gone: only `DescribeImages` says which.
    Unavailable,
    /// AWS does not accept an item of the request: an unknown principal, a closed account.
    Rejected,
    /// The condition of a write does not hold, or the name exists already.
    Condition,
    /// Anything else.
    Other,
}

impl Fault {
    /// Whether the same call may succeed later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Throttled | Self::Transient | Self::Unavailable => true,
            Self::Denied | Self::Missing | Self::Rejected | Self::Condition | Self::Other => false,
        }
    }

    /// By the error codes that the services document. Sources:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>,
    /// <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>,
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
    /// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html>,
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
    /// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>,
    /// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
    pub(crate) fn from_code(code: &str) -> Self {
        match code {
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "Throttled"
            | "KMSThrottling"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "RequestThrottled"
            | "SlowDown"
            | "ExecutionLimitExceeded"
            | "EC2ThrottledException" => Self::Throttled,
            "InternalError"
            | "InternalFailure"
            | "InternalServerError"
            | "InternalServerException"
            | "InternalException"
            | "ServiceException"
            | "ServiceUnavailable"
            | "Unavailable"
            | "KMSInternalException"
            | "DependencyTimeoutException"
            | "ConcurrentModificationException"
            | "TransactionConflictException"
            | "TransactionInProgressException"
            | "OperationAborted"
            | "RequestTimeout" => Self::Transient,
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "AuthorizationError" => {
                Self::Denied
            }
            "InvalidAMIID.Unavailable" => Self::Unavailable,
            "InvalidAMIID.NotFound"
            | "InvalidSnapshot.NotFound"
            | "NotFoundException"
            | "ResourceNotFoundException"
            | "NotFound"
            | "NoSuchKey"
            | "NoSuchBucket"
            | "StateMachineDoesNotExist"
            | "StateMachineDeleting"
            | "AWSOrganizationsNotInUseException" => Self::Missing,
            "MalformedPolicyDocumentException"
            | "InvalidAMIAttributeItemValue"
            | "InvalidParameterValue"
            | "InvalidUserID.Malformed"
            | "InvalidUserId.Malformed"
            | "InvalidUserID.NotFound" => Self::Rejected,
            "ConditionalCheckFailedException"
            | "TransactionCanceledException"
            | "ConflictException"
            | "ExecutionAlreadyExists" => Self::Condition,
            // How EC2 names what it does not find, of whatever type.
            code if code.ends_with(".NotFound") => Self::Missing,
            _ => Self::Other,
        }
    }
}

type Source = Box<dyn StdError + Send + Sync>;

/// A call of AWS that failed, that AWS answered unusably, or that has to wait.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The call failed.
    #[error("{call} of {subject} failed: {message}")]
    Call {
        /// The call as IAM names it: `kms:PutKeyPolicy`.
        call: &'static str,
        /// The resource.
        subject: String,
        /// What kind of failure it was.
        fault: Fault,
        /// What AWS said.
        message: String,
        /// The SDK's own error.
        #[source]
        source: Source,
    },
    /// The request is incomplete, so it was not sent.
    #[error("{call} of {subject} was not sent: {source}")]
    Request {
        /// The call as IAM names it.
        call: &'static str,
        /// The resource.
        subject: String,
        /// What the request lacks.
        source: Source,
    },
    /// AWS answered, and the answer cannot be used.
    #[error("{call} of {subject} returned {what}")]
    Answer {
        /// The call as IAM names it.
        call: &'static str,
        /// The resource.
        subject: String,
        /// What is wrong with the answer: `an image without an owner`.
        what: String,
        /// Why a part of the answer could not be parsed.
        #[source]
        source: Option<Source>,
    },
    /// AWS accepted a part of the request. The rest may be sent again.
    #[error("{call} of {subject} is unfinished: {left}")]
    Unfinished {
        /// The call as IAM names it.
        call: &'static str,
        /// The resource.
        subject: String,
        /// What is left, and why.
        left: String,
    },
    /// Another writer is at work. The text says which one.
    #[error("{0}; the workflow tries again")]
    Busy(String),
}

impl AwsError {
    /// Another invocation holds the lease of `resource`.
    pub(crate) fn leased(resource: &str) -> Self {
        Self::Busy(format!("another invocation holds the lease of {resource}"))
    }

    /// What kind of failure it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Call { fault, .. } => *fault,
            Self::Request { .. } | Self::Answer { .. } => Fault::Other,
            Self::Unfinished { .. } | Self::Busy(_) => Fault::Transient,
        }
    }
}

/// Names the call and its subject when a call fails.
pub trait Explain<T> {
    /// `call` as IAM names it (`kms:PutKeyPolicy`), `subject` as people name it (an id, an ARN).
    ///
    /// # Errors
    /// The failure, classified.
    fn explain(self, call: &'static str, subject: &(impl ToString + ?Sized)) -> Result<T, AwsError>;
}

impl<T, E> Explain<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn explain(self, call: &'static str, subject: &(impl ToString + ?Sized)) -> Result<T, AwsError> {
        self.map_err(|error| {
            let server_error =
                error.raw_response().map(HttpResponse::status).filter(|status| status.is_server_error());
            let fault = match &error {
                SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                    Fault::Transient
                }
                SdkError::ServiceError(_) => match error.code().map_or(Fault::Other, Fault::from_code) {
                    // No code, or an unknown one: a proxy between this function and the service may have answered.
                    Fault::Other if server_error.is_some() => Fault::Transient,
                    fault => fault,
                },
                // The SDK could not build the request. (The enum may grow.)
                SdkError::ConstructionFailure(_) | _ => Fault::Other,
            };
            let message = match (error.code(), error.message(), server_error) {
                (Some(code), Some(message), _) => format!("{message} ({code})"),
                (Some(code), None, _) => code.to_owned(),
                (None, _, Some(status)) => format!("HTTP status {status}"),
                // AWS said nothing: the network failed, or the call timed out. The causes say which.
                (None, _, None) => DisplayErrorContext(&error).to_string(),
            };
            AwsError::Call { call, subject: subject.to_string(), fault, message, source: Box::new(error) }
        })
    }
}

/// A request that the SDK cannot build.
pub(crate) fn incomplete_request(
    call: &'static str,
    subject: &(impl ToString + ?Sized),
    source: impl Into<Source>,
) -> AwsError {
    AwsError::Request { call, subject: subject.to_string(), source: source.into() }
}

/// An answer without what AWS documents it to have.
pub(crate) fn unusable_answer(
    call: &'static str,
    subject: &(impl ToString + ?Sized),
    what: impl Into<String>,
) -> AwsError {
    AwsError::Answer { call, subject: subject.to_string(), what: what.into(), source: None }
}

/// An answer of which a part cannot be parsed: `what`, and why.
pub(crate) fn unreadable_answer(
    call: &'static str,
    subject: &(impl ToString + ?Sized),
    what: &str,
    source: impl Into<Source>,
) -> AwsError {
    let source = source.into();
    let what = format!("{what}: {source}");
    AwsError::Answer { call, subject: subject.to_string(), what, source: Some(source) }
}
