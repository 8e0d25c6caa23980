//! The review repairs what no event reported and starts nothing else, and its report says which account has which
//! access.

use std::fs;

use ami_share_tests::browser::{self, Report};
use ami_share_tests::workspace;
use ami_share_tests::world::interruptions::{Interruption, Then, When};
use ami_share_tests::world::{Account, HUB, REGION};
use anyhow::{Context, Result};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::access::launches;
use crate::drift::until_unmanaged;
use crate::fixture::{Fixture, Golden, flow_alone, flow_on_schedule};
use crate::membership::{copyable, notified_until};
use crate::notifications::{kinds, on_the_topic};
use crate::policy::{foreign, managed};
use crate::snapshots::copies;

#[test]
fn a_review_without_differences_starts_nothing_and_publishes_a_private_access_review() -> Result<()> {
    flow_alone(async |fixture| {
        let ou = fixture.ou("reviewed", &fixture.root).await?;
        let b = fixture.account_in("b", &ou).await?;
        let topic = on_the_topic(fixture).await?;
        let (golden, plain) = (copyable(fixture, "unchanged", &b.id).await?, fixture.image("plain").await?);
        fixture.share(&plain, &ou).await?;
        let foreign = b.image(&fixture.name("foreign"), &[]).await?;
        b.grant_out_of_band(&foreign, &fixture.hub.id).await?;
        fixture.share(&foreign, &ou).await?;
        fixture.hub.wait_until_idle().await?;
        let images: [&str; 3] = [&golden.image, &plain, &foreign];
        let reconciliations = reconciliations(fixture, &images).await?;

        let review = fixture.hub.review().await?;
        let page = review.page()?;
        assert_eq!(self::reconciliations(fixture, &images).await?, reconciliations);
        let found = fixture.hub.access_review(page).await?;
        for image in images {
            assert_eq!(of(&found, "images", "id", image)?["differences"], json!([]));
        }
        // The function writes the metric document before the execution ends.
        let lines = fixture.log_lines("review-shares", &review.execution)?;
        let counted = lines.iter().find(|line| line.get("ImagesReviewed").is_some());
        let counted = counted.context("the review wrote no metrics")?;
        assert!(counted["ImagesReviewed"].as_u64().is_some_and(|images| images >= 2), "{counted}");
        assert!(counted["KeyPolicyBytesLeft"].as_f64().is_some_and(|left| left > 0.0), "{counted}");
        assert!(
            lines.iter().all(|line| line["review"].is_string() && line["request"].is_string()),
            "{lines:?}"
        );
        let html = fixture.hub.object(page).await?;
        assert!(html.trim_ascii_start().starts_with(b"<!DOCTYPE html>"));

        let notified = message(fixture, &topic, "AMI access review: ").await?;
        let (bucket, key) = page.trim_start_matches("s3://").split_once('/').context("no key")?;
        let link = format!(
            "https://{REGION}.console.aws.amazon.com/s3/object/{bucket}?region={REGION}&prefix={key}"
        );
        assert!(notified.contains(&link) && notified.contains(page), "{notified}");
        assert!(b.object(page).await.is_err());
        let block = fixture.hub.s3.get_public_access_block().bucket(bucket).send().await?;
        let block = block.public_access_block_configuration().context("no block of public access")?;
        let blocked = [
            block.block_public_acls(),
            block.block_public_policy(),
            block.ignore_public_acls(),
            block.restrict_public_buckets(),
        ];
        assert_eq!(blocked, [Some(true); 4]);
        Ok(())
    })
}

