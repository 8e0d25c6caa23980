//! Reading images: one, several, and page by page.

use ami_share_domain::ids::{ImageId, SnapshotId};

use crate::replay::{Recorded, replay};
use crate::{ec2_error, image};

/// An image as EC2 answers it, with one snapshot on two of its devices.
fn item(id: &str, state: &str) -> String {
    let device = "<item><ebs><snapshotId>snap-0abcdef1234567890</snapshotId></ebs></item>";
    let devices = format!(
        "<blockDeviceMapping>{device}{device}<item><virtualName>ephemeral0</virtualName></item></blockDeviceMapping>"
    );
    let tag = "<tagSet><item><key>ami-share:with</key><value>org</value></item></tagSet>";
    format!(
        "<item><imageId>{id}</imageId><imageState>{state}</imageState><imageOwnerId>111122223333</imageOwnerId>\
         <name>golden</name>{devices}{tag}</item>"
    )
}

fn images(items: &str, token: &str) -> Recorded {
    let body = format!("<imagesSet>{items}</imagesSet>{token}");
    Recorded(200, format!("<DescribeImagesResponse>{body}</DescribeImagesResponse>"))
}

fn id(at: usize) -> ImageId {
    format!("ami-{at:017}").parse().unwrap()
}

#[tokio::test]
async fn the_image_reader_requests_and_finds_disabled_images() {
    let (clients, requests) = replay(vec![images(&item("ami-0abcdef1234567890", "disabled"), "")]).await;
    let found = clients.image_reader().image(&image()).await.unwrap().unwrap();
    assert_eq!((found.state.as_str(), found.is_available), ("disabled", false));
    assert_eq!(found.image.id, image());
    assert_eq!((found.image.name.as_str(), found.image.owner.as_str()), ("golden", "111122223333"));
    assert_eq!(found.tags["ami-share:with"], "org");
    assert_eq!(
        found.snapshots.iter().map(|snapshot| snapshot.as_str()).collect::<Vec<_>>(),
        ["snap-0abcdef1234567890"]
    );
    let sent = &requests.bodies()[0];
    assert!(
        sent.contains("ImageId.1=ami-0abcdef1234567890") && sent.contains("IncludeDisabled=true"),
        "{sent}"
    );
}

