//! A failed call: which, on what, and whether it may be tried again.

use std::error::Error as StdError;

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// What kind of failure a call met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too many calls; later it works.
    Throttled,
    /// The network or the service; later it works.
    Transient,
    /// IAM, or a resource's policy, does not allow it.
    Denied,
    /// The thing does not exist (any more).
    Missing,
    /// An item of the request is one that AWS does not accept: an unknown principal, a closed account.
    Rejected,
    /// A condition on a write did not hold, or the name is taken.
    Condition,
    /// Anything else.
    Other,
}

impl Fault {
    /// Whether the same call may succeed later.
    pub fn may_be_tried_again(self) -> bool {
        match self {
            Self::Throttled | Self::Transient => true,
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
            "InvalidAMIID.NotFound"
            | "InvalidAMIID.Unavailable"
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

/// A call to AWS that failed, or an answer that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The call failed.
    #[error("{call} of {subject} failed: {message}")]
    Call {
        /// The call as IAM names it: `kms:PutKeyPolicy`.
        call: &'static str,
        /// What it was about.
        subject: String,
        /// What kind of failure it was.
        fault: Fault,
        /// What AWS said.
        message: String,
        /// The SDK's own error.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer lacks or garbles something.
    #[error("{call} of {subject} answered {what}")]
    Answer {
        /// The call as IAM names it.
        call: &'static str,
        /// What it was about.
        subject: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// AWS did a part of what was asked for; what is left may be asked for again.
    #[error("{call} of {subject} is unfinished: {left}")]
    Unfinished {
        /// The call as IAM names it.
        call: &'static str,
        /// What it was about.
        subject: String,
        /// What is left to do, and why.
        left: String,
    },
    /// Another writer has the resource.
    #[error("another writer has {0}; it is this one's turn later")]
    Busy(String),
}

impl AwsError {
    /// What kind of failure it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Call { fault, .. } => *fault,
            Self::Answer { .. } => Fault::Other,
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
            let stumbled =
                error.raw_response().map(HttpResponse::status).filter(|status| status.is_server_error());
            let fault = match &error {
                SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                    Fault::Transient
                }
                SdkError::ServiceError(_) => match error.code().map_or(Fault::Other, Fault::from_code) {
                    // A code that nobody knows, or none: a page of something between us and the service.
                    Fault::Other if stumbled.is_some() => Fault::Transient,
                    fault => fault,
                },
                // Not even sent: trying again changes nothing. (The enum may grow.)
                SdkError::ConstructionFailure(_) | _ => Fault::Other,
            };
            let message = match (error.code(), error.message(), stumbled) {
                (Some(code), Some(message), _) => format!("{message} ({code})"),
                (Some(code), None, _) => code.to_owned(),
                (None, _, Some(status)) => format!("HTTP status {status}"),
                // Nothing that AWS said: the network, a time-out. Then the causes say it.
                (None, _, None) => DisplayErrorContext(&error).to_string(),
            };
            AwsError::Call { call, subject: subject.to_string(), fault, message, source: Box::new(error) }
        })
    }
}

/// An answer that lacks what AWS documents it to have.
pub(crate) fn lacks(
    call: &'static str,
    subject: &(impl ToString + ?Sized),
    what: impl Into<String>,
) -> AwsError {
    AwsError::Answer { call, subject: subject.to_string(), what: what.into() }
}