#[test]
fn one_reconciliation_each_repairs_changes_without_events_and_the_next_review_is_clean() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let (of_b, of_c) = (b.listen().await?, c.listen().await?);
        let (revoked, rekeyed) = (fixture.golden("revoked").await?, fixture.golden("rekeyed").await?);
        let (untagged, unchanged) = (fixture.golden("untagged").await?, fixture.golden("unchanged").await?);
        fixture.share(&untagged.image, &c.id).await?;
        for golden in [&revoked, &rekeyed, &unchanged] {
            fixture.share(&golden.image, &b.id).await?;
        }
        let (uncopyable, gone) =
            (copyable(fixture, "uncopyable", &b.id).await?, copyable(fixture, "gone", &b.id).await?);
        let (tagged, disabled) = (fixture.golden("tagged").await?, fixture.golden("disabled").await?);
        fixture.share(&disabled.image, &b.id).await?;
        let snapshot_of = async |image: &str| anyhow::Ok(fixture.hub.snapshots_of(image).await?.remove(0));
        let (revoked_snapshot, former_snapshot) =
            (snapshot_of(&uncopyable.image).await?, snapshot_of(&gone.image).await?);
        fixture.await_reconciliations(&tagged.image, 0).await?;
        fixture.hub.wait_until_idle().await?;

        fixture.hub.disable_rules().await?;
        fixture.hub.revoke_out_of_band(&revoked.image, &b.id).await?;
        let policy = fixture.hub.key_policy(&rekeyed.key).await?;
        let without_managed = json!({ "Version": "2012-10-17", "Statement": foreign(&policy)? }).to_string();
        fixture.hub.put_key_policy(&rekeyed.key, &without_managed).await?;
        fixture.hub.untag(&untagged.image, "ami-share:with").await?;
        fixture.hub.revoke_snapshot_out_of_band(&revoked_snapshot, &b.id).await?;
        fixture.hub.deregister(&gone.image).await?;
        fixture.hub.tag(&tagged.image, &[("ami-share:with", &b.id)]).await?;
        fixture.hub.disable(&disabled.image).await?;
        let changed = [&revoked, &rekeyed, &untagged, &uncopyable, &gone, &tagged, &disabled];
        let mut images: Vec<&str> = changed.iter().map(|golden| golden.image.as_str()).collect();
        images.push(&unchanged.image);
        let before = reconciliations(fixture, &images).await?;

        let review = fixture.hub.review().await?;
        let after = reconciliations(fixture, &images).await?;
        let new: Vec<usize> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        assert_eq!(new, [1, 1, 1, 1, 1, 1, 1, 0]);
        let found = fixture.hub.access_review(review.page()?).await?;
        let differences = [
            (&revoked, format!("the image is not granted to {}", b.id)),
            (&rekeyed, format!("is not granted to {}", b.id)),
            (&untagged, format!("the image is still granted to {}", c.id)),
            (&uncopyable, format!("{revoked_snapshot} is not granted to {}", b.id)),
            (&gone, format!("{former_snapshot} is still granted to {}", b.id)),
            (&tagged, "the ledger has no reconciliation of the image".to_owned()),
            // EC2 itself revokes the launch permissions of a disabled image.
            (&disabled, format!("is still granted to {}", b.id)),
        ];
        for (golden, sentence) in differences {
            let found = &of(&found, "images", "id", &golden.image)?["differences"];
            assert!(found.to_string().contains(&sentence), "{sentence}: {found}");
        }
        for golden in [&revoked, &rekeyed, &tagged, &unchanged] {
            assert!(launches(&b, &golden.image).await?);
        }
        copies(&b, fixture, &uncopyable).await?;
        assert!(!c.sees(&untagged.image).await? && !c.may_use_key(&untagged.key).await?);
        assert!(!b.may_use_key(&gone.key).await? && !b.may_use_key(&disabled.key).await?);
        assert_eq!(fixture.hub.snapshot_permissions(&former_snapshot).await?, [""; 0]);
        assert_eq!(managed(&fixture.hub.key_policy(&gone.key).await?)?, [json!(null); 0]);
        assert_eq!(kinds(&notified_until(&b, &of_b, &tagged.image, "AMI Shared").await?), ["AMI Shared"]);
        assert!(notified_until(&c, &of_c, &untagged.image, "AMI Unshared").await?.len() == 2);

        let second = fixture.hub.review().await?;
        assert_eq!(reconciliations(fixture, &images).await?, after);
        let found = fixture.hub.access_review(second.page()?).await?;
        for golden in [&revoked, &rekeyed, &uncopyable, &tagged, &disabled, &unchanged] {
            let differences = of(&found, "images", "id", &golden.image)?["differences"].clone();
            assert_eq!(differences, json!([]), "{}", golden.image);
        }
        // The report leaves out an image that is deregistered or has no ami-share: tags, once its access is revoked.
        for golden in [&gone, &untagged] {
            assert!(of(&found, "images", "id", &golden.image).is_err());
        }
        Ok(())
    })
}

