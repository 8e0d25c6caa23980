//! How ami-share repeats what AWS, or another writer, is likely to accept a moment later.
//!
//! The SDK retries each call on its own, and the workflows retry whole steps after seconds. Between the two stand the
//! loops of this module: a lease that another writer holds, a batch that a service accepted in part, a policy that AWS
//! does not show yet. All of them wait in the same way: each pause is twice as long as the one before, up to
//! [`LONGEST_PAUSE`], plus a random part of up to as much again, so that writers that started together do not
//! collide forever. Attempts and total waiting time are bounded.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable, RetryableWithContext};

use crate::clock::Clock;

/// The longest pause without its random part.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The lease of a key or an image. The step waits inside a Lambda function, so the wait is short; the workflow retries
/// the step.
pub const LEASE: Policy = Policy {
    attempts: 15,
    first_pause: Duration::from_millis(50),
    total_pause: Duration::from_millis(2_750),
};
/// A batch of which DynamoDB leaves some items unprocessed.
pub const BATCH: Policy =
    Policy { attempts: 5, first_pause: Duration::from_millis(30), total_pause: Duration::from_secs(1) };
/// Events or messages that EventBridge or SNS does not accept at the moment.
pub const SEND: Policy =
    Policy { attempts: 3, first_pause: Duration::from_millis(100), total_pause: Duration::from_millis(600) };
/// A write that AWS accepted and does not show yet: EC2 and KMS are eventually consistent.
pub const READ_BACK: Policy =
    Policy { attempts: 8, first_pause: Duration::from_millis(50), total_pause: Duration::from_secs(2) };

/// How often, and for how long, an operation is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The most attempts, the first one included.
    attempts: usize,
    /// The pause before the second attempt, without its random part.
    first_pause: Duration,
    /// The sum that the pauses never exceed.
    total_pause: Duration,
}

impl Policy {
    /// Repeats `operation` while `is_retryable` accepts its error.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn retry<T, E, F>(
        self,
        clock: &Clock,
        operation: impl FnMut() -> F,
        is_retryable: impl FnMut(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let clock = clock.clone();
        let pause = move |pause| clock.pause(pause);
        Retryable::retry(operation, self.backoff()).sleep(pause).when(is_retryable).await
    }

    /// Reads until `is_settled`; after the last attempt, what was read last. A read that fails ends it.
    ///
    /// # Errors
    /// The error of the read that failed.
    pub async fn read_until<T, E>(
        self,
        clock: &Clock,
        read: impl AsyncFn() -> Result<T, E>,
        is_settled: impl Fn(&T) -> bool,
    ) -> Result<T, E> {
        enum Unsettled<T, E> {
            Read(T),
            Failed(E),
        }
        let (read, is_settled) = (&read, &is_settled);
        let attempt = || async move {
            match read().await {
                Ok(read) if is_settled(&read) => Ok(read),
                Ok(read) => Err(Unsettled::Read(read)),
                Err(error) => Err(Unsettled::Failed(error)),
            }
        };
        match self.retry(clock, attempt, |unsettled| matches!(unsettled, Unsettled::Read(_))).await {
            Ok(read) | Err(Unsettled::Read(read)) => Ok(read),
            Err(Unsettled::Failed(error)) => Err(error),
        }
    }

    /// As [`Self::retry`], for an operation with a state that goes from one attempt to the next, such as the rest of a batch.
    /// The state after the last attempt is returned, whatever became of it.
    pub async fn retry_with<S, T, E>(
        self,
        clock: &Clock,
        state: S,
        operation: impl AsyncFn(&mut S) -> Result<T, E>,
        is_retryable: impl FnMut(&E) -> bool,
    ) -> (S, Result<T, E>) {
        let operation = &operation;
        let attempt = move |mut state: S| async move {
            let result = operation(&mut state).await;
            (state, result)
        };
        let clock = clock.clone();
        let retry = RetryableWithContext::retry(attempt, self.backoff());
        retry.sleep(move |pause| clock.pause(pause)).context(state).when(is_retryable).await
    }

    fn backoff(self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_total_delay(Some(self.total_pause))
            .with_jitter()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use backon::BackoffBuilder;

    use super::*;

    fn clock() -> Clock {
        Clock::of(&aws_config::SdkConfig::builder().build())
    }

    fn pauses(policy: Policy) -> Vec<Duration> {
        policy.backoff().build().collect()
    }

    #[test]
    fn no_policy_waits_longer_or_tries_more_often_than_it_says() {
        for policy in [LEASE, BATCH, SEND, READ_BACK] {
            for _ in 0..100 {
                let pauses = pauses(policy);
                assert!(pauses.len() < policy.attempts, "{policy:?}: {pauses:?}");
                assert!(pauses.iter().sum::<Duration>() <= policy.total_pause, "{policy:?}: {pauses:?}");
            }
        }
    }

    #[test]
    fn the_random_part_of_a_pause_costs_a_batch_no_attempt() {
        for policy in [BATCH, SEND] {
            for _ in 0..100 {
                assert_eq!(pauses(policy).len(), policy.attempts - 1, "{policy:?}");
            }
        }
    }

    #[tokio::test]
    async fn only_a_retryable_error_is_retried() {
        let policy = Policy { first_pause: Duration::from_millis(1), ..SEND };
        for (error, attempts) in [("transient", 3), ("denied", 1)] {
            let attempt = async |count: &mut u32| {
                *count += 1;
                Err::<(), _>(error)
            };
            let (count, result) =
                policy.retry_with(&clock(), 0, attempt, |error| *error == "transient").await;
            assert_eq!((count, result), (attempts, Err(error)));
        }
    }

    #[tokio::test]
    async fn reading_ends_when_it_is_settled_or_fails_and_else_with_what_was_read_last() {
        let policy = Policy { first_pause: Duration::from_millis(1), ..SEND };
        for (settled_at, read) in [(2, Ok(2)), (9, Ok(3))] {
            let count = Cell::new(0);
            let attempt = async || {
                count.set(count.get() + 1);
                Ok::<_, ()>(count.get())
            };
            assert_eq!(policy.read_until(&clock(), attempt, |count| *count == settled_at).await, read);
        }
        assert_eq!(
            policy.read_until(&clock(), async || Err::<(), _>("denied"), |()| false).await,
            Err("denied")
        );
    }

    #[tokio::test]
    async fn an_attempt_that_succeeds_is_the_last_one() {
        let policy = Policy { first_pause: Duration::from_millis(1), ..SEND };
        let attempt = async |count: &mut u32| {
            *count += 1;
            if *count == 2 { Ok(()) } else { Err(()) }
        };
        assert_eq!(policy.retry_with(&clock(), 0, attempt, |()| true).await, (2, Ok(())));
    }
}
