//! Counts the calls of AWS: each attempt, and how many of them AWS throttled.
//!
//! Every client that [`Clients`](crate::clients::Clients) makes has this interceptor of the SDK. It does not see the
//! `sts:AssumeRole` with which the SDK itself gets credentials.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_ec2::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::classifiers::RetryReason;
use aws_smithy_types::retry::ErrorKind;

/// How often a service was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Attempts, the first ones included.
    pub attempts: usize,
    /// The attempts that were throttled.
    pub throttled: usize,
}

/// The calls of this process since they were last taken.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, Tally>>>);

impl Calls {
    /// The calls so far, by service as the SDK names it (`EC2`, `KMS`). Counting starts again from zero.
    pub fn take(&self) -> BTreeMap<String, Tally> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, bag: &ConfigBag, count: impl FnOnce(&mut Tally)) {
        let service = bag.load::<Metadata>().map_or("unknown", Metadata::service);
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count(calls.entry(service.to_owned()).or_default());
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    // Counted as it is sent: AWS also counts a call that is cancelled in flight because a concurrent one failed.
    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.count(bag, |tally| tally.attempts += 1);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The SDK's own classification, by the error codes of all services.
        let mut actions =
            components.retry_classifiers().map(|classifier| classifier.classify_retry(context.inner()));
        if actions.any(|action| is_throttling(&action)) {
            self.count(bag, |tally| tally.throttled += 1);
        }
        Ok(())
    }
}

/// Whether the SDK retries because the service throttled the call.
fn is_throttling(action: &RetryAction) -> bool {
    matches!(
        action,
        RetryAction::RetryIndicated(RetryReason::RetryableError { kind: ErrorKind::ThrottlingError, .. })
    )
}
