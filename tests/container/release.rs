//! Packs a release with the commands of docs/releasing.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ami_share_tests::workspace;
use anyhow::{Context, Result, ensure};

use crate::{readme, sam};

/// Makes the bills of materials, and packs them with the output of `sam build` into the folder `name`.
pub fn pack(built: &Path, name: &str) -> Result<PathBuf> {
    let folder = sam::scratch().join(name);
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    run(Command::new(env!("CARGO_BIN_EXE_sbom")).args(["--target", &target, "--built"]).arg(built))?;
    let package = workspace::file(".ci/package");
    run(Command::new(package).arg(readme::architecture()).arg(built).arg(&folder))?;
    Ok(folder)
}

/// The digests of all files of a release.
pub fn digests(folder: &Path) -> Result<String> {
    let file = folder.join(format!("SHA256SUMS-{}", readme::architecture()));
    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

fn run(command: &mut Command) -> Result<()> {
    command.current_dir(workspace::root());
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let printed = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&printed));
    Ok(())
}
