//! The audit log: every grant and every revocation writes a complete row that never changes.

use std::collections::BTreeMap;

use ami_share_tests::launch::{Launch, launch};
use anyhow::{Result, bail};
use serde_json::Value;

use crate::clock::{now, written};
use crate::fixture::{Fixture, Golden, flow};
use crate::revocation::UNTAGGED;

type Rows = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn the_audit_log_records_every_grant_and_revocation_of_image_snapshots_and_key() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let started = written(now()?)?;
        let Golden { image, key } = created_by_a_known_principal(fixture, &b.id).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        fixture.hub.settled(&image).await?;
        let snapshot = fixture.hub.snapshots_of(&image).await?.remove(0);
        let granted = audit_log(fixture, &image).await?;
        assert_eq!(
            actions(&granted),
            [("key-granted", key.as_str()), ("snapshot-granted", &snapshot), ("image-granted", &image)]
        );
        for row in granted.values() {
            assert_eq!(
                (row["principals"].as_str(), row["intent"].as_str()),
                (b.id.as_str(), "1"),
                "{row:#?}"
            );
            assert_eq!(row["triggered_by"], "arn:aws:iam::111122223333:root", "{row:#?}");
            assert!(row["at"] >= started && row["at"] <= written(now()? + 1)?, "{row:#?}");
            assert!(row["request_id"].len() > 20, "{row:#?}");
            assert!(has_triggered(fixture, &image, &row["event"]).await?, "{row:#?}");
        }
        assert_eq!(request_ids(&granted), 3);

        for tag in ["ami-share:copy", "ami-share:with"] {
            fixture.hub.untag(&image, tag).await?;
        }
        fixture.hub.status(&image, |status| status == UNTAGGED).await?;
        fixture.hub.settled(&image).await?;
        let all = audit_log(fixture, &image).await?;
        let mut revoked = all.clone();
        revoked.retain(|place, _| !granted.contains_key(place));
        let mut actions = actions(&revoked);
        actions.sort_unstable();
        let mut expected =
            [("image-revoked", image.as_str()), ("key-revoked", &key), ("snapshot-revoked", &snapshot)];
        expected.sort_unstable();
        assert_eq!(actions, expected);
        for row in revoked.values() {
            assert_eq!(row["principals"], b.id, "{row:#?}");
            assert_ne!(row["intent"], "1");
            assert!(row["request_id"].len() > 20, "{row:#?}");
            assert!(has_triggered(fixture, &image, &row["event"]).await?, "{row:#?}");
        }
        assert_eq!(request_ids(&revoked), 3);
        // The earlier rows are unchanged, and a reconciliation that changes nothing writes no row.
        assert!(granted.iter().all(|(place, row)| all.get(place) == Some(row)));
        for _ in 0..2 {
            fixture.hub.reconcile(&image).await?;
        }
        assert_eq!(audit_log(fixture, &image).await?, all);
        Ok(())
    })
}

#[test]
fn the_audit_log_records_a_revocation_with_its_reason() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let image = fixture.image("reasons").await?;
        fixture.share(&image, &format!("{} {}", b.id, c.id)).await?;
        fixture.share_until_status(&image, &c.id, "shared with 1 account").await?;
        fixture.hub.untag(&image, "ami-share:with").await?;
        fixture.hub.status(&image, |status| status == UNTAGGED).await?;
        let rows = audit_log(fixture, &image).await?;
        let revoked: Vec<(&str, &str)> = rows
            .values()
            .filter(|row| row["action"] == "image-revoked")
            .map(|row| (row["principals"].as_str(), row["reason"].as_str()))
            .collect();
        let left = format!("ami-share:with no longer names {}", b.id);
        assert_eq!(
            revoked,
            [(b.id.as_str(), left.as_str()), (c.id.as_str(), "the image has no ami-share: tags any more")]
        );
        Ok(())
    })
}

/// How many images to try on a busy machine, where an image may be available before CloudTrail's event of it arrives.
const TRIES: usize = 5;

/// An image on its own key that is created with its tags: CloudTrail's event names the triggering principal while the
/// image is pending. If the event arrives later, the image is shared before its principal is known: then this tries
/// another image.
async fn created_by_a_known_principal(fixture: &Fixture, selectors: &str) -> Result<Golden> {
    for _ in 0..TRIES {
        let Golden { image: source, key } = fixture.golden("source").await?;
        let Launch::Started(instance) = launch(&fixture.hub, &source).await? else {
            bail!("the hub cannot launch its own image");
        };
        let tags = [("ami-share:with", selectors), ("ami-share:copy", "allowed")];
        let image = fixture.hub.create_image(&fixture.name("known-principal"), &instance, &tags).await?;
        let is_known = async || {
            let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
            let is_recorded = rows.get("INTENT").is_some_and(|intent| intent["number"] == "0");
            let is_pending = fixture.hub.image_state(&image).await? == "pending";
            Ok((is_recorded || !is_pending).then_some(is_recorded && is_pending))
        };
        if fixture.hub.until("the ledger names the principal or the image is available", is_known).await? {
            return Ok(Golden { image, key });
        }
    }
    bail!("each image was available before the event of its creation arrived")
}

/// The rows of an image's audit log, the oldest first.
async fn audit_log(fixture: &Fixture, image: &str) -> Result<Rows> {
    fixture.hub.ledger(&format!("AUDIT#{image}")).await
}

/// The action and the resource of each row.
fn actions(rows: &Rows) -> Vec<(&str, &str)> {
    rows.values().map(|row| (row["action"].as_str(), row["resource"].as_str())).collect()
}

/// How many different requests the rows name.
fn request_ids(rows: &Rows) -> usize {
    let mut ids: Vec<&str> = rows.values().map(|row| row["request_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

/// Whether an event with this id has started a reconciliation of the image.
async fn has_triggered(fixture: &Fixture, image: &str, event: &str) -> Result<bool> {
    let inputs = fixture.hub.executions_of(image).await?;
    Ok(inputs.values().any(|input| input.get("id").and_then(Value::as_str) == Some(event)))
}
