//! `cargo cost`: runs the lives of images and reviews on the simulated AWS, and prints what a month of them would cost.

use std::process::ExitCode;

use ami_share_tests::cost::counting::{CALL_SECONDS, START_SECONDS};
use ami_share_tests::cost::life::{Accounts, LIVES};
use ami_share_tests::cost::month::Month;
use ami_share_tests::cost::{page, watched};
use ami_share_tests::progress::{end, say};
use ami_share_tests::stack::{Options, Stack};
use ami_share_tests::world::Account;
use anyhow::{Context, Result};

/// Days, and so reviews, of a month.
const REVIEWS: f64 = 30.4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    end("cargo cost", compute().await)
}

async fn compute() -> Result<()> {
    say(
        "AWS is SIMULATED here; the functions, workflows and rules whose calls are counted are the real ones",
    );
    let start = tokio::task::spawn_blocking(|| Stack::start(&Options::default(), |line| say(line)));
    let stack = start.await.context("starting")??;
    let hub = Account::hub(stack.endpoint()).await;
    let month = measure(&hub, &stack).await;
    let month = month.with_context(|| format!("the functions' logs are in {}", stack.logs().display()))?;
    println!(
        "Counted on the simulated AWS, as the mean of {LIVES} images. Every invocation counts as a cold start of"
    );
    println!(
        "{START_SECONDS} s, and every call as {CALL_SECONDS} s. No free tier is subtracted. See docs/cost.md."
    );
    println!();
    print!("{}", page::tables(&month));
    stack.stop()
}

async fn measure(hub: &Account, stack: &Stack) -> Result<Month> {
    let accounts = Accounts::assemble(hub, stack.logs()).await?;
    let life_events = accounts.life_events().await?;
    let review = accounts.review().await?;
    Ok(Month { life_events, review, reviews: REVIEWS, watched: watched::watched()? })
}
