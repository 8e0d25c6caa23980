//! Installs pinned Python packages into virtual environments under `target/`, each once.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::progress::say;
use crate::{child, workspace};

/// The Python of the simulated AWS.
pub fn python() -> Result<PathBuf> {
    python_for("simulated-aws", "tests/simulated_aws/requirements.txt")
}

/// Runs a module of `tests/` in the Python of the simulated AWS, and shows its output.
pub fn run_python(arguments: &[&str]) -> Result<()> {
    let status = Command::new(python()?)
        .args(arguments)
        .current_dir(workspace::root())
        .env("PYTHONPATH", workspace::file("tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .context("starting Python")?;
    if !status.success() {
        bail!("`python {}` failed; see its output above", arguments.join(" "));
    }
    Ok(())
}

/// The Python of a virtual environment in a folder of `target`, with the packages that `requirements` pins. Makes it
/// first if it is missing, and waits for another process that makes it at the same time.
pub fn python_for(folder: &str, requirements: &str) -> Result<PathBuf> {
    let requirements = workspace::file(requirements);
    let pins = fs::read_to_string(&requirements).context("reading the pinned requirements")?;
    let folder = workspace::target().join(folder);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let environment = folder.join(format!("venv-{}", short_hash(&pins)));
    let python = environment.join("bin/python");
    let finished = environment.join("installed");
    let lock = File::create(folder.join("install.lock")).context("making the installer's lock")?;
    lock.lock().context("waiting for another installation")?;
    if !finished.exists() {
        install(&environment, &python, &requirements)?;
        File::create(&finished).context("marking the installation as finished")?;
    }
    Ok(python)
}

fn install(environment: &Path, python: &Path, requirements: &Path) -> Result<()> {
    say(format!("installing Python packages in {} (first run only)", environment.display()));
    let started = Instant::now();
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment), "python3 -m venv")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(python).args(pip).arg(requirements), "pip install")?;
    say(format!("installed in {} s", started.elapsed().as_secs()));
    Ok(())
}

fn run(command: &mut Command, name: &str) -> Result<()> {
    let started = command.stdin(Stdio::null()).spawn();
    let mut running = started.with_context(|| format!("{name}: Python 3.11 with venv is needed"))?;
    if !child::wait(&mut running, name)?.success() {
        bail!("{name} failed; its output is above");
    }
    Ok(())
}

/// A hash of the pins: changed pins get a new environment.
pub(crate) fn short_hash(pins: &str) -> String {
    let mut hasher = DefaultHasher::new();
    pins.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}
