//! The ledger records what is desired, what was granted and refused, and which principals a key must grant.

use anyhow::Result;
use serde_json::json;

use crate::fixture::flow;

#[test]
fn the_ledger_records_target_keys_start_and_end_of_each_share() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("recorded").await?;
        let selectors = format!("{} 999999999999", b.id);
        fixture
            .hub
            .tag(&golden.image, &[("ami-share:with", &selectors), ("ami-share:until", "2099-12-31")])
            .await?;
        let status = fixture.hub.status(&golden.image, |_| true).await?;
        // The row NOTIFIED has the status once the reconciliation has ended.
        fixture.hub.settled(&golden.image).await?;
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        let intent = &rows["INTENT"];
        assert_eq!(intent["number"], "1");
        assert_eq!(intent["targets"], b.id);
        assert_eq!(intent["keys"], golden.key);
        let shared = &rows[&format!("SHARE#{}", b.id)];
        assert_eq!((shared["target"].as_str(), shared["outcome"].as_str()), (b.id.as_str(), "shared"));
        assert_eq!(shared["keys"], golden.key);
        assert_eq!(shared["is_managed"], "true");
        assert_eq!(shared["until"], "2099-12-31T23:59:59Z");
        assert!(shared["since"].starts_with("20") && shared["since"].ends_with('Z'), "{shared:?}");
        assert!(!shared["event"].is_empty());
        let refused = &rows["SHARE#999999999999"];
        assert_eq!(
            (refused["outcome"].as_str(), refused["code"].as_str()),
            ("refused", "external-not-allowed")
        );
        assert!(refused["reason"].contains("external-account"), "{refused:?}");
        assert_eq!(rows["NOTIFIED"]["status"], status);

        let rows = fixture.hub.ledger(&format!("KEY#{}", golden.key)).await?;
        assert_eq!(rows[&format!("IMAGE#{}", golden.image)]["principals"], b.id);
        Ok(())
    })
}

#[test]
fn a_share_keeps_its_date_while_others_are_added_and_refusals_disappear() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let image = fixture.image("dated").await?;
        fixture.share(&image, &format!("{} 999999999999", b.id)).await?;
        let before = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        fixture.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        let after = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        let row = format!("SHARE#{}", b.id);
        assert_eq!(after[&row], before[&row]);
        assert!(after.contains_key(&format!("SHARE#{}", c.id)));
        assert!(!after.contains_key("SHARE#999999999999"));
        assert_eq!(after["INTENT"]["number"], "2");
        Ok(())
    })
}

#[test]
fn the_ledger_records_the_triggering_principal_if_the_event_names_it() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let name = fixture.name("triggered_by");
        let image = fixture.hub.register_image(&name, &[], &[("ami-share:with", &b.id)]).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        let triggered_by = fixture
            .hub
            .until("the event of CloudTrail has named the triggering principal", async || {
                let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
                Ok(rows.get(&format!("SHARE#{}", b.id)).and_then(|row| row.get("triggered_by").cloned()))
            })
            .await?;
        assert_eq!(triggered_by, "arn:aws:iam::111122223333:root");
        Ok(())
    })
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("dry-run").await?;
        // A held key keeps the real share waiting until the dry run has ended.
        fixture.hub.hold_key_lease(&golden.key).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        let policy = fixture.hub.key_policy(&golden.key).await?;
        let input = json!({ "image_id": golden.image, "dry_run": true });
        let execution = fixture.hub.start_execution(&input).await?;
        let (state, output) = fixture.hub.outcome(&execution).await?;
        assert_eq!(state, "SUCCEEDED", "{output}");
        assert!(output.contains("shared with 1 account") && output.contains("AMI Shared"), "{output}");
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, policy);
        assert!(!b.sees(&golden.image).await?);
        assert_eq!(fixture.hub.tags(&golden.image).await?.get("ami-share:status"), None);
        fixture.hub.release_key_lease(&golden.key).await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}
