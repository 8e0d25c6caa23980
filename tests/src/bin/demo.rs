//! `cargo demo`: shares one image on the simulated AWS, step by step, and proves the result.

use std::process::ExitCode;
use std::time::Instant;

use ami_share_tests::demo::{proof::Proofs, story};
use ami_share_tests::progress::{end, say};
use ami_share_tests::stack::{Options, Stack};
use ami_share_tests::world::Account;
use anyhow::{Context, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(false) => ExitCode::FAILURE,
        outcome => end("cargo demo", outcome.map(drop)),
    }
}

/// Runs the story; returns whether every proof held.
async fn run() -> Result<bool> {
    println!("ami-share: tag an AMI, and the right accounts can launch it.");
    println!("AWS is SIMULATED here (moto with an overlay). The functions, the workflow, the rules and the");
    println!("roles are the real ones of template.yaml; no AWS account is touched.");
    println!();
    println!("1. The stack, deployed in the hub account");
    let start = tokio::task::spawn_blocking(|| Stack::start(&Options::default(), |line| say(line)));
    let stack = start.await.context("starting")??;
    let started = Instant::now();
    let hub = Account::hub(stack.endpoint()).await;
    let mut proofs = Proofs::default();
    story::run(&hub, &mut proofs)
        .await
        .with_context(|| format!("the functions' logs are in {}", stack.logs().display()))?;
    println!();
    println!(
        "{} (the story took {:.1} s; AWS was simulated)",
        proofs.summary(),
        started.elapsed().as_secs_f32()
    );
    stack.stop()?;
    Ok(proofs.all_held())
}
