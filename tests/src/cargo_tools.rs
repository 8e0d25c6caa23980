//! Installs the tools for cargo that `tests/supply_chain/cargo-tools.txt` pins, into a folder under `target/`, once.
//!
//! No well-maintained registry has prebuilt ones, so cargo compiles them, without optimisation: they run for seconds
//! (`docs/adr/0015-the-supply-chain-is-checked-by-cargo-test.md`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::progress::say;
use crate::{child, install, workspace};

/// One tool and its version on each line, as `cargo install` takes them.
const PINS: &str = "tests/supply_chain/cargo-tools.txt";

/// `cargo <verb>` with the pinned tool of that name. Installs the tools first if they are missing, and waits for
/// another process that installs them at the same time.
///
/// # Errors
/// When they cannot be installed.
pub fn tool(verb: &str) -> Result<Command> {
    let mut folders = vec![installed()?];
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let mut command = cargo();
    command.arg(verb).env("PATH", std::env::join_paths(folders).context("putting the tools on the path")?);
    Ok(command)
}

/// The cargo that runs this process, without the variables that it sets for a test's package: with them, a tool would
/// behave as a program under development.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
}

fn installed() -> Result<PathBuf> {
    let pins = fs::read_to_string(workspace::file(PINS)).context("reading the pinned tools")?;
    let folder = workspace::target().join("tools");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let home = folder.join(install::short_hash(&pins));
    let finished = home.join("installed");
    let lock = File::create(folder.join("install.lock")).context("making the installer's lock")?;
    lock.lock().context("waiting for another installation")?;
    if !finished.exists() {
        install(&pins, &folder.join("build"), &home)?;
        File::create(&finished).context("marking the installation as finished")?;
    }
    Ok(home.join("bin"))
}

fn install(pins: &str, build: &Path, home: &Path) -> Result<()> {
    let pins: Vec<&str> = pins.lines().collect();
    say(format!("compiling {} (first run only, some minutes)", pins.join(", ")));
    let started = Instant::now();
    let mut install = cargo();
    install.args([
        "install",
        "--quiet",
        "--locked",
        "--profile",
        "dev",
        "--no-track",
        "--force",
        "--target-dir",
    ]);
    install.arg(build).arg("--root").arg(home).args(pins);
    // The project's flags and target folder are not meant for the tools.
    install.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false");
    if !child::wait(&mut install.spawn().context("running cargo install")?, "cargo install")?.success() {
        bail!("cargo install failed; its output is above");
    }
    fs::remove_dir_all(build).context("removing the build folder of the tools")?;
    say(format!("compiled in {} s", started.elapsed().as_secs()));
    Ok(())
}
