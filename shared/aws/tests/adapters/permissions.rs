//! Launch permissions, snapshot permissions, and the lease under which they are changed.

use std::time::Duration;

use ami_share_aws::ec2::permissions::Applied;
use ami_share_aws::error::{AwsError, Fault};
use ami_share_domain::image::plan::{ImageStep, Verdict};
use ami_share_domain::targets::target::LaunchPermission;

use crate::lease::{LONG, SHORT, granted, held_by_another, lease};
use crate::replay::{Recorded, Requests, replay};
use crate::{account, ec2_error, image};

/// The last of them does not exist.
const THREE: [&str; 3] = ["222222222222", "333333333333", "999999999999"];

fn done() -> Recorded {
    Recorded(
        200,
        "<ModifyImageAttributeResponse><return>true</return></ModifyImageAttributeResponse>".to_owned(),
    )
}

fn rejected() -> Recorded {
    ec2_error("InvalidAMIAttributeItemValue", "Invalid attribute item value \"999999999999\" for userId")
}

/// Grants the image to accounts under a lease of `duration`; the first response answers the writer that acquires it.
async fn grant(accounts: &[&str], duration: Duration, responses: Vec<Recorded>) -> (Applied, Requests) {
    let (clients, requests) = replay(responses).await;
    let lease = lease(&clients, duration).await;
    let permissions = accounts.iter().map(|id| LaunchPermission::Account(account(id))).collect();
    let step = ImageStep::GrantImage { permissions };
    (clients.permission_writer().apply(&lease, &image(), &step).await, requests)
}

/// The requests: `lease`, or the accounts of a call of EC2.
fn sent(requests: &Requests) -> Vec<String> {
    let named = |body: &String| {
        let accounts: Vec<&str> = THREE.into_iter().filter(|id| body.contains(id)).collect();
        if accounts.is_empty() { "lease".to_owned() } else { accounts.join(" ") }
    };
    requests.bodies().iter().map(named).collect()
}

#[tokio::test]
async fn one_account_that_ec2_rejects_is_isolated_and_the_others_are_added() {
    // All three; then the first alone; then the other two; then each of them.
    let responses = vec![granted(), rejected(), done(), rejected(), done(), rejected()];
    let (applied, requests) = grant(&THREE, LONG, responses).await;
    let rejected: Vec<String> =
        applied.rejected.iter().map(|rejected| rejected.permission.to_string()).collect();
    assert_eq!(rejected, ["999999999999"]);
    let verdicts = THREE.map(|id| applied.verdict(&account(id)));
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted, Verdict::Rejected]);
    let bodies = requests.bodies();
    let accepted = [&bodies[2], &bodies[4]];
    assert!(accepted[0].contains("222222222222") && accepted[1].contains("333333333333"), "{bodies:?}");
    assert!(bodies.iter().all(|body| !body.contains("Group") && !body.contains("Remove")), "{bodies:?}");
}

#[tokio::test]
async fn only_a_rejected_item_is_isolated_and_other_failures_are_returned() {
    let denied = ec2_error("UnauthorizedOperation", "You are not authorized");
    let (applied, _) = grant(&THREE[..1], LONG, vec![granted(), denied]).await;
    assert_eq!(applied.failure.unwrap().fault(), Fault::Denied);
}

#[tokio::test]
async fn each_isolation_call_renews_a_short_lease_first_and_a_long_lease_costs_no_call() {
    let answers = [rejected(), done(), rejected(), done(), rejected()];
    let long = [vec![granted()], answers.to_vec()].concat();
    let calls = ["222222222222 333333333333 999999999999", "222222222222", "333333333333 999999999999"];
    let calls = [calls.as_slice(), &["333333333333", "999999999999"]].concat();
    let (_, requests) = grant(&THREE, LONG, long).await;
    assert_eq!(sent(&requests), [&["lease"], calls.as_slice()].concat());

    let short = answers.into_iter().flat_map(|answer| [granted(), answer]);
    let (_, requests) = grant(&THREE, SHORT, [granted()].into_iter().chain(short).collect()).await;
    let renewed = calls.iter().flat_map(|call| ["lease", *call]);
    assert_eq!(sent(&requests), ["lease"].into_iter().chain(renewed).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_writer_that_loses_its_lease_during_isolation_grants_nothing_more() {
    let responses = vec![granted(), granted(), rejected(), granted(), done(), held_by_another()];
    let (applied, requests) = grant(&THREE, SHORT, responses).await;
    assert!(matches!(applied.failure, Some(AwsError::Busy(_))), "{applied:?}");
    assert_eq!(requests.bodies().len(), 6);
}

#[tokio::test]
async fn what_was_accepted_before_a_failure_is_not_lost_with_it() {
    let throttled = ec2_error("RequestLimitExceeded", "Request limit exceeded.");
    let responses = vec![granted(), rejected(), done(), rejected(), done(), throttled];
    let (applied, _) = grant(&THREE, LONG, responses).await;
    assert_eq!(applied.failure.as_ref().unwrap().fault(), Fault::Throttled);
    let accepted: Vec<String> = applied.accepted.iter().flat_map(|call| call.principals.clone()).collect();
    assert_eq!(accepted, ["222222222222", "333333333333"]);
    let verdicts = THREE.map(|id| applied.verdict(&account(id)));
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted, Verdict::Unknown]);
}

#[tokio::test]
async fn a_deleted_snapshot_counts_as_revoked_for_every_account() {
    let (clients, _) =
        replay(vec![granted(), ec2_error("InvalidSnapshot.NotFound", "The snapshot does not exist.")]).await;
    let lease = lease(&clients, LONG).await;
    let accounts = vec![account(THREE[0])];
    let step = ImageStep::RevokeSnapshot { snapshot: "snap-0123456789abcdef0".parse().unwrap(), accounts };
    let applied = clients.permission_writer().apply(&lease, &image(), &step).await;
    assert!(applied.failure.is_none() && applied.accepted.is_empty());
    assert_eq!(applied.verdict(&account(THREE[0])), Verdict::Accepted);
}
