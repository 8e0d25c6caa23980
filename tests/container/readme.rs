//! The command lines of the documents: the tests run exactly these.

use std::fs;

use ami_share_tests::workspace;
use anyhow::{Context, Result, ensure};

/// The documents that say how to build and how to run a function.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/deploy.md", "docs/local.md"];

/// The arguments of the command that begins with `beginning`; all documents that have it must agree. A `\` at the end
/// of a line continues it.
pub fn command(beginning: &str) -> Result<Vec<String>> {
    let mut text = String::new();
    for document in DOCUMENTS {
        text +=
            &fs::read_to_string(workspace::file(document)).with_context(|| format!("reading {document}"))?;
    }
    let joined = text.replace("\\\n", " ");
    let mut found = joined.lines().map(str::trim).filter(|line| line.starts_with(&format!("{beginning} ")));
    let line = found.next().with_context(|| format!("no document has `{beginning}`"))?;
    ensure!(found.all(|other| other == line), "the documents have `{beginning}` in more than one way");
    Ok(line.split_whitespace().map(for_this_machine).collect())
}

/// Another architecture than this machine's needs a Rust target that may not be installed.
fn for_this_machine(argument: &str) -> String {
    match argument.strip_prefix("Architecture=") {
        Some(_) => format!("Architecture={}", architecture()),
        None => argument.to_owned(),
    }
}

/// This machine's architecture, as Lambda calls it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}
