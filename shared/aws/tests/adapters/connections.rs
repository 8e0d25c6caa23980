//! How many connections the calls of a function take.

use std::sync::atomic::Ordering;

use ami_share_domain::ids::ImageId;

use crate::replay::replay_on_open_connections;

#[tokio::test]
async fn whatever_is_made_for_a_service_shares_one_connection_to_it() {
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
