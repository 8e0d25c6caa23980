//! The simulated AWS's own rules, and the template's lint: Python's tests and tools, run as part of `cargo test`.

use std::process::Command;

use ami_share_tests::{install, workspace};
use anyhow::{Context, Result, ensure};

/// Runs a Python module of `tests/` in the installed environment; its output goes straight through.
fn python(arguments: &[&str]) -> Result<()> {
    let status = Command::new(install::python()?)
        .args(arguments)
        .current_dir(workspace::root())
        .env("PYTHONPATH", workspace::file("tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .context("starting Python")?;
    ensure!(status.success(), "`python {}` failed; see its output above", arguments.join(" "));
    Ok(())
}

#[test]
fn the_simulated_aws_keeps_the_rules_that_aws_documents() -> Result<()> {
    // `-rs` names each skipped test with its reason.
    python(&["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/simulated_aws_rules"])
}

#[test]
fn the_expanded_template_passes_cfn_lint() -> Result<()> {
    python(&["-m", "simulated_aws.lint", "template.yaml"])
}
