//! What AWS is told to do, as CloudTrail's events tell it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A queue of the hub that keeps the calls on an image or key, and the changes of the image's tags, from now on.
pub async fn watch(fixture: &Fixture, image: &str, key: &str) -> Result<String> {
    let pattern = json!({ "$or": [
        { "detail": { "requestParameters": { "imageId": [image] } } },
        { "detail": { "requestParameters": { "keyId": [key] } } },
        { "resources": [{ "suffix": image }], "source": ["aws.tag"] },
    ] });
    let queue = fixture.hub.watch("default", &fixture.name("calls"), &pattern).await?;
    // What happened before may not have been told yet. Events come in their order: with this one, all of it has.
    let fence = fixture.name("fence");
    let detail = json!({ "requestParameters": { "imageId": image } });
    fixture.hub.put_event(&fence, &detail).await?;
    let is_past = async || {
        let taken = fixture.hub.take(&queue).await?;
        Ok(taken.iter().any(|event| event["source"] == fence.as_str()).then_some(()))
    };
    fixture.hub.until("the fence is told", is_past).await?;
    Ok(queue)
}

/// The names of the calls that a watched queue holds, up to the last change of the status tag.
pub async fn calls(fixture: &Fixture, queue: &str) -> Result<Vec<String>> {
    let mut events: Vec<Value> = Vec::new();
    fixture
        .hub
        .until("the change of the status tag is told", async || {
            events.extend(fixture.hub.take(queue).await?);
            Ok(events.iter().any(is_status_change).then_some(()))
        })
        .await?;
    let named = events.iter().filter_map(|event| event.pointer("/detail/eventName")?.as_str());
    Ok(named.map(str::to_owned).collect())
}

fn is_status_change(event: &Value) -> bool {
    event.pointer("/detail/changed-tag-keys") == Some(&json!(["ami-share:status"]))
}
