//! Waits for child processes so that a signal can end the wait, and the child with it.

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The time between two checks of a wait.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Ends every wait of this process, now and later.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Fails once [`interrupt`] was called.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits for the child. After [`interrupt`], kills the child and fails.
pub(crate) fn wait(child: &mut Child, name: &str) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for {name}"))? {
            return Ok(status);
        }
        if let Err(interrupted) = check() {
            child.kill().with_context(|| format!("killing {name}"))?;
            child.wait().with_context(|| format!("waiting for {name}"))?;
            return Err(interrupted);
        }
        pause();
    }
}

/// Sleeps until the next check.
#[allow(clippy::disallowed_methods, reason = "waits for a process, outside any async code")]
pub(crate) fn pause() {
    std::thread::sleep(PAUSE);
}