#[test]
fn the_access_review_names_account_image_selector_start_end_and_triggering_principal() -> Result<()> {
    flow_alone(async |fixture| {
        let team = fixture.name("team");
        let ou = fixture.ou("reported", &fixture.root).await?;
        let (inside, b, c) = (
            fixture.account_in("inside", &ou).await?,
            fixture.target_account("b").await?,
            fixture.target_account("c").await?,
        );
        fixture.hub.tag_in_organization(&ou, "Team", &team).await?;
        let (person, arn) = fixture.hub.person("jane").await?;
        let key = fixture.hub.create_key().await?;
        fill(fixture, &key).await?;
        let selectors = format!("{} tag:Team={team} 999999999999", b.id);
        let tags = [("ami-share:with", selectors.as_str()), ("ami-share:until", "2099-12-31")];
        let name = fixture.name("reported");
        let image = person.register_image(&name, &[&key], &tags).await?;
        let status =
            fixture.hub.status(&image, |status| status.starts_with("shared with 1 account, 1 OU")).await?;
        fixture.hub.grant_out_of_band(&image, &c.id).await?;
        until_unmanaged(fixture, &image, 1).await?;
        fixture.hub.wait_until_idle().await?;

        let review = fixture.hub.review().await?;
        let found = fixture.hub.access_review(review.page()?).await?;
        assert_eq!((&found["account"], &found["region"]), (&json!(HUB), &json!(REGION)));
        let mut entry = of(&found, "images", "id", &image)?.clone();
        let confirmed = entry["confirmed_at"].take();
        let second = |moment: &Value| moment.as_str().map(|text| text.chars().take(19).collect::<String>());
        assert!(second(&found["started_at"]) <= second(&confirmed));
        assert!(second(&confirmed) <= second(&found["finished_at"]));
        let mut since = Vec::new();
        for share in entry["shares"].as_array_mut().context("no shares")? {
            assert!(second(&share["since"]).is_some_and(|since| Some(since) < second(&confirmed)));
            assert!(share["event"].as_str().is_some_and(|event| !event.is_empty()));
            since.push((share["since"].take(), share["event"].take()));
        }
        assert_eq!(since.len(), 2);
        let share = |target: &str, account: &str, selector: &str| {
            json!({ "target": target, "accounts": [account], "selectors": [selector], "permits": ["launch"],
                "is_managed": true, "since": null, "until": "2099-12-31T23:59:59Z", "triggered_by": arn, "event": null })
        };
        let selector = format!("tag:Team={team}");
        let refused = entry["refused"].as_array().cloned().unwrap_or_default();
        assert_eq!(refused.len(), 1);
        assert_eq!(
            (&refused[0]["subject"], &refused[0]["reason"]),
            (&json!("999999999999"), &json!({ "kind": "external-account" }))
        );
        let expected = json!({
            "id": image, "name": name, "state": "available", "status": status, "confirmed_at": null,
            "shares": [share(&b.id, &b.id, &b.id), share(&ou, &inside.id, &selector)],
            "unmanaged": [{ "resource": image, "grantee": c.id }],
            "refused": refused, "differences": [], "keys": [key],
        });
        assert_eq!(entry, expected);

        let key = of(&found, "keys", "arn", &key)?;
        assert!(key["bytes"].as_u64() > Some(32_768 * 8 / 10), "{key}");
        assert_eq!(
            (&key["limit"], &key["images"], &key["unneeded"]),
            (&json!(32_768), &json!(1), &json!([]))
        );
        assert_eq!(key["granted"].as_array().map(Vec::len), Some(2));
        assert!(review.count("nearly_full_keys") >= Some(1));
        assert!(review.count("unmanaged") >= Some(1) && review.count("refused") >= Some(1));
        Ok(())
    })
}

#[test]
fn more_images_than_a_page_holds_are_repaired_and_reviewed_in_pages() -> Result<()> {
    flow_alone(async |fixture| {
        let b = fixture.target_account("b").await?;
        fixture.hub.wait_until_idle().await?;
        fixture.hub.disable_rules().await?;
        let tags = [("ami-share:with", b.id.as_str())];
        let names: Vec<String> = (0..MORE_THAN_A_PAGE).map(|_| fixture.name("one-of-many")).collect();
        let images: Vec<String> = stream::iter(&names)
            .map(|name| fixture.hub.register_image(name, &[], &tags))
            .buffer_unordered(8)
            .try_collect()
            .await?;
        // None of them is in the ledger: the review finds them by their tags.
        let review = fixture.hub.review().await?;
        assert!(review.count("differing") >= Some(MORE_THAN_A_PAGE as u64));
        for image in &images {
            assert_eq!(fixture.hub.launch_permissions(image).await?, [b.id.as_str()]);
        }
        let reconciliations = reconciliations(fixture, &[&images[0], &images[MORE_THAN_A_PAGE - 1]]).await?;
        assert_eq!(reconciliations, [1, 1]);

        let second = fixture.hub.review().await?;
        assert!(fixture.hub.pages_of(second.page()?).await? >= 3);
        let found = fixture.hub.access_review(second.page()?).await?;
        for image in &images {
            assert_eq!(of(&found, "images", "id", image)?["differences"], json!([]));
        }
        assert_eq!(
            self::reconciliations(fixture, &[&images[0], &images[MORE_THAN_A_PAGE - 1]]).await?,
            reconciliations
        );
        // Later tests need not review these images.
        try_join_all(images.iter().map(|image| fixture.hub.deregister(image))).await?;
        for image in &images {
            fixture.hub.delete_rows(&format!("IMAGE#{image}")).await?;
        }
        Ok(())
    })
}

