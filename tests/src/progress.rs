//! Says what is going on, on standard error, so that standard output stays free for results.

use std::process::ExitCode;

use anyhow::Result;

/// One line of progress.
pub fn say(line: impl AsRef<str>) {
    eprintln!("  {}", line.as_ref());
}

/// Says why a command like `cargo demo` failed, if it did; answers what it exits with.
pub fn end(command: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
