//! How many connections the calls of a function use.

use std::sync::atomic::Ordering;

use ami_share_domain::ids::ImageId;

use crate::replay::replay_on_open_connections;

#[tokio::test]
async fn all_readers_and_writers_of_a_service_share_one_connection() {
    let (clients, connections) =
        replay_on_open_connections(r#"{"Items":[],"Count":0,"ScannedCount":0}"#).await;
    let image: ImageId = "ami-0abcdef1234567890".parse().unwrap();
    for _ in 0..3 {
        clients.ledger_reader("ledger").image(&image).await.unwrap();
        clients.clone().ledger_reader("ledger").image(&image).await.unwrap();
        clients.leases("ledger").of_image(&image, "invocation").await.unwrap().release().await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
