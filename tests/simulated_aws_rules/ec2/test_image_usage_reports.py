"""Image usage reports: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html"""

import pytest
from running import eventually
from world import HUB, error_of

BOTH = [{"ResourceType": "ec2:Instance"}, {"ResourceType": "ec2:LaunchTemplate"}]
FIRST, SECOND = "222222222222", "333333333333"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setenv("SIMULATED_AWS_REPORT_DELAY", "0.2")


def shared(aws):
    """An image that two other accounts may launch."""
    image = aws.image()
    for account in (FIRST, SECOND):
        aws.share(image, UserId=aws.external_account(account))
    return image


def entries(aws, report, **wanted):
    """The entries of a report, once it is available."""
    ec2 = aws.ec2()

    def available():
        return ec2.describe_image_usage_reports(ReportIds=[report])["ImageUsageReports"][0]["State"] == "available"

    eventually(available)
    found = ec2.describe_image_usage_report_entries(ReportIds=[report], **wanted)["ImageUsageReportEntries"]
    return {(one["AccountId"], one["ResourceType"]): one["UsageCount"] for one in found}


def test_a_report_is_pending_and_then_counts_instances_and_templates_of_other_accounts(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReportEntries.html"""
    image, ec2 = shared(aws), aws.ec2()
    aws.launch(image)
    aws.launch(image, FIRST)
    gone = aws.launch(image, FIRST)["InstanceId"]
    aws.ec2(FIRST).terminate_instances(InstanceIds=[gone])
    data = {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": image}}
    aws.ec2(SECOND).create_launch_template(**data)
    aws.ec2(SECOND).create_launch_template_version(**data)
    aws.launch(aws.image(account=SECOND), SECOND)

    report = ec2.create_image_usage_report(ImageId=image, ResourceTypes=BOTH)["ReportId"]

    described = ec2.describe_image_usage_reports(ImageIds=[image])["ImageUsageReports"][0]
    assert (described["ReportId"], described["State"], described["AccountIds"]) == (report, "pending", [])
    assert (described["ExpirationTime"] - described["CreationTime"]).days == 30
    assert ec2.describe_image_usage_report_entries(ReportIds=[report])["ImageUsageReportEntries"] == []
    assert entries(aws, report) == {(FIRST, "ec2:Instance"): 1, (SECOND, "ec2:LaunchTemplate"): 1}


def test_a_report_covers_only_the_requested_accounts_and_resource_types(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html (AccountId, ResourceType)"""
    image, ec2 = shared(aws), aws.ec2()
    for account in (FIRST, SECOND):
        aws.launch(image, account)
        template = {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": image}}
        aws.ec2(account).create_launch_template(**template)
    one = ec2.create_image_usage_report(ImageId=image, ResourceTypes=BOTH[:1], AccountIds=[SECOND])["ReportId"]
    assert entries(aws, one) == {(SECOND, "ec2:Instance"): 1}
    both = ec2.create_image_usage_report(ImageId=image, ResourceTypes=BOTH)["ReportId"]
    assert len(entries(aws, both)) == 4
    wanted = [{"Name": "account-id", "Values": [FIRST]}, {"Name": "resource-type", "Values": ["ec2:Instance"]}]
    assert entries(aws, both, Filters=wanted) == {(FIRST, "ec2:Instance"): 1}
    pages = ec2.get_paginator("describe_image_usage_report_entries").paginate(
        ReportIds=[both], PaginationConfig={"PageSize": 3}
    )
    assert [len(page["ImageUsageReportEntries"]) for page in pages] == [3, 1]


def test_an_older_version_of_a_template_counts_within_the_depth_only(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageUsageResourceTypeOptionRequest.html"""
    image, ec2 = shared(aws), aws.ec2()
    template = aws.ec2(FIRST)
    template.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image})
    template.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"ImageId": "ami-other"})
    depth = {"OptionName": "version-depth", "OptionValues": ["1"]}
    shallow = [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": [depth]}]
    assert entries(aws, ec2.create_image_usage_report(ImageId=image, ResourceTypes=shallow)["ReportId"]) == {}
    deep = ec2.create_image_usage_report(ImageId=image, ResourceTypes=BOTH[1:])["ReportId"]
    assert entries(aws, deep) == {(FIRST, "ec2:LaunchTemplate"): 1}


def test_only_the_owner_gets_a_report(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html"""
    image = shared(aws)
    refused = error_of(aws.ec2(FIRST).create_image_usage_report, ImageId=image, ResourceTypes=BOTH)
    assert refused == "AuthFailure"
    unknown = error_of(aws.ec2().create_image_usage_report, ImageId="ami-0123456789abcdef0", ResourceTypes=BOTH)
    assert unknown == "InvalidAMIID.NotFound"
    report = aws.ec2().create_image_usage_report(ImageId=image, ResourceTypes=BOTH)["ReportId"]
    elsewhere = error_of(aws.ec2(FIRST).describe_image_usage_reports, ReportIds=[report])
    assert elsewhere == "InvalidImageUsageReportId.NotFound"


def test_a_wrong_request_is_refused(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html"""
    image, ec2 = aws.image(), aws.ec2()
    wrong = [{"ResourceType": "ec2:Volume"}]
    assert error_of(ec2.create_image_usage_report, ImageId=image, ResourceTypes=wrong) == "InvalidParameterValue"
    accounts = {"ResourceTypes": BOTH, "AccountIds": ["1"]}
    assert error_of(ec2.create_image_usage_report, ImageId=image, **accounts) == "InvalidParameterValue"


def test_a_report_is_made_once_for_a_token_and_can_be_deleted(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteImageUsageReport.html"""
    image, ec2 = aws.image(), aws.ec2()
    wanted = {"ImageId": image, "ResourceTypes": BOTH, "ClientToken": "once"}
    report = ec2.create_image_usage_report(**wanted)["ReportId"]
    assert ec2.create_image_usage_report(**wanted)["ReportId"] == report
    assert ec2.delete_image_usage_report(ReportId=report)["Return"] is True
    assert ec2.describe_image_usage_reports()["ImageUsageReports"] == []
    assert error_of(ec2.delete_image_usage_report, ReportId=report) == "InvalidImageUsageReportId.NotFound"
    assert aws.describe_image(image)["OwnerId"] == HUB
