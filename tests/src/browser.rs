//! Looks at a page in a real browser, with the checks of `tests/access_review_page`.
//!
//! What drives the browser is pinned and goes into a virtual environment; the browser is Debian's, and goes
//! beside it. Both are fetched once, into `target/browser`; nothing is installed on the machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{install, workspace};

/// The checks, their requirements beside them.
const CHECKS: &str = "tests/access_review_page";

/// What came of a look that found nothing wrong.
#[derive(Debug)]
pub enum Report {
    /// The page was looked at.
    Seen {
        /// The browser, with its version.
        browser: String,
        /// Pictures of the page, for people.
        pictures: Vec<PathBuf>,
    },
    /// This machine has no way to get a browser, and nothing was looked at; why not is said on standard error.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// Looks at a page of an access review: that it is drawn as it should be, sorts, filters, and asks for nothing.
///
/// Pictures go to `target/access-review-page`. The first look fetches the browser, about 100 MB.
///
/// # Errors
/// When a check fails, with all that the checks said; or when what they need cannot be fetched.
pub fn reconcile(page: &Path) -> Result<Report> {
    trigger(page, &[])
}

/// Does as [`reconcile`], but only with those checks whose names pytest's expression selects; for a page so long
/// that each check takes seconds.
///
/// # Errors
/// As [`reconcile`]; also when there is no such check.
pub fn review_trigger(page: &Path, checks: &str) -> Result<Report> {
    trigger(page, &["-k", checks])
}

fn trigger(page: &Path, selection: &[&str]) -> Result<Report> {
    let stem = page.file_stem().context("a page has a name")?.to_string_lossy().into_owned();
    let pictures = workspace::target().join("access-review-page");
    let checks = Command::new(install::python_for("browser", &format!("{CHECKS}/requirements.txt"))?)
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", CHECKS])
        .args(selection)
        .current_dir(workspace::root())
        .env("AMI_SHARE_ACCESS_REVIEW_HTML", page)
        .env("AMI_SHARE_BROWSER_HOME", home().join("chromium"))
        .env("AMI_SHARE_PICTURES", &pictures)
        .env("PYTHONPATH", workspace::file("tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .context("starting Python")?;
    let said = [checks.stdout, checks.stderr].concat();
    ensure!(checks.status.success(), "looking at {}:\n{}", page.display(), String::from_utf8_lossy(&said));
    let report = fs::read(pictures.join(format!("{stem}.json"))).context("reading what was looked at")?;
    let report = read(&serde_json::from_slice(&report).context("reading what was looked at")?);
    if let Report::Skipped { reason } = &report {
        // Not `eprintln!`, which a test that passes keeps to itself.
        writeln!(std::io::stderr(), "  SKIPPED: nobody looked at {}: {reason}", page.display())?;
    }
    Ok(report)
}

fn read(report: &Value) -> Report {
    let text = |name: &str| report.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(reason) = text("skipped") {
        return Report::Skipped { reason };
    }
    let pictures = report.get("pictures").and_then(Value::as_array).into_iter().flatten();
    Report::Seen {
        browser: text("browser").unwrap_or_default(),
        pictures: pictures.filter_map(Value::as_str).map(PathBuf::from).collect(),
    }
}

fn home() -> PathBuf {
    workspace::target().join("browser")
}
