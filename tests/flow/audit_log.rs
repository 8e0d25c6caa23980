//! The history: every grant and every withdrawal leaves a row that says all of it and never changes.

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
        let Golden { image, key } = made_by_a_known_principal(fixture, &b.id).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        fixture.hub.settled(&image).await?;
        let snapshot = fixture.hub.snapshots_of(&image).await?.remove(0);
        let result = audit_log(fixture, &image).await?;
        assert_eq!(
            actions(&result),
            [("key-granted", key.as_str()), ("snapshot-granted", &snapshot), ("image-granted", &image)]
        );
        for row in result.values() {
            assert_eq!(
                (row["principals"].as_str(), row["intent"].as_str()),
                (b.id.as_str(), "1"),
                "{row:#?}"
            );
            assert_eq!(row["by"], "arn:aws:iam::111122223333:root", "{row:#?}");
            assert!(row["at"] >= started && row["at"] <= written(now()? + 1)?, "{row:#?}");
            assert!(row["request_id"].len() > 20, "{row:#?}");
            assert!(has_happened(fixture, &image, &row["event"]).await?, "{row:#?}");
        }
        assert_eq!(request_ids(&result), 3);

        for tag in ["ami-share:copy", "ami-share:with"] {
            fixture.hub.untag(&image, tag).await?;
        }
        fixture.hub.status(&image, |status| status == UNTAGGED).await?;
        fixture.hub.settled(&image).await?;
        let both = audit_log(fixture, &image).await?;
        let mut taken = both.clone();
        taken.retain(|place, _| !result.contains_key(place));
        let mut closed = actions(&taken);
        closed.sort_unstable();
        let mut expected =
            [("image-revoked", image.as_str()), ("key-revoked", &key), ("snapshot-revoked", &snapshot)];
        expected.sort_unstable();
        assert_eq!(closed, expected);
        for row in taken.values() {
            assert_eq!(row["principals"], b.id, "{row:#?}");
            assert_ne!(row["intent"], "1");
            assert!(row["request_id"].len() > 20, "{row:#?}");
            assert!(has_happened(fixture, &image, &row["event"]).await?, "{row:#?}");
        }
        assert_eq!(request_ids(&taken), 3);
        // What was written before stands as it was; and where nothing is done, nothing is written.
        assert!(result.iter().all(|(place, row)| both.get(place) == Some(row)));
        for _ in 0..2 {
            fixture.hub.trigger(&image).await?;
        }
        assert_eq!(audit_log(fixture, &image).await?, both);
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
        let closed: Vec<(&str, &str)> = rows
            .values()
            .filter(|row| row["action"] == "image-revoked")
            .map(|row| (row["principals"].as_str(), row["reason"].as_str()))
            .collect();
        let left = format!("ami-share:with no longer names {}", b.id);
        assert_eq!(
            closed,
            [(b.id.as_str(), left.as_str()), (c.id.as_str(), "the image has no ami-share: tags any more")]
        );
        Ok(())
    })
}

/// How often a machine may be so busy that an image is available before its making has been heard of.
const TRIES: usize = 5;

/// An image on a key of its own that is made with its tags, so that CloudTrail says who asked while it is pending. Where
/// that is heard only afterwards, who made it is not known when it is shared, and another one is made.
async fn made_by_a_known_principal(fixture: &Fixture, selectors: &str) -> Result<Golden> {
    for _ in 0..TRIES {
        let Golden { image: source, key } = fixture.golden("source").await?;
        let Launch::Started(instance) = launch(&fixture.hub, &source).await? else {
            bail!("the hub cannot launch its own image");
        };
        let tags = [("ami-share:with", selectors), ("ami-share:copy", "allowed")];
        let image = fixture.hub.create_image(&fixture.name("remembered"), &instance, &tags).await?;
        let is_known = async || {
            let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
            let is_on_record = rows.get("INTENT").is_some_and(|intent| intent["number"] == "0");
            let is_pending = fixture.hub.image_state(&image).await? == "pending";
            Ok((is_on_record || !is_pending).then_some(is_on_record && is_pending))
        };
        if fixture.hub.until("it is known who made the image", is_known).await? {
            return Ok(Golden { image, key });
        }
    }
    bail!("each image was available before its making had been heard of")
}

/// The rows of an image's history, in the order in which things were done.
async fn audit_log(fixture: &Fixture, image: &str) -> Result<Rows> {
    fixture.hub.ledger(&format!("AUDIT#{image}")).await
}

/// What was done to what.
fn actions(rows: &Rows) -> Vec<(&str, &str)> {
    rows.values().map(|row| (row["action"].as_str(), row["resource"].as_str())).collect()
}

/// How many requests the rows name.
fn request_ids(rows: &Rows) -> usize {
    let mut ids: Vec<&str> = rows.values().map(|row| row["request_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

/// Whether an event with this id has started a look at the image.
async fn has_happened(fixture: &Fixture, image: &str, event: &str) -> Result<bool> {
    let inputs = fixture.hub.executions_of(image).await?;
    Ok(inputs.values().any(|input| input.get("id").and_then(Value::as_str) == Some(event)))
}