#[test]
fn a_review_whose_function_is_killed_reads_the_page_again() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, golden) = revoked_unnoticed(fixture, "killed").await?;
        for (action, call) in [("page", 2), ("report", 2)] {
            let name = fixture.name("killed-review");
            fixture.hub.interrupt(&name, &interrupting(action, call, Then::Kill)).await?;
            let execution = fixture.hub.start_review(Some(&name), &json!({})).await?;
            let review = fixture.hub.reviewed(&execution).await?;
            assert!(was_interrupted(fixture, &name).await?, "{action}");
            let found = fixture.hub.access_review(review.page()?).await?;
            of(&found, "images", "id", &golden.image)?;
            assert!(launches(&b, &golden.image).await?);
        }
        Ok(())
    })
}

#[test]
fn a_stopped_review_is_notified_and_resumes_where_it_stopped() -> Result<()> {
    flow_alone(async |fixture| {
        let topic = on_the_topic(fixture).await?;
        let (_, golden) = shared_and_still(fixture, "stopped").await?;
        for (action, call) in [("page", 2), ("report", 2)] {
            let name = fixture.name("stopped-review");
            fixture.hub.interrupt(&name, &interrupting(action, call, Then::Stop)).await?;
            let execution = fixture.hub.start_review(Some(&name), &json!({})).await?;
            assert_eq!(fixture.hub.outcome(&execution).await?.0, "ABORTED");
            let notified = message(fixture, &topic, "AMI access review failed").await?;
            assert!(notified.contains(&execution), "{notified}");
            let counted = fixture.hub.until("the failed review is counted", async || {
                let lines = fixture.log_lines("review-shares", &execution)?;
                Ok(lines.into_iter().find(|line| line.get("ExecutionsFailed").is_some()))
            });
            assert_eq!(counted.await?["ExecutionsFailed"], 1);

            fixture.hub.redrive(&execution).await?;
            let review = fixture.hub.reviewed(&execution).await?;
            let found = fixture.hub.access_review(review.page()?).await?;
            let entry = of(&found, "images", "id", &golden.image)?;
            assert_eq!(entry["shares"].as_array().map(Vec::len), Some(1));
        }
        Ok(())
    })
}

#[test]
fn a_review_whose_execution_history_is_nearly_full_continues_in_another_execution() -> Result<()> {
    flow_alone(async |fixture| {
        let (_, golden) = shared_and_still(fixture, "long").await?;
        let name = fixture.name("long-review");
        let nearly_full = json!({ "spent": { "pages": 1000, "reconciliations": 0 } });
        let first = fixture.hub.start_review(Some(&name), &nearly_full).await?;
        let first = fixture.hub.reviewed(&first).await?;
        let next = first.output["started"][0].as_str().unwrap_or_default();
        assert!(next.starts_with("page-2-of-") && next.ends_with(&name), "{next}");

        let second = first.execution.replace(&name, next);
        let second = fixture.hub.reviewed(&second).await?;
        assert!(second.page()?.contains(&name));
        let found = fixture.hub.access_review(second.page()?).await?;
        of(&found, "images", "id", &golden.image)?;
        Ok(())
    })
}

#[test]
fn the_scheduled_review_alone_repairs_changes_without_an_event() -> Result<()> {
    flow_on_schedule(async |fixture| {
        let b = fixture.target_account("b").await?;
        let topic = on_the_topic(fixture).await?;
        let golden = fixture.golden("scheduled").await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.hub.disable_rules().await?;
        fixture.hub.revoke_out_of_band(&golden.image, &b.id).await?;
        assert!(!b.sees(&golden.image).await?);
        fixture
            .hub
            .until("the next review has restored the access", async || {
                Ok(b.sees(&golden.image).await?.then_some(()))
            })
            .await?;
        assert!(launches(&b, &golden.image).await?);
        message(fixture, &topic, "AMI access review: ").await?;
        Ok(())
    })
}

