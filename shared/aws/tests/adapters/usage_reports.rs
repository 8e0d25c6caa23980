//! Image usage reports.

use ami_share_aws::error::Fault;
use ami_share_domain::image::usage::Usage;

use crate::replay::{Recorded, replay};
use crate::{account, ec2_error, image};

const REPORT: &str = "amiur-00b877d192f6b02d0";

fn report(state: &str, reason: &str) -> Recorded {
    let item = format!(
        "<item><imageId>ami-0abcdef1234567890</imageId><reportId>{REPORT}</reportId><state>{state}</state>{reason}</item>"
    );
    Recorded(
        200,
        format!(
            "<DescribeImageUsageReportsResponse><imageUsageReportSet>{item}</imageUsageReportSet></DescribeImageUsageReportsResponse>"
        ),
    )
}

fn entries(items: &str, token: &str) -> Recorded {
    let set = format!("<imageUsageReportEntrySet>{items}</imageUsageReportEntrySet>{token}");
    Recorded(
        200,
        format!("<DescribeImageUsageReportEntriesResponse>{set}</DescribeImageUsageReportEntriesResponse>"),
    )
}

fn entry(account: &str, resource_type: &str, count: u64) -> String {
    format!(
        "<item><resourceType>{resource_type}</resourceType><reportId>{REPORT}</reportId>\
         <usageCount>{count}</usageCount><accountId>{account}</accountId></item>"
    )
}

fn requested() -> Recorded {
    let id = format!("<reportId>{REPORT}</reportId>");
    Recorded(200, format!("<CreateImageUsageReportResponse>{id}</CreateImageUsageReportResponse>"))
}

#[tokio::test]
async fn a_usage_report_is_requested_for_the_accounts_and_both_resource_types() {
    let (clients, requests) = replay(vec![requested()]).await;
    let accounts = [account("222222222222"), account("333333333333")];
    let id = clients.usage_report_writer().ask(&image(), &accounts).await.unwrap();
    assert_eq!(id.as_deref(), Some(REPORT));
    let sent = &requests.bodies()[0];
    for part in [
        "Action=CreateImageUsageReport",
        "ImageId=ami-0abcdef1234567890",
        "ResourceType.1.ResourceType=ec2%3AInstance",
        "ResourceType.2.ResourceType=ec2%3ALaunchTemplate",
        "AccountId.1=222222222222",
        "AccountId.2=333333333333",
    ] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
}

#[tokio::test]
async fn of_more_accounts_than_a_report_can_name_none_is_named() {
    let (clients, requests) = replay(vec![requested(), requested(), requested()]).await;
    let accounts: Vec<_> = (0..201).map(|at| account(&format!("{:012}", 222_222_222_222_u64 + at))).collect();
    let writer = clients.usage_report_writer();
    writer.ask(&image(), &accounts[..200]).await.unwrap();
    writer.ask(&image(), &accounts).await.unwrap();
    writer.ask(&image(), &[]).await.unwrap();
    let sent = requests.bodies();
    assert!(sent[0].contains("AccountId.200="), "{}", sent[0]);
    assert!(!sent[1].contains("AccountId") && !sent[2].contains("AccountId"), "{sent:?}");
}

#[tokio::test]
async fn no_usage_report_is_requested_for_an_image_that_does_not_exist() {
    let (clients, _) = replay(vec![
        ec2_error("InvalidAMIID.NotFound", "The image id does not exist"),
        ec2_error("UnauthorizedOperation", "You are not authorized"),
    ])
    .await;
    let writer = clients.usage_report_writer();
    assert_eq!(writer.ask(&image(), &[account("222222222222")]).await.unwrap(), None);
    let error = writer.ask(&image(), &[account("222222222222")]).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Denied);
    assert!(
        error.to_string().starts_with("ec2:CreateImageUsageReport of ami-0abcdef1234567890 failed"),
        "{error}"
    );
}

#[tokio::test]
async fn a_report_that_is_not_ready_or_not_known_yet_says_nothing() {
    let empty =
        "<DescribeImageUsageReportsResponse><imageUsageReportSet/></DescribeImageUsageReportsResponse>";
    let answers = vec![
        report("pending", ""),
        Recorded(200, empty.to_owned()),
        ec2_error("InvalidImageUsageReportId.NotFound", "The report does not exist"),
    ];
    let (clients, requests) = replay(answers).await;
    let reader = clients.usage_report_reader();
    for _ in 0..3 {
        assert_eq!(reader.read(&image(), REPORT).await.unwrap(), None);
    }
    assert!(requests.bodies().iter().all(|body| body.contains(&format!("ReportId.1={REPORT}"))));
}

#[tokio::test]
async fn all_pages_of_a_report_are_read_even_after_an_empty_one() {
    let answers = vec![
        report("available", ""),
        entries(&entry("333333333333", "ec2:Instance", 7), "<nextToken>two</nextToken>"),
        entries("", "<nextToken>three</nextToken>"),
        entries(&entry("222222222222", "ec2:LaunchTemplate", 1), ""),
    ];
    let (clients, requests) = replay(answers).await;
    let usages = clients.usage_report_reader().read(&image(), REPORT).await.unwrap().unwrap();
    let usage = |id: &str, resource_type: &str, count| Usage {
        account: account(id),
        resource_type: resource_type.to_owned(),
        count,
    };
    assert_eq!(
        usages,
        [usage("222222222222", "ec2:LaunchTemplate", 1), usage("333333333333", "ec2:Instance", 7)]
    );
    let sent = requests.bodies();
    assert!(sent[2].contains("NextToken=two") && sent[3].contains("NextToken=three"), "{sent:?}");
}

#[tokio::test]
async fn a_usage_report_without_entries_means_that_the_image_is_not_used() {
    let (clients, _) = replay(vec![report("available", ""), entries("", "")]).await;
    assert_eq!(clients.usage_report_reader().read(&image(), REPORT).await.unwrap(), Some(vec![]));
}

#[tokio::test]
async fn a_report_that_ec2_could_not_make_is_an_error_with_its_reason() {
    let (clients, _) = replay(vec![report("error", "<stateReason>Internal failure.</stateReason>")]).await;
    let error = clients.usage_report_reader().read(&image(), REPORT).await.unwrap_err();
    assert!(!error.fault().is_retryable());
    assert_eq!(
        error.to_string(),
        "ec2:DescribeImageUsageReports of ami-0abcdef1234567890 returned a failed report: Internal failure."
    );
}

#[tokio::test]
async fn an_entry_that_lacks_its_account_is_not_passed_over() {
    let broken = "<item><resourceType>ec2:Instance</resourceType><usageCount>1</usageCount></item>";
    let (clients, _) = replay(vec![report("available", ""), entries(broken, "")]).await;
    let error = clients.usage_report_reader().read(&image(), REPORT).await.unwrap_err();
    assert!(error.to_string().contains("an entry without account"), "{error}");
}
