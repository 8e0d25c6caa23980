//! What ami-share is built of: which crates may be part of it, what its bills of materials say, and whether the
//! workflows that build a release are sound. The tools are pinned, and compiled on the first run.

mod bills;
mod crates;
mod workflows;

use std::process::Command;

use ami_share_tests::{install, workspace};
use anyhow::{Context, Result, ensure};

/// Runs a tool; what it says is shown only where it failed.
fn run(command: &mut Command) -> Result<()> {
    let said = command.output().with_context(|| format!("running {command:?}"))?;
    let words = [said.stdout, said.stderr].concat();
    ensure!(said.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&words));
    Ok(())
}

/// A tool of Python's, out of the environment that `tests/supply_chain/requirements.txt` pins.
fn python(tool: &str) -> Result<Command> {
    let python = install::python_for("supply-chain", "tests/supply_chain/requirements.txt")?;
    let mut command = Command::new(python.with_file_name(tool));
    command.current_dir(workspace::root());
    Ok(command)
}
