//! Says what is going on, on standard error, so that standard output stays free for results.

/// One line of progress.
pub fn say(line: impl AsRef<str>) {
    eprintln!("  {}", line.as_ref());
}
