//! `cargo cost`: lets images live and reviews run on the simulated AWS, and prints what a month of it would cost on AWS.

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
    end("cargo cost", reckon().await)
}

async fn reckon() -> Result<()> {
    say("AWS is SIMULATED here: what is counted are the calls of the real functions, workflows and rules");
    let start = tokio::task::spawn_blocking(|| Stack::start(&Options::default(), |line| say(line)));
    let stack = start.await.context("starting")??;
    let hub = Account::hub(stack.endpoint()).await;
    let month = measure(&hub, &stack).await;
    let month = month.with_context(|| format!("the functions' logs are in {}", stack.logs().display()))?;
    println!(
        "Counted on the simulated AWS, in the mean of {LIVES} images; an invocation is taken to be a cold start of"
    );
    println!(
        "{START_SECONDS} s, and a call to take {CALL_SECONDS} s. No free tier is taken into account. See docs/cost.md."
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
