//! Counts the calls of AWS, each try of them, and how many of them AWS answered with *later*.
//!
//! It hangs in every client that [`Clients`](crate::clients::Clients) makes, as an interceptor of the SDK, so
//! no call has to think of it. It cannot see the `sts:AssumeRole` by which the SDK itself gets credentials.

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
    /// Tries, the first ones included.
    pub tries: usize,
    /// Those that were throttled.
    pub throttled: usize,
}

/// The calls of this process since they were last asked for.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, Tally>>>);

impl Calls {
    /// The calls so far, by service as the SDK names it (`EC2`, `KMS`); from now on they are counted anew.
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

    // Counted as it is sent: a call that is given up while it is under way (another one beside it has failed) has been
    // made all the same.
    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.count(bag, |tally| tally.tries += 1);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The SDK's own judgement, by the error codes of all services.
        let mut actions = components.retry_classifiers().map(|one| one.classify_retry(context.inner()));
        if actions.any(|action| is_throttling(&action)) {
            self.count(bag, |tally| tally.throttled += 1);
        }
        Ok(())
    }
}

/// Whether the SDK would try again because it was too fast.
fn is_throttling(action: &RetryAction) -> bool {
    matches!(
        action,
        RetryAction::RetryIndicated(RetryReason::RetryableError { kind: ErrorKind::ThrottlingError, .. })
    )
}
