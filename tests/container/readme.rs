//! The command lines that stand in the documents: what is tested is what is written there.

use std::fs;

use ami_share_tests::workspace;
use anyhow::{Context, Result, ensure};

/// The documents that say how to build and how to try a function.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/deploy.md", "docs/local.md"];

/// The words of the command that begins like this; where several documents have it, they must agree. Lines that end
/// with `\` go on in the next one.
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
