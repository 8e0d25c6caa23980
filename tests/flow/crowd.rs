//! More targets than an image may have launch permissions are refused before any call.

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::cloudtrail::{calls, watch};
use crate::fixture::flow_within_limits;

const TOO_MANY: usize = 1_001;

#[test]
fn more_than_a_thousand_targets_are_refused_before_anything_is_sent() -> Result<()> {
    flow_within_limits(async |fixture| {
        let accounts: Vec<String> = stream::iter(0..TOO_MANY)
            .map(async |n| fixture.hub.create_tagged_account(&format!("crowd-{n}"), "Crowd", "yes").await)
            .buffer_unordered(8)
            .try_collect()
            .await?;
        let golden = fixture.golden("crowd").await?;
        let queue = watch(fixture, &golden.image, &golden.key).await?;
        let policy = fixture.hub.key_policy(&golden.key).await?;
        let selectors = format!("tag:Crowd=yes {}", accounts[0]);
        assert_eq!(
            fixture.share(&golden.image, &selectors).await?,
            "refused: ami-share:with names 1001 targets, more than the 1000 launch permissions that one image can have; name OUs or `org` instead of their accounts"
        );
        assert_eq!(calls(fixture, &queue).await?, [""; 0]);
        assert!(fixture.hub.launch_permissions(&golden.image).await?.is_empty());
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, policy);

        // The next step that the status names works: the organization is one target.
        fixture.share_until_status(&golden.image, "org", "shared with 1 organization").await?;
        Ok(())
    })
}
