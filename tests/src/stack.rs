//! Starts the simulated AWS with the stack deployed in it, and stops it without leaving a process behind.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{child, functions, install, workspace};

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port of the simulated AWS; any free one when `None`.
    pub port: Option<u16>,
    /// An address of this machine where it can be reached besides 127.0.0.1, such as that of a bridge that
    /// containers are attached to.
    pub address: Option<Ipv4Addr>,
    /// The Region that the stack is deployed in; us-east-1 when `None`.
    pub region: Option<String>,
    /// Parameters of the stack, as `Name=Value`.
    pub parameters: Vec<String>,
    /// How often recurring schedules fire, like `10s`; as template.yaml says when `None`.
    pub review_every: Option<String>,
    /// Environment variables of the simulated AWS, which its modules name.
    pub environment: Vec<(String, String)>,
}

/// A simulated AWS with the stack deployed in the hub account.
#[derive(Debug)]
pub struct Stack {
    endpoint: String,
    child: Child,
    /// The simulated AWS ends when this is closed: even a killed parent leaves nothing behind.
    stdin: Option<ChildStdin>,
    logs: PathBuf,
}

impl Stack {
    /// Installs and builds what is missing, starts, deploys, and waits until everything answers.
    /// Each line of progress goes to `progress`.
    pub fn start(options: &Options, mut progress: impl FnMut(&str)) -> Result<Self> {
        let python = install::python()?;
        functions::build()?;
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let logs = workspace::target().join(format!("simulated-aws/logs-{port}"));
        let mut command = Command::new(python);
        command.args(["-m", "simulated_aws", "--port", &port.to_string()]);
        command.arg("--template").arg(workspace::file("template.yaml"));
        command.arg("--functions").arg(workspace::binaries());
        command.arg("--logs").arg(&logs);
        for parameter in &options.parameters {
            command.args(["--parameter", parameter]);
        }
        if let Some(address) = options.address {
            command.args(["--address", &address.to_string()]);
            // What Lambda knows of the functions then holds for containers too. Nobody can call "every address".
            if !address.is_unspecified() {
                command.args(["--parameter", &format!("EndpointUrl=http://{address}:{port}")]);
            }
        }
        if let Some(region) = &options.region {
            command.args(["--region", region]);
        }
        if let Some(pace) = &options.review_every {
            command.args(["--review-every", pace]);
        }
        command.envs(options.environment.iter().cloned());
        command.env("PYTHONPATH", workspace::file("tests")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the simulated AWS")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the simulated AWS has no output")?;
        let mut stack = Self { endpoint: String::new(), child, stdin, logs };
        let mut last_lines = VecDeque::new();
        let lines = lines_of(stdout);
        loop {
            child::check()?;
            let line = match lines.recv_timeout(child::PAUSE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(endpoint) = line.strip_prefix("ready: AWS_ENDPOINT_URL=") {
                stack.endpoint = endpoint.trim().to_owned();
                return Ok(stack);
            }
            progress(&line);
            last_lines.push_back(line);
        }
        bail!("the simulated AWS ended before it was ready:\n{}", last_lines.make_contiguous().join("\n"));
    }

    /// The endpoint of every AWS API.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where the logs of the simulated AWS and of the functions are.
    pub fn logs(&self) -> &PathBuf {
        &self.logs
    }

    /// Changes parameters of the stack, as `Name=Value`, or makes it anew where it was deleted, as `sam deploy` does:
    /// the others keep their values. Answers the status that it has then, after the reason where there is one.
    pub fn redeploy(&self, parameters: &[&str]) -> Result<String> {
        let template = workspace::file("template.yaml");
        let mut arguments = vec![OsStr::new("--template"), template.as_os_str()];
        for parameter in parameters {
            arguments.extend([OsStr::new("--parameter"), OsStr::new(parameter)]);
        }
        self.change(&arguments)
    }

    /// Deletes the stack, as `sam delete` does; the simulated AWS goes on. Answers the stack's last status.
    pub fn delete(&self) -> Result<String> {
        self.change(&[OsStr::new("--delete")])
    }

    fn change(&self, arguments: &[&OsStr]) -> Result<String> {
        let mut command = Command::new(install::python()?);
        command
            .args(["-m", "simulated_aws.cloudformation.redeploy", "--endpoint", &self.endpoint])
            .args(arguments);
        command.env("PYTHONPATH", workspace::file("tests")).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.stdin(Stdio::null()).output().context("changing the stack")?;
        let said = String::from_utf8(output.stdout).context("what was said is no UTF-8")?;
        if said.trim().is_empty() {
            bail!("the stack cannot be changed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(said.trim().to_owned())
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("asking whether the simulated AWS still runs")
    }

    /// Stops it, and waits until it is gone.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.stdin.take());
        // Before it is ready it may not listen to us yet; nothing in it is worth waiting for then.
        let patience = if self.endpoint.is_empty() { Duration::ZERO } else { Duration::from_secs(10) };
        let deadline = Instant::now() + patience;
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill().context("killing the simulated AWS")?;
            }
            child::pause();
        }
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the simulated AWS was not stopped: {error:#}");
        }
    }
}

/// The lines that a process prints. They are read to the end, also when nobody takes them any more, so that
/// its output never fills the pipe.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _nobody_listens = sender.send(line);
        }
    });
    receiver
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}
