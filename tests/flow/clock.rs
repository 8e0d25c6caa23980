//! Helps the tests with time: moments as tags, statuses and schedules write them, and waiting for one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};

use crate::fixture::Fixture;
use crate::revocation::{assert_has_all, shared_with_copy};

/// The seconds of one day.
pub const DAY: i64 = 86_400;

/// Now, in whole seconds since 1970.
pub fn now() -> Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
    Ok(since.as_secs().try_into()?)
}

/// How many seconds ahead an expiry must be so that a test finishes its earlier steps in time on this machine, as busy
/// as it is now. Measures how long it takes to create, share and use an image; a test may do about twice as much.
pub async fn far_enough(fixture: &Fixture) -> Result<i64> {
    let began = Instant::now();
    let b = fixture.target_account("measured").await?;
    let golden = shared_with_copy(fixture, "measured", &b.id).await?;
    assert_has_all(fixture, &b, &golden).await?;
    Ok(15 + 4 * i64::try_from(began.elapsed().as_secs())?)
}

/// A moment as `ami-share:until` has it: `2026-12-31T18:00:00Z`.
pub fn written(moment: i64) -> Result<String> {
    Ok(DateTime::from_secs(moment).fmt(DateTimeFormat::DateTime)?)
}

/// A moment as the status has it: `2026-12-31 18:00 UTC`.
pub fn in_status(moment: i64) -> Result<String> {
    let (date, time) = date_and_time(moment)?;
    Ok(format!("{date} {} UTC", &time[..5]))
}

/// The expression of the schedule for a moment: the start of its minute.
pub fn at_its_minute(moment: i64) -> Result<String> {
    let (date, time) = date_and_time(moment)?;
    Ok(format!("at({date}T{}:00)", &time[..5]))
}

/// Waits until a moment has come.
pub async fn sleep_until(moment: i64) -> Result<()> {
    while now()? < moment {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn date_and_time(moment: i64) -> Result<(String, String)> {
    let text = written(moment)?;
    let (date, time) = text.split_once('T').context("no time of day")?;
    Ok((date.to_owned(), time.to_owned()))
}
