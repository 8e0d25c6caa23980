//! Launch permissions, snapshot permissions, and the lease under which they are changed.

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::ec2::permissions::Applied;
use ami_share_aws::error::{AwsError, Fault};
use ami_share_domain::ids::SnapshotId;
use ami_share_domain::image::plan::{ImageStep, Verdict};
use ami_share_domain::refusal::RefusalCode;
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
async fn a_grant_that_ec2_refuses_for_good_is_a_refusal_and_one_that_it_refuses_for_now_a_failure() {
    let refused = |code: &str| vec![granted(), ec2_error(code, "EC2 says why.")];
    for code in ["UnauthorizedOperation", "ResourceLimitExceeded", "IncorrectState"] {
        let (applied, _) = grant(&THREE[..1], LONG, refused(code)).await;
        assert!(applied.failure.is_none(), "{applied:?}");
        assert_eq!(applied.rejected[0].reason.code(), RefusalCode::DeniedByAws);
        assert!(applied.rejected[0].reason.to_string().contains("EC2 says why."));
    }
    for code in ["RequestLimitExceeded", "InvalidAMIID.Unavailable"] {
        let (applied, _) = grant(&THREE[..1], LONG, refused(code)).await;
        assert!(applied.failure.unwrap().fault().is_retryable());
    }
}

#[tokio::test]
async fn one_account_that_a_policy_denies_is_isolated_and_a_quota_is_not_searched() {
    let denied = || ec2_error("UnauthorizedOperation", "An explicit deny names 999999999999.");
    let responses = vec![granted(), denied(), done(), denied(), done(), denied()];
    let (applied, _) = grant(&THREE, LONG, responses).await;
    assert_eq!(
        THREE.map(|id| applied.verdict(&account(id))),
        [Verdict::Accepted, Verdict::Accepted, Verdict::Rejected,]
    );
    let quota = ec2_error("ResourceLimitExceeded", "You have reached your quota.");
    let (applied, requests) = grant(&THREE, LONG, vec![granted(), quota]).await;
    assert_eq!((applied.rejected.len(), requests.bodies().len()), (3, 2));
}

#[tokio::test]
async fn where_a_policy_denies_every_account_the_number_of_calls_is_bounded() {
    let accounts: Vec<String> = (1..=900).map(|number| format!("{number:012}")).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let denied = ec2_error("UnauthorizedOperation", "Every account is denied.");
    let responses = [vec![granted()], vec![denied; 40]].concat();
    let (applied, requests) = grant(&accounts, LONG, responses).await;
    assert_eq!((applied.rejected.len(), applied.failure.is_none()), (900, true));
    assert!(requests.bodies().len() < 30, "{}", requests.bodies().len());
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
async fn a_revocation_that_ec2_refuses_is_a_failure() {
    for (code, fault) in
        [("InvalidSnapshot.NotFound", Fault::Missing), ("UnauthorizedOperation", Fault::Denied)]
    {
        let (clients, _) = replay(vec![granted(), ec2_error(code, "EC2 says why.")]).await;
        let lease = lease(&clients, LONG).await;
        let accounts = vec![account(THREE[0])];
        let step = ImageStep::RevokeSnapshot { snapshot: snapshot(), accounts };
        let applied = clients.permission_writer().apply(&lease, &image(), &step).await;
        assert_eq!(applied.failure.as_ref().map(AwsError::fault), Some(fault));
        assert_eq!(applied.verdict(&account(THREE[0])), Verdict::Unknown);
    }
}

fn snapshot() -> SnapshotId {
    "snap-0123456789abcdef0".parse().unwrap()
}

/// What EC2 answers when it is asked for the permissions of the snapshot.
fn copiers(accounts: &[&str]) -> Recorded {
    let items: String = accounts.iter().map(|id| format!("<item><userId>{id}</userId></item>")).collect();
    let permissions = format!("<createVolumePermission>{items}</createVolumePermission>");
    let answer =
        format!("<DescribeSnapshotAttributeResponse>{permissions}</DescribeSnapshotAttributeResponse>");
    Recorded(200, answer)
}

#[tokio::test]
async fn a_snapshot_that_still_shows_what_was_revoked_is_read_again() {
    let revoked = || THREE[..1].iter().map(ToString::to_string).collect();
    let answers = vec![copiers(&THREE), copiers(&THREE), copiers(&THREE[1..])];
    let (clients, requests) = replay(answers).await;
    let shown =
        clients.permission_reader().after_revocation(&image(), Some(&snapshot()), &revoked()).await.unwrap();
    assert!(!shown.includes(THREE[0]) && shown.includes(THREE[1]));
    assert_eq!(requests.bodies().len(), 3);

    // The number of reads is bounded.
    let (clients, requests) = replay(vec![copiers(&THREE); 20]).await;
    let shown =
        clients.permission_reader().after_revocation(&image(), Some(&snapshot()), &revoked()).await.unwrap();
    assert!(shown.includes(THREE[0]));
    assert!(requests.bodies().len() < 10);
}

#[tokio::test]
async fn a_deleted_snapshot_is_gone_and_one_of_another_account_is_unreadable() {
    let launch = || Recorded(200, "<DescribeImageAttributeResponse/>".to_owned());
    for (code, is_gone) in [("InvalidSnapshot.NotFound", true), ("AuthFailure", false)] {
        let answer = ec2_error(code, "EC2 says why.");
        // Image and snapshot are read at once: their requests may come in either order.
        let mut found = Vec::new();
        for answers in [vec![launch(), answer.clone()], vec![answer, launch()]] {
            let (clients, _) = replay(answers).await;
            let reader = clients.permission_reader();
            found.extend(reader.observe(&image(), &BTreeSet::from([snapshot()])).await);
        }
        assert!(found.iter().any(|observed| {
            observed.gone_snapshots.contains(&snapshot()) == is_gone
                && observed.unreadable_snapshots.contains_key(&snapshot()) != is_gone
        }));
    }
}

#[tokio::test]
async fn only_a_list_of_images_says_that_an_image_is_gone() {
    let unavailable = || ec2_error("InvalidAMIID.Unavailable", "The image is no longer available");
    let listed = |state: &str| {
        let owner = "<imageOwnerId>111122223333</imageOwnerId>";
        let item =
            format!("<item><imageId>{}</imageId><imageState>{state}</imageState>{owner}</item>", image());
        Recorded(
            200,
            format!("<DescribeImagesResponse><imagesSet>{item}</imagesSet></DescribeImagesResponse>"),
        )
    };
    let none = Recorded(200, "<DescribeImagesResponse><imagesSet/></DescribeImagesResponse>".to_owned());
    let (clients, _) = replay(vec![unavailable(), none]).await;
    assert!(clients.permission_reader().observe(&image(), &BTreeSet::new()).await.unwrap().is_gone);
    let (clients, _) = replay(vec![unavailable(), listed("disabled")]).await;
    let observed = clients.permission_reader().observe(&image(), &BTreeSet::new()).await.unwrap();
    assert!(!observed.is_gone && observed.launch.is_empty());
    for answer in [unavailable(), ec2_error("InvalidAMIID.NotFound", "The image does not exist")] {
        let (clients, _) = replay(vec![answer, listed("available")]).await;
        let error = clients.permission_reader().observe(&image(), &BTreeSet::new()).await.unwrap_err();
        assert!(error.fault().is_retryable(), "{error}");
    }
}
