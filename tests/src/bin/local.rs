//! `cargo local`: the simulated AWS with the stack deployed, until Ctrl-C or SIGTERM.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use ami_share_tests::child;
use ami_share_tests::progress::{end, say};
use ami_share_tests::stack::{Options, Stack};
use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Starts the simulated AWS with ami-share deployed in the hub account, and runs it until Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(name = "cargo local")]
struct Arguments {
    /// The port of the simulated AWS on 127.0.0.1.
    #[arg(long, default_value_t = 5555)]
    port: u16,
    /// Another address of this machine on which the simulated AWS listens, such as 172.17.0.1 for containers.
    /// Everyone who can reach it can do everything there; 0.0.0.0 is every address.
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// How often the scheduled review runs, such as 10s, 2m or 1h. Overrides the parameter ReviewSchedule.
    #[arg(long, value_name = "DURATION")]
    review_every: Option<String>,
    /// A parameter of template.yaml, such as AllowedExternalAccounts=999999999999. May be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    end("cargo local", serve(Arguments::parse()).await)
}

async fn serve(arguments: Arguments) -> Result<()> {
    // Before the start: a signal during the deployment must not leave a process behind either.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let Arguments { port, address, review_every, parameters } = arguments;
    let options = Options { port: Some(port), address, parameters, review_every, ..Options::default() };
    let mut start = tokio::task::spawn_blocking(move || Stack::start(&options, |line| say(line)));
    let mut stack = tokio::select! {
        started = &mut start => started.context("starting")??,
        _ = terminate.recv() => return stop_starting(start).await,
        _ = interrupt.recv() => return stop_starting(start).await,
    };
    announce(&stack)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                if let Some(status) = stack.ended()? {
                    bail!("the simulated AWS ended by itself ({status}); its logs are in {}", stack.logs().display());
                }
            }
        }
    }
    say("stopping");
    stack.stop()
}

/// Ends the child process that the start waits for: cargo, pip, or the simulated AWS.
async fn stop_starting(start: JoinHandle<Result<Stack>>) -> Result<()> {
    say("stopping");
    child::interrupt();
    match start.await.context("starting")? {
        Ok(stack) => stack.stop(),
        Err(_interrupted) => Ok(()),
    }
}

fn announce(stack: &Stack) -> Result<()> {
    let endpoint = stack.endpoint();
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready: AWS_ENDPOINT_URL={endpoint}")?;
    writeln!(out)?;
    writeln!(out, "This is a simulated AWS. In another terminal, as the hub account 111122223333:")?;
    writeln!(out, "  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION=us-east-1")?;
    writeln!(out, "  export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing")?;
    writeln!(out, "  aws organizations create-organization --feature-set ALL")?;
    writeln!(out, "  aws ec2 create-tags --resources ami-… --tags 'Key=ami-share:with,Value=222222222222'")?;
    writeln!(
        out,
        "As another account: aws sts assume-role --role-arn arn:aws:iam::222222222222:role/test --role-session-name me"
    )?;
    writeln!(out, "Logs of the functions: {}", stack.logs().display())?;
    writeln!(out, "Press Ctrl-C to stop it.")?;
    out.flush().context("writing")
}
