//! Prints progress on standard error, so that standard output has results only.

use std::process::ExitCode;

use anyhow::Result;

/// Prints one line of progress.
pub fn say(line: impl AsRef<str>) {
    eprintln!("  {}", line.as_ref());
}

/// Prints why a command like `cargo demo` failed, if it did; returns its exit code.
pub fn end(command: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
