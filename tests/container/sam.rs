//! The AWS SAM CLI with cargo-lambda and Zig, in a virtual environment below `target`, and the checks in Python that
//! look at what it does.

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

/// What pins the tools.
pub const REQUIREMENTS: &str = "tests/functions_in_containers/requirements.txt";
/// The checks.
const CHECKS: &str = "tests/functions_in_containers";
/// How often a build that has not ended says that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Where the tools are, and what they and the checks write.
fn home() -> PathBuf {
    workspace::target().join("sam")
}

/// A folder for what the checks write.
pub fn scratch() -> PathBuf {
    home().join("checks")
}

/// Builds every function, once for all tests of this process; answers the folder of the artifacts.
pub fn build() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(PathBuf, File), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_now().map_err(|error| format!("{error:#}")));
    built.as_ref().map(|(folder, _)| folder.clone()).map_err(|error| anyhow!("{error}"))
}

/// Another process that builds or still looks at its artifacts is waited for: it keeps the lock until it ends.
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

/// Runs one of the documented command lines; its output goes straight through.
pub fn run(command: &[String]) -> Result<()> {
    let name = command.join(" ");
    say(&name);
    let (program, arguments) = command.split_first().context("an empty command")?;
    let mut running = with_tools(&bin()?.join(program))
        .args(arguments)
        .spawn()
        .with_context(|| format!("starting `{name}`"))?;
    let (ended, is_ended) = channel::<()>();
    let watching = std::thread::spawn(move || give_signs_of_life(&is_ended));
    let status = running.wait().with_context(|| format!("waiting for `{name}`"));
    drop(ended);
    watching.join().map_err(|_| anyhow!("the watch over `{name}` died"))?;
    ensure!(status?.success(), "`{name}` failed; see its output above");
    Ok(())
}

/// SAM shows nothing of what cargo says until it has ended.
fn give_signs_of_life(is_ended: &std::sync::mpsc::Receiver<()>) {
    let started = Instant::now();
    while is_ended.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
        say(format!(
            "still at it after {} s, with {} crates compiled",
            started.elapsed().as_secs(),
            compiled()
        ));
    }
}

/// How many crates cargo has compiled for Lambda so far, at any time.
fn compiled() -> usize {
    let target = format!("{}-unknown-linux-gnu/release/deps", std::env::consts::ARCH);
    let files = fs::read_dir(workspace::target().join(target)).into_iter().flatten().flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|revocation_reason| revocation_reason == "rlib"))
        .count()
}

/// Runs a file of checks; what they say is shown when one of them fails.
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

/// What a script among the checks prints.
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

/// A program that finds the tools, no configuration of whoever runs this, and no way to fetch a part of Rust.
fn with_tools(program: &Path) -> Command {
    let mut paths: Vec<PathBuf> = program.parent().map(Path::to_owned).into_iter().collect();
    paths.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command.env("PATH", std::env::join_paths(paths).unwrap_or_default());
    command.env("PYTHONPATH", workspace::file("tests")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9").env("RUSTUP_AUTO_INSTALL", "0");
    command.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", home().join("settings"));
    // Zig's, and that of its link to cargo.
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
