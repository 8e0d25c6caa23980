//! What EventBridge and SNS answer to a batch: a verdict on each event or message. Those that failed transiently are
//! sent again.

use aws_sdk_eventbridge::types::PutEventsResultEntry;
use aws_sdk_sns::types::BatchResultErrorEntry;

use crate::clock::Clock;
use crate::error::{AwsError, Fault, unusable_answer};
use crate::retry;

/// Why one event or message of a batch was not accepted.
#[derive(Debug)]
pub(super) struct Rejection {
    /// What AWS said.
    pub(super) reason: String,
    /// Whether it may be accepted later.
    pub(super) is_transient: bool,
}

/// What became of one event or message of a batch.
pub(super) type Verdict = Result<(), Rejection>;

/// A batch on its way: its items, and the last verdict on each, in their order. Empty before the first call.
struct Batch<T> {
    items: Vec<T>,
    verdicts: Vec<Verdict>,
}

/// Why a batch is not settled.
enum Unsettled {
    /// The first call failed, so there are no verdicts.
    Failed(AwsError),
    /// Some items failed transiently.
    Transient,
}

/// Sends items, and those again that failed transiently. Returns the last verdict on each, in their order.
pub(super) async fn send_in_rounds<T: Clone>(
    clock: &Clock,
    items: Vec<T>,
    send: impl AsyncFn(Vec<T>) -> Result<Vec<Verdict>, AwsError>,
) -> Result<Vec<Verdict>, AwsError> {
    let round = async |Batch { items, verdicts }: &mut Batch<T>| {
        if verdicts.is_empty() {
            *verdicts = send(items.clone()).await.map_err(Unsettled::Failed)?;
        } else {
            send_again(items, verdicts, &send).await;
        }
        if verdicts.iter().any(is_transient) { Err(Unsettled::Transient) } else { Ok(()) }
    };
    let batch = Batch { items, verdicts: Vec::new() };
    let is_retryable = |unsettled: &Unsettled| matches!(unsettled, Unsettled::Transient);
    match retry::SEND.retry_with(clock, batch, round, is_retryable).await {
        (_, Err(Unsettled::Failed(error))) => Err(error),
        // What is still transient is for the caller to report.
        (Batch { verdicts, .. }, Ok(()) | Err(Unsettled::Transient)) => Ok(verdicts),
    }
}

/// Replaces the verdicts on the items that failed transiently.
async fn send_again<T: Clone>(
    items: &[T],
    verdicts: &mut [Verdict],
    send: impl AsyncFn(Vec<T>) -> Result<Vec<Verdict>, AwsError>,
) {
    let (places, failed): (Vec<_>, Vec<T>) = verdicts
        .iter_mut()
        .zip(items)
        .filter(|(verdict, _)| is_transient(verdict))
        .map(|(verdict, item)| (verdict, item.clone()))
        .unzip();
    match send(failed).await {
        Ok(later) => places.into_iter().zip(later).for_each(|(place, later)| *place = later),
        // The earlier verdicts stay: an accepted item must not be sent again.
        Err(error) => tracing::info!(%error, "a part of a batch could not be sent again"),
    }
}

fn is_transient(verdict: &Verdict) -> bool {
    matches!(verdict, Err(rejection) if rejection.is_transient)
}

/// The verdict on an event. Source:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
pub(super) fn verdict_on_event(entry: &PutEventsResultEntry) -> Verdict {
    let Some(code) = entry.error_code() else { return Ok(()) };
    let reason = reason(code, entry.error_message());
    Err(Rejection { reason, is_transient: Fault::from_code(code).is_retryable() })
}

/// Why a message was not accepted. Source: <https://docs.aws.amazon.com/sns/latest/api/API_BatchResultErrorEntry.html>
pub(super) fn rejection_of_message(failed: &BatchResultErrorEntry) -> Rejection {
    let code = failed.code();
    let is_transient = !failed.sender_fault() || Fault::from_code(code).is_retryable();
    Rejection { reason: reason(code, failed.message()), is_transient }
}

fn reason(code: &str, message: Option<&str>) -> String {
    message.map_or_else(|| code.to_owned(), |message| format!("{message} ({code})"))
}

/// An error unless every item was accepted. Of several rejections, a permanent one is reported first.
pub(super) fn require_all_accepted(
    call: &'static str,
    subject: &str,
    verdicts: Vec<Verdict>,
) -> Result<(), AwsError> {
    let rejection =
        verdicts.into_iter().filter_map(Result::err).min_by_key(|rejection| rejection.is_transient);
    match rejection {
        None => Ok(()),
        Some(Rejection { reason, is_transient: true }) => Err(unfinished(call, subject, &reason)),
        Some(Rejection { reason, is_transient: false }) => {
            Err(unusable_answer(call, subject, format!("a rejection: {reason}")))
        }
    }
}

pub(super) fn unfinished(call: &'static str, subject: &str, left: &str) -> AwsError {
    AwsError::Unfinished { call, subject: subject.to_owned(), left: left.to_owned() }
}
