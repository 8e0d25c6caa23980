//! Messages to the hub's topic.

use crate::Recorded;
use crate::replay::replay;

const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:ami-share-notifications";

/// Source: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
#[tokio::test]
async fn a_subject_is_short_and_plain_and_the_text_is_whole() {
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let (clients, requests) = replay(vec![Recorded(200, published.to_owned())]).await;
    let subject = format!("review\n– {}", "x".repeat(200));
    clients.topic(TOPIC).notify(&subject, "42 images\n").await.unwrap();
    let sent = &requests.bodies()[0];
    let subject = sent.split('&').find_map(|pair| pair.strip_prefix("Subject=")).unwrap();
    assert_eq!(subject, format!("review%20{}", "x".repeat(93)));
    assert!(sent.contains("Message=42%20images%0A"), "{sent}");
}
