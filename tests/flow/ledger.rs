//! What the ledger remembers: what was asked for, what was granted and refused, and whom a key must admit.

use anyhow::Result;
use serde_json::json;

use crate::scene::flow;

#[test]
fn it_says_what_was_granted_to_whom_with_which_keys_since_and_until_when() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("remembered").await?;
        let words = format!("{} 999999999999", b.id);
        scene
            .hub
            .tag(&golden.image, &[("ami-share:with", &words), ("ami-share:until", "2099-12-31")])
            .await?;
        let status = scene.hub.status(&golden.image, |_| true).await?;
        // The ledger says of the tag what the tag says already.
        scene.hub.settled(&golden.image).await?;
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        let intent = &rows["INTENT"];
        assert_eq!(intent["number"], "1");
        assert_eq!(intent["targets"], b.id);
        assert_eq!(intent["keys"], golden.key);
        let shared = &rows[&format!("SHARE#{}", b.id)];
        assert_eq!((shared["target"].as_str(), shared["outcome"].as_str()), (b.id.as_str(), "shared"));
        assert_eq!(shared["keys"], golden.key);
        assert_eq!(shared["is_ours"], "true");
        assert_eq!(shared["until"], "2099-12-31T23:59:59Z");
        assert!(shared["since"].starts_with("20") && shared["since"].ends_with('Z'), "{shared:?}");
        assert!(!shared["event"].is_empty());
        let refused = &rows["SHARE#999999999999"];
        assert_eq!((refused["outcome"].as_str(), refused["code"].as_str()), ("refused", "stranger"));
        assert!(refused["reason"].starts_with("999999999999 is not in this organization"));
        assert_eq!(rows["TOLD"]["status"], status);

        let rows = scene.hub.ledger(&format!("KEY#{}", golden.key)).await?;
        assert_eq!(rows[&format!("IMAGE#{}", golden.image)]["principals"], b.id);
        Ok(())
    })
}

#[test]
fn a_share_keeps_its_date_while_others_come_and_refusals_go() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let image = scene.image("dated").await?;
        scene.share(&image, &format!("{} 999999999999", b.id)).await?;
        let before = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        scene.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        let after = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        let row = format!("SHARE#{}", b.id);
        assert_eq!(after[&row], before[&row]);
        assert!(after.contains_key(&format!("SHARE#{}", c.id)));
        assert!(!after.contains_key("SHARE#999999999999"));
        assert_eq!(after["INTENT"]["number"], "2");
        Ok(())
    })
}

#[test]
fn it_says_who_asked_where_the_event_says_so() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let name = scene.name("asked");
        let image = scene.hub.register_image(&name, &[], &[("ami-share:with", &b.id)]).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        let asked_by = scene
            .hub
            .until("CloudTrail has said who asked", async || {
                let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
                Ok(rows.get(&format!("SHARE#{}", b.id)).and_then(|row| row.get("asked_by").cloned()))
            })
            .await?;
        assert_eq!(asked_by, "arn:aws:iam::111122223333:root");
        Ok(())
    })
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("dry-run").await?;
        // A held key keeps the real share from getting ahead of the dry run.
        scene.hub.hold_key(&golden.key).await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        let policy = scene.hub.key_policy(&golden.key).await?;
        let input = json!({ "image_id": golden.image, "dry_run": true });
        let execution = scene.hub.start_execution(&input).await?;
        let (state, output) = scene.hub.outcome(&execution).await?;
        assert_eq!(state, "SUCCEEDED", "{output}");
        assert!(output.contains("shared with 1 account") && output.contains("AMI Shared"), "{output}");
        assert_eq!(scene.hub.key_policy(&golden.key).await?, policy);
        assert!(!b.sees(&golden.image).await?);
        assert_eq!(scene.hub.tags(&golden.image).await?.get("ami-share:status"), None);
        scene.hub.release_key(&golden.key).await?;
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}
