//! More targets than AWS lets one image have.

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::outcomes::{calls, watch};
use crate::scene::flow_on_guard;

const TOO_MANY: usize = 1_001;

#[test]
fn more_than_a_thousand_targets_are_refused_before_anything_is_sent() -> Result<()> {
    flow_on_guard(async |scene| {
        let made: Vec<String> = stream::iter(0..TOO_MANY)
            .map(async |n| scene.hub.create_tagged_account(&format!("crowd-{n}"), "Crowd", "yes").await)
            .buffer_unordered(8)
            .try_collect()
            .await?;
        let golden = scene.golden("crowd").await?;
        let queue = watch(scene, &golden.image, &golden.key).await?;
        let policy = scene.hub.key_policy(&golden.key).await?;
        let words = format!("tag:Crowd=yes {}", made[0]);
        assert_eq!(
            scene.share(&golden.image, &words).await?,
            "refused: 1001 targets are more than the 1000 launch permissions that one image may have; name OUs or `org` instead of their accounts"
        );
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        assert!(scene.hub.launch_permissions(&golden.image).await?.is_empty());
        assert_eq!(scene.hub.key_policy(&golden.key).await?, policy);

        // The remedy works: they are one target.
        scene.share_until_status(&golden.image, "org", "shared with 1 organization").await?;
        Ok(())
    })
}
