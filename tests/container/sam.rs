//! The AWS SAM CLI with cargo-lambda and Zig, in a virtual environment below `target`, and the checks of its output in
//! Python.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ami_share_tests::progress::say;
use ami_share_tests::{install, workspace};
use anyhow::{Context, Result, anyhow, ensure};

use crate::readme;

/// The file that pins the tools.
pub const REQUIREMENTS: &str = "tests/functions_in_containers/requirements.txt";
/// The folder of the checks.
const CHECKS: &str = "tests/functions_in_containers";
/// The time between two lines of progress during a build.
const PROGRESS_PAUSE: Duration = Duration::from_secs(30);

/// The folder of the tools, and of what they and the checks write.
fn home() -> PathBuf {
    workspace::target().join("sam")
}

/// The folder of what the checks write.
pub fn scratch() -> PathBuf {
    home().join("checks")
}

/// Builds every function, once for all tests of this process; returns the folder of the artifacts.
pub fn build() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(PathBuf, File), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_now().map_err(|error| format!("{error:#}")));
    built.as_ref().map(|(folder, _)| folder.clone()).map_err(|error| anyhow!("{error}"))
}

/// Waits for another process that builds or checks its artifacts: that process holds the lock until it ends.
fn build_now() -> Result<(PathBuf, File)> {
    fs::create_dir_all(home()).context("making target/sam")?;
    let lock = File::create(home().join("artifacts.lock")).context("making the lock of the artifacts")?;
    lock.lock().context("waiting for another build")?;
    let folder = home().join("build");
    let mut command = readme::command("sam build")?;
    command.extend(["--build-dir".to_owned(), folder.display().to_string()]);
    say("building the functions for Lambda (the first time takes several minutes: the AWS SDK is large)");
    let started = Instant::now();
    run(&command)?;
    say(format!("built in {} s", started.elapsed().as_secs()));
    Ok((folder, lock))
}

/// Runs one of the documented command lines, and shows its output.
pub fn run(command: &[String]) -> Result<()> {
    let name = command.join(" ");
    say(&name);
    let (program, arguments) = command.split_first().context("an empty command")?;
    let mut running = with_tools(&bin()?.join(program))
        .args(arguments)
        .spawn()
        .with_context(|| format!("starting `{name}`"))?;
    let (ended, is_ended) = channel::<()>();
    let reporter = std::thread::spawn(move || report_progress(&is_ended));
    let status = running.wait().with_context(|| format!("waiting for `{name}`"));
    drop(ended);
    reporter.join().map_err(|_| anyhow!("the progress of `{name}` could not be reported"))?;
    ensure!(status?.success(), "`{name}` failed; see its output above");
    Ok(())
}

/// Prints progress until the build ends: SAM shows cargo's output only then.
fn report_progress(is_ended: &std::sync::mpsc::Receiver<()>) {
    let started = Instant::now();
    while is_ended.recv_timeout(PROGRESS_PAUSE) == Err(RecvTimeoutError::Timeout) {
        say(format!("building for {} s, {} crates compiled", started.elapsed().as_secs(), compiled()));
    }
}

/// The number of crates that cargo has compiled for Lambda, in this build and earlier ones.
fn compiled() -> usize {
    let target = format!("{}-unknown-linux-gnu/release/deps", std::env::consts::ARCH);
    let files = fs::read_dir(workspace::target().join(target)).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == "rlib")).count()
}

/// Runs a file of checks; shows their output if one of them fails.
pub fn pytest(file: &str, environment: &[(&str, String)]) -> Result<()> {
    let checks = format!("{CHECKS}/{file}");
    let mut command = with_tools(&bin()?.join("python"));
    command.args(["-m", "pytest", "-q", "-rs", "--capture=sys", "-p", "no:cacheprovider", &checks]);
    command.env("AMI_SHARE_SCRATCH", scratch()).env("AMI_SHARE_ARCHITECTURE", readme::architecture());
    let ended = command
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("starting Python")?;
    ensure!(ended.status.success(), "{checks}:\n{}", String::from_utf8_lossy(&ended.stdout));
    Ok(())
}

/// The output of a script in the folder of the checks.
pub fn python(arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = with_tools(&bin()?.join("python"));
    let ended = command
        .current_dir(workspace::file(CHECKS))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("starting Python")?;
    ensure!(ended.status.success(), "`{}` failed; see its output above", arguments.join(" "));
    Ok(ended.stdout)
}

fn bin() -> Result<PathBuf> {
    let python = install::python_for("sam", REQUIREMENTS)?;
    Ok(python.parent().context("python is in no folder")?.to_owned())
}

/// A command that finds the tools, reads none of the user's configuration, and cannot download parts of Rust.
fn with_tools(program: &Path) -> Command {
    let mut paths: Vec<PathBuf> = program.parent().map(Path::to_owned).into_iter().collect();
    paths.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command.env("PATH", std::env::join_paths(paths).unwrap_or_default());
    command.env("PYTHONPATH", workspace::file("tests")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9").env("RUSTUP_AUTO_INSTALL", "0");
    command.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", home().join("settings"));
    // The caches of Zig and of cargo-zigbuild.
    command.env("XDG_CACHE_HOME", home().join("cache"));
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ] {
        command.env(name, value);
    }
    command.env_remove("AWS_PROFILE");
    command
}