#[test]
fn the_page_of_a_real_review_is_drawn_in_a_browser() -> Result<()> {
    flow_alone(async |fixture| {
        let ou = fixture.ou("drawn", &fixture.root).await?;
        let (b, c) = (fixture.account_in("b", &ou).await?, fixture.target_account("c").await?);
        let golden = copyable(fixture, "drawn", &format!("{ou} {} 999999999999", c.id)).await?;
        let plain = fixture.image("drawn-plain").await?;
        fixture.share(&plain, &b.id).await?;
        fixture.hub.grant_out_of_band(&plain, &c.id).await?;
        fixture.hub.wait_until_idle().await?;
        let review = fixture.hub.review().await?;
        let page = fixture.hub.object(review.page()?).await?;
        assert!(String::from_utf8_lossy(&page).contains(&golden.image));
        let file = workspace::target().join("tmp/real-review.html");
        fs::create_dir_all(workspace::target().join("tmp"))?;
        fs::write(&file, page)?;
        match browser::check_page(&file)? {
            Report::Checked { pictures, .. } => assert!(!pictures.is_empty()),
            // `browser` has printed why.
            Report::Skipped { .. } => (),
        }
        Ok(())
    })
}

/// More images than two pages of the ledger hold.
const MORE_THAN_A_PAGE: usize = 52;

/// The entry of a list in the report whose field `name` is `value`.
fn of<'a>(review: &'a Value, list: &str, name: &str, value: &str) -> Result<&'a Value> {
    let all = review.get(list).and_then(Value::as_array).context("no such list")?;
    let one = all.iter().find(|one| one.get(name).is_some_and(|found| found == value));
    one.with_context(|| format!("{value} is not among the {list}"))
}

/// How often each image has been reconciled.
async fn reconciliations(fixture: &Fixture, images: &[&str]) -> Result<Vec<usize>> {
    let mut reconciliations = Vec::new();
    for image in images {
        reconciliations.push(fixture.hub.executions_of(image).await?.len());
    }
    Ok(reconciliations)
}

/// The text of the topic's next message whose subject starts with `subject`.
async fn message(fixture: &Fixture, topic: &str, subject: &str) -> Result<String> {
    let text = |envelope: &Value, name: &str| envelope.get(name).and_then(Value::as_str).map(str::to_owned);
    fixture
        .hub
        .until("the message about the review has arrived", async || {
            let envelopes = fixture.hub.take(topic).await?;
            let mut matching = envelopes
                .iter()
                .filter(|envelope| text(envelope, "Subject").is_some_and(|found| found.starts_with(subject)));
            Ok(matching.next().and_then(|envelope| text(envelope, "Message")))
        })
        .await
}

/// Makes the policy of a key nearly as large as KMS allows.
async fn fill(fixture: &Fixture, key: &str) -> Result<()> {
    let policy = fixture.hub.key_policy(key).await?;
    let mut statements = foreign(&policy)?;
    let roles: Vec<String> =
        (0..500).map(|n| format!("arn:aws:iam::{HUB}:role/engineer-{n:04}-of-many")).collect();
    statements.push(json!({ "Sid": "ManyOfTheHub", "Effect": "Deny", "Principal": "*", "Action": "kms:Sign",
        "Resource": "*", "Condition": { "ArnEquals": { "aws:PrincipalArn": roles } } }));
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    fixture.hub.put_key_policy(key, &policy.to_string()).await
}

/// An account and an image that is shared with it, once no execution runs.
async fn shared_and_still(fixture: &Fixture, what: &str) -> Result<(Account, Golden)> {
    let b = fixture.target_account("b").await?;
    let golden = fixture.golden(what).await?;
    fixture.share(&golden.image, &b.id).await?;
    fixture.hub.wait_until_idle().await?;
    Ok((b, golden))
}

/// The same, with the launch permission removed out of band while the rules are disabled, so that only a review finds
/// it.
pub async fn revoked_unnoticed(fixture: &Fixture, what: &str) -> Result<(Account, Golden)> {
    let (b, golden) = shared_and_still(fixture, what).await?;
    fixture.hub.disable_rules().await?;
    fixture.hub.revoke_out_of_band(&golden.image, &b.id).await?;
    Ok((b, golden))
}

/// An interruption of `review-shares` before one of its calls.
fn interrupting(action: &str, call: usize, then: Then) -> Interruption {
    let (function, action) = ("review-shares".to_owned(), Some(action.to_owned()));
    Interruption { function, action, call, when: When::Before, then }
}

/// Whether a function was killed while it worked for a review.
async fn was_interrupted(fixture: &Fixture, review: &str) -> Result<bool> {
    let invocations = fixture.hub.invocations(review).await?;
    Ok(invocations.iter().any(|invocation| invocation.state == "killed"))
}
