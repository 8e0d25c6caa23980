//! `cargo speed`: shares images on the simulated AWS with scripts and with ami-share, and prints how fast each is.

use std::process::ExitCode;

use ami_share_tests::progress::{end, say};
use ami_share_tests::speed::page;
use ami_share_tests::speed::race::{LATENCY, Track};
use ami_share_tests::stack::{Options, Stack};
use ami_share_tests::world::Account;
use anyhow::{Context, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    end("cargo speed", compare().await)
}

async fn compare() -> Result<()> {
    say(
        "AWS is SIMULATED here, and so is the latency of its calls; the functions, workflows and scripts are real",
    );
    let latency = ("SIMULATED_AWS_LATENCY".to_owned(), LATENCY.to_string());
    let options = Options { environment: vec![latency], ..Options::default() };
    let start = tokio::task::spawn_blocking(move || Stack::start(&options, |line| say(line)));
    let stack = start.await.context("starting")??;
    let hub = Account::hub(stack.endpoint()).await;
    let printed = race(&hub).await;
    let printed =
        printed.with_context(|| format!("the functions' logs are in {}", stack.logs().display()))?;
    println!(
        "Measured on the simulated AWS, with a latency of {LATENCY} s for each call. See docs/speed.md."
    );
    println!();
    print!("{printed}");
    stack.stop()
}

async fn race(hub: &Account) -> Result<String> {
    let track = Track::new(hub).await?;
    let first = track.first().await?;
    let races = track.races().await?;
    let cold = page::cold(&first, &races).context("no race of one image and one account")?;
    Ok(format!("{}\n{cold}", page::races(&races)))
}
