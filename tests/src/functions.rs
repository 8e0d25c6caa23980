//! Builds the functions' binaries from this checkout.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::say;
use crate::{child, workspace};

/// Builds every binary of the workspace, with the features and the profile of `cargo test`, so that
/// nothing is compiled twice. Cargo's own progress is shown.
pub fn build() -> Result<()> {
    say("building the functions (the first time takes several minutes: the AWS SDK is large)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--workspace", "--bins"]).current_dir(workspace::root()).stdin(Stdio::null());
    let status = child::wait(&mut build.spawn().context("running cargo build")?, "cargo build")?;
    if !status.success() {
        bail!("the functions do not build; see cargo's output above");
    }
    Ok(())
}
