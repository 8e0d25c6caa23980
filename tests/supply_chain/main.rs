//! The supply chain of ami-share: which crates it may use, what its bills of materials contain, and whether the
//! workflows that build a release are safe. The tools are pinned, and compiled on the first run.

mod bills;
mod crates;
mod workflows;

use std::process::Command;

use ami_share_tests::{install, workspace};
use anyhow::{Context, Result, ensure};

/// Runs a tool; shows its output only if it fails.
fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let printed = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&printed));
    Ok(())
}

/// A Python tool from the environment that `tests/supply_chain/requirements.txt` pins.
fn python(tool: &str) -> Result<Command> {
    let python = install::python_for("supply-chain", "tests/supply_chain/requirements.txt")?;
    let mut command = Command::new(python.with_file_name(tool));
    command.current_dir(workspace::root());
    Ok(command)
}