#[tokio::test]
async fn an_image_that_was_deregistered_a_while_ago_is_no_error() {
    let (clients, _) = replay(vec![images("", "")]).await;
    assert!(clients.image_reader().image(&image()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_image_without_an_owner_is_an_unusable_answer() {
    let (clients, _) =
        replay(vec![images("<item><imageId>ami-0abcdef1234567890</imageId></item>", "")]).await;
    let error = clients.image_reader().image(&image()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ec2:DescribeImages of ami-0abcdef1234567890 returned an image without an owner"
    );
}

#[tokio::test]
async fn managed_images_come_page_by_page_and_an_empty_page_may_have_a_next_one() {
    let answers = vec![
        images("", "<nextToken>two</nextToken>"),
        images(&format!("{}{}", item(id(1).as_str(), "available"), item(id(2).as_str(), "disabled")), ""),
    ];
    let (clients, requests) = replay(answers).await;
    let reader = clients.image_reader();
    let (none, next) = reader.managed_page(None).await.unwrap();
    assert!(none.is_empty());
    assert_eq!(next.as_deref(), Some("two"));
    let (two, end) = reader.managed_page(next).await.unwrap();
    assert_eq!(
        two.iter().map(|found| (&found.image.id, found.is_available)).collect::<Vec<_>>(),
        [(&id(1), true), (&id(2), false)]
    );
    assert_eq!(end, None);
    let sent = requests.bodies();
    for part in [
        "Filter.1.Name=tag-key",
        "Filter.1.Value.1=ami-share%3A%2A",
        "Owner.1=self",
        "IncludeDisabled=true",
        "MaxResults=100",
    ] {
        assert!(sent.iter().all(|body| body.contains(part)), "{part}: {sent:?}");
    }
    assert!(!sent[0].contains("NextToken") && sent[1].contains("NextToken=two"), "{sent:?}");
}

#[tokio::test]
async fn images_are_requested_a_hundred_at_a_time_and_missing_ones_are_absent() {
    let answers = vec![
        images(&item(id(3).as_str(), "available"), "<nextToken>two</nextToken>"),
        images(&item(id(4).as_str(), "disabled"), ""),
        images(&item(id(100).as_str(), "available"), ""),
    ];
    let (clients, requests) = replay(answers).await;
    let ids: Vec<ImageId> = (0..101).map(id).collect();
    let found = clients.image_reader().found(&ids).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&id(3), &id(4), &id(100)]);
    let sent = requests.bodies();
    assert!(
        sent[0].contains("Filter.1.Name=image-id") && sent[0].contains("Filter.1.Value.100="),
        "{}",
        sent[0]
    );
    assert!(sent[1].contains("NextToken=two"), "{}", sent[1]);
    assert!(
        sent[2].contains("Filter.1.Value.1=ami-00000000000000100") && !sent[2].contains("Value.2="),
        "{}",
        sent[2]
    );
    assert!(
        sent.iter().all(|body| body.contains("IncludeDisabled=true") && !body.contains("ImageId.1")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn an_empty_list_of_images_makes_no_call() {
    let (clients, requests) = replay(vec![]).await;
    assert!(clients.image_reader().found(&[]).await.unwrap().is_empty());
    assert!(requests.bodies().is_empty());
}

#[tokio::test]
async fn the_images_of_a_snapshot_are_owned_by_the_hub() {
    let answers = vec![
        images(&item(id(1).as_str(), "available"), "<nextToken>two</nextToken>"),
        images(&item(id(2).as_str(), "disabled"), ""),
    ];
    let (clients, requests) = replay(answers).await;
    let snapshot = "snap-0abcdef1234567890".parse().unwrap();
    assert_eq!(clients.image_reader().of_snapshot(&snapshot).await.unwrap(), [id(1), id(2)]);
    let sent = &requests.bodies()[0];
    assert!(sent.contains("Filter.1.Name=block-device-mapping.snapshot-id"), "{sent}");
    assert!(
        sent.contains("Filter.1.Value.1=snap-0abcdef1234567890") && sent.contains("Owner.1=self"),
        "{sent}"
    );
}

#[tokio::test]
async fn adaptive_clients_send_the_same_requests() {
    let (clients, requests) =
        replay(vec![ec2_error("RequestLimitExceeded", "Request limit exceeded.")]).await;
    let error = clients.adaptive().image_reader().managed_page(None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ec2:DescribeImages of tagged images failed: Request limit exceeded. (RequestLimitExceeded)"
    );
    assert_eq!(requests.bodies().len(), 1);
}

fn snapshots(items: &str) -> Recorded {
    let body = format!("<snapshotSet>{items}</snapshotSet>");
    Recorded(200, format!("<DescribeSnapshotsResponse>{body}</DescribeSnapshotsResponse>"))
}

fn snapshot_item(at: usize, owner: &str) -> String {
    format!("<item><snapshotId>snap-{at:017}</snapshotId><ownerId>{owner}</ownerId></item>")
}

#[tokio::test]
async fn the_owner_of_each_snapshot_is_known_and_a_missing_one_hides_no_other() {
    let ids: Vec<SnapshotId> = (1..=2).map(|at| format!("snap-{at:017}").parse().unwrap()).collect();
    let both = format!("{}{}", snapshot_item(1, "111122223333"), snapshot_item(2, "222222222222"));
    let (clients, _) = replay(vec![snapshots(&both)]).await;
    let found = clients.image_reader().snapshots(&image(), &ids).await.unwrap();
    assert_eq!(found[&ids[1]].owner.as_str(), "222222222222");

    let missing = || ec2_error("InvalidSnapshot.NotFound", "The snapshot does not exist.");
    let answers =
        [vec![missing(), snapshots(&snapshot_item(1, "111122223333"))], vec![missing(); 20]].concat();
    let (clients, _) = replay(answers).await;
    let found = clients.image_reader().snapshots(&image(), &ids).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&ids[0]]);

    let denied = ec2_error("UnauthorizedOperation", "You are not authorized.");
    let (clients, _) = replay(vec![denied]).await;
    assert!(clients.image_reader().snapshots(&image(), &ids).await.is_err());
}
