//! A reconciliation makes no needless call: these tests name every call, so a repeated or useless one is visible.
//!
//! The calls are counted by image, and each test has its own image and key, so no function waits for a lease. The
//! number of pages of a list of AWS Organizations depends on the accounts of other tests, so only its name is compared.
//!
//! These repeated calls are intended: a function reads a key's policy before it holds the lease, while it holds it, right
//! before it puts the policy, and after that; the first reconciliation of an image reads the image again once its intent is recorded.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use insta::{allow_duplicates, assert_snapshot};

use crate::fixture::{Fixture, Golden, flow};

#[test]
fn a_share_makes_these_calls_and_no_more() -> Result<()> {
    flow(async |fixture| {
        let count = async || {
            let b = fixture.target_account("b").await?;
            b.listen().await?;
            let ou = fixture.ou("production", &fixture.root).await?;
            let golden = at_rest(fixture, "shared").await?;
            fixture.share(&golden.image, &format!("{} {ou}", b.id)).await?;
            calls_since(fixture, &golden.image, 0).await
        };
        undisturbed(count, |calls| allow_duplicates! { assert_snapshot!(calls, @r"
        resolve-share: dynamodb:GetItem, dynamodb:TransactWriteItems, ec2:DescribeImages x2, ec2:DescribeSnapshots, kms:DescribeKey, kms:ListResourceTags, organizations:DescribeOrganization, organizations:ListAccountsForParent, organizations:ListOrganizationalUnitsForParent, organizations:ListRoots
        extend-key-policy (grant): dynamodb:DeleteItem, dynamodb:PutItem x2, dynamodb:Query x2, kms:DescribeKey, kms:GetKeyPolicy x4, kms:ListResourceTags, kms:PutKeyPolicy
        share-image: dynamodb:BatchWriteItem x2, dynamodb:DeleteItem, dynamodb:PutItem x2, dynamodb:Query, ec2:DescribeImageAttribute, ec2:ModifyImageAttribute
        notify-targets: dynamodb:BatchWriteItem, dynamodb:DeleteItem, dynamodb:PutItem, dynamodb:Query, dynamodb:UpdateItem x2, ec2:CreateTags, events:PutEvents x2, sns:PublishBatch
        ") })
        .await
    })
}

#[test]
fn a_reconciliation_without_changes_makes_these_calls_and_sends_no_notification() -> Result<()> {
    flow(async |fixture| {
        let count = async || {
            let b = fixture.target_account("b").await?;
            b.listen().await?;
            let golden = at_rest(fixture, "again").await?;
            fixture.share(&golden.image, &b.id).await?;
            let before = invocations(fixture, &golden.image).await?;
            fixture.hub.reconcile(&golden.image).await?;
            calls_since(fixture, &golden.image, before).await
        };
        undisturbed(count, |calls| allow_duplicates! { assert_snapshot!(calls, @r"
        resolve-share: dynamodb:GetItem x2, dynamodb:TransactWriteItems, ec2:DescribeImages, ec2:DescribeSnapshots, kms:DescribeKey, kms:ListResourceTags, organizations:DescribeOrganization, organizations:ListAccounts
        extend-key-policy (grant): dynamodb:Query, kms:GetKeyPolicy
        share-image: dynamodb:DeleteItem, dynamodb:PutItem, dynamodb:Query, ec2:DescribeImageAttribute
        notify-targets: dynamodb:DeleteItem, dynamodb:PutItem, dynamodb:Query
        ") })
        .await
    })
}

#[test]
fn a_revocation_makes_these_calls_and_no_more() -> Result<()> {
    flow(async |fixture| {
        let count = async || {
            let b = fixture.target_account("b").await?;
            b.listen().await?;
            let golden = at_rest(fixture, "revoked").await?;
            fixture.share(&golden.image, &b.id).await?;
            let before = invocations(fixture, &golden.image).await?;
            fixture.hub.untag(&golden.image, "ami-share:with").await?;
            fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
            calls_since(fixture, &golden.image, before).await
        };
        undisturbed(count, |calls| allow_duplicates! { assert_snapshot!(calls, @r"
        resolve-share: dynamodb:GetItem x2, dynamodb:TransactWriteItems, ec2:DescribeImages
        extend-key-policy (grant): dynamodb:Query, kms:GetKeyPolicy
        share-image: dynamodb:BatchWriteItem, dynamodb:DeleteItem, dynamodb:PutItem x2, dynamodb:Query, ec2:DescribeImageAttribute x2, ec2:ModifyImageAttribute
        extend-key-policy (revoke): dynamodb:DeleteItem x2, dynamodb:PutItem x2, dynamodb:Query x2, dynamodb:TransactWriteItems, dynamodb:UpdateItem, kms:DescribeKey, kms:GetKeyPolicy x4, kms:ListResourceTags, kms:PutKeyPolicy
        notify-targets: dynamodb:BatchWriteItem, dynamodb:DeleteItem, dynamodb:PutItem, dynamodb:Query, dynamodb:UpdateItem x3, ec2:CreateTags, events:PutEvents x2, sns:PublishBatch
        ") })
        .await
    })
}

#[test]
fn an_expired_share_makes_no_call_to_organizations() -> Result<()> {
    flow(async |fixture| {
        let count = async || {
            let b = fixture.target_account("b").await?;
            let golden = at_rest(fixture, "ended").await?;
            fixture.share(&golden.image, &b.id).await?;
            let before = invocations(fixture, &golden.image).await?;
            fixture.hub.tag(&golden.image, &[("ami-share:until", "2020-01-01")]).await?;
            fixture
                .hub
                .status(&golden.image, |status| status.contains("ami-share:until is 2020-01-01"))
                .await?;
            let calls = calls_since(fixture, &golden.image, before).await?;
            Ok(calls.lines().next().unwrap_or_default().to_owned())
        };
        undisturbed(count, |calls| allow_duplicates! { assert_snapshot!(calls, @"resolve-share: dynamodb:GetItem x2, dynamodb:TransactWriteItems, ec2:DescribeImages") })
        .await
    })
}

/// How often a test counts again, with another image, when the calls are not the expected ones.
const TRIES: usize = 4;

/// Checks the counted calls, several times if needed: on a busy machine a lease is sometimes renewed or a step retried,
/// which adds calls. A needless call occurs every time.
async fn undisturbed(count: impl AsyncFn() -> Result<String>, check: impl Fn(&str)) -> Result<()> {
    for _ in 0..TRIES {
        let calls = count().await?;
        if catch_unwind(AssertUnwindSafe(|| check(&calls))).is_ok() {
            return Ok(());
        }
    }
    check(&count().await?);
    Ok(())
}

/// An image on its own key whose first reconciliations have ended, and whose calls are counted from now on.
async fn at_rest(fixture: &Fixture, what: &str) -> Result<Golden> {
    let golden = fixture.golden(what).await?;
    fixture.await_reconciliations(&golden.image, 0).await?;
    assert_eq!(fixture.hub.invocations(&golden.image).await?, []);
    Ok(golden)
}

/// How many invocations an image has caused, once all its reconciliations have ended.
async fn invocations(fixture: &Fixture, image: &str) -> Result<usize> {
    fixture.hub.settled(image).await?;
    Ok(fixture.hub.invocations(image).await?.len())
}

/// One line for each later invocation: which calls it made, and how often.
async fn calls_since(fixture: &Fixture, image: &str, before: usize) -> Result<String> {
    fixture.hub.settled(image).await?;
    let mut lines = Vec::new();
    for invocation in fixture.hub.invocations(image).await?.iter().skip(before) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for call in &invocation.calls {
            *counts.entry(call).or_default() += 1;
        }
        let action = invocation.action.as_deref().map(|action| format!(" ({action})")).unwrap_or_default();
        let calls: Vec<String> = counts.into_iter().map(written).collect();
        lines.push(format!("{}{action}: {}", invocation.function, calls.join(", ")));
    }
    Ok(lines.join("\n"))
}

fn written((call, count): (&str, usize)) -> String {
    let has_pages = call.starts_with("organizations:List");
    if has_pages || count == 1 { call.to_owned() } else { format!("{call} x{count}") }
}
