//! Documents in a bucket.

use ami_share_aws::error::Fault;

use crate::replay::{Recorded, replay, replay_at};

const KEY: &str = "reviews/2026-11-02/part-0001.json";

fn s3_error(status: u16, code: &str) -> Recorded {
    Recorded(status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

fn page(keys: &[&str], token: &str) -> Recorded {
    let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let more = if token.is_empty() {
        "<IsTruncated>false</IsTruncated>".to_owned()
    } else {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    };
    Recorded(200, format!("<ListBucketResult>{contents}{more}</ListBucketResult>"))
}

#[tokio::test]
async fn a_custom_endpoint_puts_the_bucket_in_the_path() {
    // By name: the SDK puts the bucket into the path of a bare address without our configuration.
    let (clients, requests) = replay_at("localhost", vec![Recorded(200, String::new())]).await;
    clients.review_store("our-reviews").put(KEY, "application/json", b"[1]".to_vec()).await.unwrap();
    assert_eq!(requests.lines(), [format!("PUT /our-reviews/{KEY}?x-id=PutObject")]);
    assert_eq!(requests.bodies(), ["[1]"]);
}

#[tokio::test]
async fn an_object_is_read_by_its_key() {
    let (clients, requests) = replay(vec![Recorded(200, "[1]".to_owned())]).await;
    assert_eq!(clients.review_store("our-reviews").get(KEY).await.unwrap(), Some(b"[1]".to_vec()));
    assert_eq!(requests.lines(), [format!("GET /our-reviews/{KEY}?x-id=GetObject")]);
}

#[tokio::test]
async fn a_missing_key_is_nothing_but_a_missing_bucket_is_an_error() {
    let answers =
        vec![s3_error(404, "NoSuchKey"), s3_error(404, "NoSuchBucket"), s3_error(403, "AccessDenied")];
    let (clients, _) = replay(answers).await;
    let store = clients.review_store("our-reviews");
    assert_eq!(store.get(KEY).await.unwrap(), None);
    assert_eq!(store.get(KEY).await.unwrap_err().fault(), Fault::Missing);
    let error = store.get(KEY).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Denied);
    assert_eq!(error.to_string(), format!("s3:GetObject of our-reviews/{KEY} failed: no (AccessDenied)"));
}

#[tokio::test]
async fn a_list_has_all_its_pages() {
    let (clients, requests) = replay(vec![
        page(&["reviews/a", "reviews/b"], "more"),
        page(&[], "yet-more"),
        page(&["reviews/c"], ""),
    ])
    .await;
    let keys = clients.review_store("our-reviews").list("reviews/").await.unwrap();
    assert_eq!(keys, ["reviews/a", "reviews/b", "reviews/c"]);
    let sent = requests.lines();
    assert!(sent[0].starts_with("GET /our-reviews") && sent[0].contains("list-type=2"), "{sent:?}");
    assert!(sent.iter().all(|line| line.contains("prefix=reviews%2F")), "{sent:?}");
    assert!(sent[1].contains("continuation-token=more"), "{sent:?}");
    assert!(sent[2].contains("continuation-token=yet-more"), "{sent:?}");
}

#[tokio::test]
async fn a_bucket_that_asks_to_slow_down_is_a_retryable_error() {
    let (clients, _) = replay(vec![s3_error(503, "SlowDown"), s3_error(409, "OperationAborted")]).await;
    let store = clients.review_store("our-reviews");
    assert_eq!(store.list("reviews/").await.unwrap_err().fault(), Fault::Throttled);
    let error = store.put(KEY, "application/json", b"[]".to_vec()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient);
}
