//! How the SDK calls AWS: its retries, its time-outs, and its rate.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// Attempts for one call, the first one included. The workflows wait longer than that.
const ATTEMPTS: u32 = 6;
/// The same in adaptive retry mode, for services that allow only a few calls a second.
const ADAPTIVE_ATTEMPTS: u32 = 10;
/// One call with all its attempts; shorter than a lease lasts.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The same in adaptive retry mode, in which the SDK holds calls back. No lease is held meanwhile.
const ADAPTIVE_CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The configuration of a function: Region and credentials of the environment. An empty `endpoint` means AWS itself.
pub(super) async fn load(endpoint: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).retry_config(retries).timeout_config(timeouts);
    if !endpoint.is_empty() {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

/// The same configuration in adaptive retry mode.
pub(super) fn adaptive(config: &SdkConfig) -> SdkConfig {
    let timeouts = config.timeout_config().map(TimeoutConfig::to_builder).unwrap_or_default();
    let timeouts = timeouts.operation_timeout(ADAPTIVE_CALL_TIMEOUT).build();
    // Where retries are disabled, they stay disabled.
    let attempts = config.retry_config().map_or(1, RetryConfig::max_attempts);
    let attempts = if attempts > 1 { ADAPTIVE_ATTEMPTS } else { 1 };
    let retries = RetryConfig::adaptive().with_max_attempts(attempts);
    config.to_builder().retry_config(retries).timeout_config(timeouts).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptive_clients_retry_more_often_unless_retries_are_disabled() {
        let attempts = |retries| {
            let config = adaptive(&SdkConfig::builder().retry_config(retries).build());
            config.retry_config().map(RetryConfig::max_attempts)
        };
        assert_eq!(attempts(RetryConfig::standard()), Some(ADAPTIVE_ATTEMPTS));
        assert_eq!(attempts(RetryConfig::disabled()), Some(1));
    }

    /// The SDK may hold a throttled call back for ten seconds before it tries again: a retry costs five tokens, and at
    /// the lowest rate there is one token every two seconds.
    #[test]
    fn adaptive_calls_have_more_time() {
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
        let config = SdkConfig::builder().timeout_config(timeouts).build();
        let time = |config: &SdkConfig| config.timeout_config()?.operation_timeout();
        assert_eq!(time(&config), Some(CALL_TIMEOUT));
        assert_eq!(time(&adaptive(&config)), Some(ADAPTIVE_CALL_TIMEOUT));
    }
}
