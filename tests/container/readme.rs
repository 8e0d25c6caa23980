//! The command lines that stand in the README: what is tested is what is written there.

use std::fs;

use ami_share_tests::workspace;
use anyhow::{Context, Result, ensure};

/// The words of the one command of the README that begins like this. Lines that end with `\` go on in the next one.
pub fn command(beginning: &str) -> Result<Vec<String>> {
    let readme = fs::read_to_string(workspace::file("README.md")).context("reading the README")?;
    let joined = readme.replace("\\\n", " ");
    let mut found = joined.lines().map(str::trim).filter(|line| line.starts_with(&format!("{beginning} ")));
    let line = found.next().with_context(|| format!("the README has no `{beginning}`"))?;
    ensure!(found.next().is_none(), "the README has `{beginning}` twice");
    Ok(line.split_whitespace().map(for_this_machine).collect())
}

/// Another architecture than this machine's needs a Rust target that may not be installed.
fn for_this_machine(selector: &str) -> String {
    match selector.strip_prefix("Architecture=") {
        Some(_) => format!("Architecture={}", architecture()),
        None => selector.to_owned(),
    }
}

/// This machine's architecture, as Lambda calls it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}
