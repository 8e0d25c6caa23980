//! The time, and pauses: those of the SDK's configuration, so that a test has one clock for the SDK and for ami-share.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, Sleep, TokioSleep};
use aws_smithy_async::time::SharedTimeSource;
use jiff::Timestamp;

/// Knows the time and waits.
#[derive(Debug, Clone)]
pub struct Clock {
    time: SharedTimeSource,
    sleep: SharedAsyncSleep,
}

impl Clock {
    /// The clock of a configuration.
    pub fn of(config: &SdkConfig) -> Self {
        Self {
            time: config.time_source().unwrap_or_default(),
            sleep: config.sleep_impl().unwrap_or_else(|| SharedAsyncSleep::new(TokioSleep::new())),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        // A clock outside the years that a timestamp can hold is wrong, and the earliest moment grants nothing.
        Timestamp::try_from(self.time.now()).unwrap_or(Timestamp::MIN)
    }

    /// Waits so long.
    pub fn pause(&self, duration: Duration) -> Sleep {
        use aws_smithy_async::rt::sleep::AsyncSleep as _;
        self.sleep.sleep(duration)
    }
}
