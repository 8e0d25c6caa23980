//! Runs the checks of `tests/access_review_page` on a page in a real browser.
//!
//! Playwright, which drives the browser, is pinned and installed in a virtual environment; the browser is Debian's.
//! Both are fetched once, into `target/browser`; nothing is installed on the machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{install, workspace};

/// The folder of the checks and their requirements.
const CHECKS: &str = "tests/access_review_page";

/// The result of checks that found nothing wrong.
#[derive(Debug)]
pub enum Report {
    /// The checks ran.
    Checked {
        /// The browser, with its version.
        browser: String,
        /// Screenshots of the page, for people.
        pictures: Vec<PathBuf>,
    },
    /// This machine cannot get a browser, so no check ran; standard error has the reason too.
    Skipped {
        /// Why this machine cannot get a browser.
        reason: String,
    },
}

/// Checks the page of an access review: that it renders correctly, sorts, filters, and sends no request.
///
/// Screenshots go to `target/access-review-page`. The first run fetches the browser, about 100 MB.
///
/// # Errors
/// When a check fails, with the output of the checks; or when what they need cannot be fetched.
pub fn check_page(page: &Path) -> Result<Report> {
    run_checks(page, &[])
}

/// Runs only the checks that pytest's expression `selection` selects; for a page so long that each check takes seconds.
///
/// # Errors
/// As [`check_page`]; also when there is no such check.
pub fn check_page_with(page: &Path, selection: &str) -> Result<Report> {
    run_checks(page, &["-k", selection])
}

fn run_checks(page: &Path, selection: &[&str]) -> Result<Report> {
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
    let output = [checks.stdout, checks.stderr].concat();
    ensure!(
        checks.status.success(),
        "{} fails its checks:\n{}",
        page.display(),
        String::from_utf8_lossy(&output)
    );
    let report =
        fs::read(pictures.join(format!("{stem}.json"))).context("reading the report of the checks")?;
    let report = read(&serde_json::from_slice(&report).context("reading the report of the checks")?);
    if let Report::Skipped { reason } = &report {
        // Not `eprintln!`, whose output a passing test does not show.
        writeln!(std::io::stderr(), "  SKIPPED: no browser has checked {}: {reason}", page.display())?;
    }
    Ok(report)
}

fn read(report: &Value) -> Report {
    let text = |name: &str| report.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(reason) = text("skipped") {
        return Report::Skipped { reason };
    }
    let pictures = report.get("pictures").and_then(Value::as_array).into_iter().flatten();
    Report::Checked {
        browser: text("browser").unwrap_or_default(),
        pictures: pictures.filter_map(Value::as_str).map(PathBuf::from).collect(),
    }
}

fn home() -> PathBuf {
    workspace::target().join("browser")
}
