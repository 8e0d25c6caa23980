//! Helps to check the roles: the stacks of this run record which permissions they used in a folder, and
//! `tests/permissions` compares the record with the template.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::OnceLock;

use ami_share_tests::workspace;
use anyhow::{Context, Result, anyhow};

/// The variable from which the simulated AWS reads the folder's name; see `permission_record.py`.
const FOLDER: &str = "SIMULATED_AWS_PERMISSION_RECORD";
/// The file that marks the record of a run of all flows.
const COMPLETE: &str = "complete";

/// The environment variable that makes a stack write its record. The first call empties the folder: the record of an
/// earlier run says nothing about this one.
pub fn variable() -> Result<(String, String)> {
    static EMPTIED: OnceLock<Result<(), String>> = OnceLock::new();
    let folder = workspace::permission_record();
    let emptied = EMPTIED.get_or_init(|| empty(&folder).map_err(|error| format!("{error:#}")));
    emptied.as_ref().map_err(|error| anyhow!("{error}"))?;
    Ok((FOLDER.to_owned(), folder.to_string_lossy().into_owned()))
}

fn empty(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).context("emptying the record");
        }
        _ => {}
    }
    fs::create_dir_all(folder).context("making the record")?;
    if is_whole_run() {
        File::create(folder.join(COMPLETE)).context("marking the record")?;
    }
    Ok(())
}

/// Whether the command line neither selects nor skips tests.
fn is_whole_run() -> bool {
    env::args().skip(1).all(|argument| argument.starts_with("--") && !argument.starts_with("--skip"))
}
