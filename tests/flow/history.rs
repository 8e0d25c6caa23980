//! The history: every grant and every withdrawal leaves a row that says all of it and never changes.

use std::collections::BTreeMap;

use ami_share_tests::launch::{Launch, launch};
use anyhow::{Result, bail};
use serde_json::Value;

use crate::clock::{now, written};
use crate::scene::{Golden, Scene, flow};
use crate::withdrawal::UNTAGGED;

type Rows = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn every_grant_and_withdrawal_of_image_snapshots_and_key_is_written_down_for_good() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let started = written(now()?)?;
        let Golden { image, key } = made_by_somebody_known(scene, &b.id).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        scene.hub.settled(&image).await?;
        let snapshot = scene.hub.snapshots_of(&image).await?.remove(0);
        let given = history(scene, &image).await?;
        assert_eq!(
            deeds(&given),
            [("key-opened", key.as_str()), ("snapshot-opened", &snapshot), ("image-opened", &image)]
        );
        for row in given.values() {
            assert_eq!((row["whom"].as_str(), row["intent"].as_str()), (b.id.as_str(), "1"), "{row:#?}");
            assert_eq!(row["by"], "arn:aws:iam::111122223333:root", "{row:#?}");
            assert!(row["at"] >= started && row["at"] <= written(now()? + 1)?, "{row:#?}");
            assert!(row["request_id"].len() > 20, "{row:#?}");
            assert!(has_happened(scene, &image, &row["event"]).await?, "{row:#?}");
        }
        assert_eq!(request_ids(&given), 3);

        for tag in ["ami-share:copy", "ami-share:with"] {
            scene.hub.untag(&image, tag).await?;
        }
        scene.hub.status(&image, |status| status == UNTAGGED).await?;
        scene.hub.settled(&image).await?;
        let both = history(scene, &image).await?;
        let mut taken = both.clone();
        taken.retain(|place, _| !given.contains_key(place));
        let mut closed = deeds(&taken);
        closed.sort_unstable();
        let mut expected =
            [("image-closed", image.as_str()), ("key-closed", &key), ("snapshot-closed", &snapshot)];
        expected.sort_unstable();
        assert_eq!(closed, expected);
        for row in taken.values() {
            assert_eq!(row["whom"], b.id, "{row:#?}");
            assert_ne!(row["intent"], "1");
            assert!(row["request_id"].len() > 20, "{row:#?}");
            assert!(has_happened(scene, &image, &row["event"]).await?, "{row:#?}");
        }
        assert_eq!(request_ids(&taken), 3);
        // What was written before stands as it was; and where nothing is done, nothing is written.
        assert!(given.iter().all(|(place, row)| both.get(place) == Some(row)));
        for _ in 0..2 {
            scene.hub.look(&image).await?;
        }
        assert_eq!(history(scene, &image).await?, both);
        Ok(())
    })
}

#[test]
fn a_withdrawal_is_written_down_with_its_reason() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let image = scene.image("reasons").await?;
        scene.share(&image, &format!("{} {}", b.id, c.id)).await?;
        scene.share_until_status(&image, &c.id, "shared with 1 account").await?;
        scene.hub.untag(&image, "ami-share:with").await?;
        scene.hub.status(&image, |status| status == UNTAGGED).await?;
        let rows = history(scene, &image).await?;
        let closed: Vec<(&str, &str)> = rows
            .values()
            .filter(|row| row["deed"] == "image-closed")
            .map(|row| (row["whom"].as_str(), row["reason"].as_str()))
            .collect();
        let left = format!("{} is no longer among those whom ami-share:with names", b.id);
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
async fn made_by_somebody_known(scene: &Scene, words: &str) -> Result<Golden> {
    for _ in 0..TRIES {
        let Golden { image: source, key } = scene.golden("source").await?;
        let Launch::Started(instance) = launch(&scene.hub, &source).await? else {
            bail!("the hub cannot launch its own image");
        };
        let tags = [("ami-share:with", words), ("ami-share:copy", "allowed")];
        let image = scene.hub.create_image(&scene.name("remembered"), &instance, &tags).await?;
        let is_known = async || {
            let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
            let is_on_record = rows.get("INTENT").is_some_and(|intent| intent["number"] == "0");
            let is_pending = scene.hub.image_state(&image).await? == "pending";
            Ok((is_on_record || !is_pending).then_some(is_on_record && is_pending))
        };
        if scene.hub.until("it is known who made the image", is_known).await? {
            return Ok(Golden { image, key });
        }
    }
    bail!("each image was available before its making had been heard of")
}

/// The rows of an image's history, in the order in which things were done.
async fn history(scene: &Scene, image: &str) -> Result<Rows> {
    scene.hub.ledger(&format!("AUDIT#{image}")).await
}

/// What was done to what.
fn deeds(rows: &Rows) -> Vec<(&str, &str)> {
    rows.values().map(|row| (row["deed"].as_str(), row["resource"].as_str())).collect()
}

/// How many requests the rows name.
fn request_ids(rows: &Rows) -> usize {
    let mut ids: Vec<&str> = rows.values().map(|row| row["request_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

/// Whether an event with this id has started a look at the image.
async fn has_happened(scene: &Scene, image: &str, event: &str) -> Result<bool> {
    let inputs = scene.hub.executions_of(image).await?;
    Ok(inputs.values().any(|input| input.get("id").and_then(Value::as_str) == Some(event)))
}
