//! Helps the tests to see which calls ami-share makes: it reads CloudTrail's events of an image and its key.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A queue of the hub that receives, from now on, the events of calls on an image or key and of changes of the image's
/// tags.
pub async fn watch(fixture: &Fixture, image: &str, key: &str) -> Result<String> {
    let pattern = json!({ "$or": [
        { "detail": { "requestParameters": { "imageId": [image] } } },
        { "detail": { "requestParameters": { "keyId": [key] } } },
        { "resources": [{ "suffix": image }], "source": ["aws.tag"] },
    ] });
    let queue = fixture.hub.watch("default", &fixture.name("calls"), &pattern).await?;
    // Earlier events may still be on their way. Events arrive in their order, so this one arrives after all of them.
    let fence = fixture.name("fence");
    let detail = json!({ "requestParameters": { "imageId": image } });
    fixture.hub.put_event(&fence, &detail).await?;
    let has_arrived = async || {
        let received = fixture.hub.take(&queue).await?;
        Ok(received.iter().any(|event| event["source"] == fence.as_str()).then_some(()))
    };
    fixture.hub.until("the fence has arrived", has_arrived).await?;
    Ok(queue)
}

/// The names of the calls in the queue of [`watch`], which waits for the event of the next status tag.
pub async fn calls(fixture: &Fixture, queue: &str) -> Result<Vec<String>> {
    let mut events: Vec<Value> = Vec::new();
    fixture
        .hub
        .until("the event of the status tag has arrived", async || {
            events.extend(fixture.hub.take(queue).await?);
            Ok(events.iter().any(is_status_change).then_some(()))
        })
        .await?;
    let names = events.iter().filter_map(|event| event.pointer("/detail/eventName")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

fn is_status_change(event: &Value) -> bool {
    event.pointer("/detail/changed-tag-keys") == Some(&json!(["ami-share:status"]))
}
