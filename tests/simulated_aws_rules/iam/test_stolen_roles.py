"""What an attacker could do with each role of template.yaml: a session of the role, on a stack with the real template.

No function runs here. The simulated AWS authorizes these calls like those of a function; `test_authorization.py` cites the
pages of AWS.
"""

import json
import os
import subprocess

import boto3
import pytest
from botocore.exceptions import ClientError
from running import EXTERNAL_ACCOUNT, HUB, REGION, TESTS, Simulation, command, wait_until_ready
from simulated_aws.cloudformation import template

TEMPLATE = TESTS.parent / "template.yaml"
LEDGER = "ami-share-ledger"
FUNCTIONS = {
    "resolve-share": "ResolveShareFunctionRole", "schedule-expiry": "ScheduleExpiryFunctionRole",
    "extend-key-policy": "ExtendKeyPolicyFunctionRole", "share-image": "ShareImageFunctionRole",
    "report-usage": "ReportUsageFunctionRole", "notify-targets": "NotifyTargetsFunctionRole",
    "review-shares": "ReviewSharesFunctionRole",
}  # fmt: skip
# S3's answer to a DELETE has no body.
DENIED = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The real template, deployed with empty files as binaries."""
    folder = tmp_path_factory.mktemp("stolen")
    for name in template.binaries(TEMPLATE).values():
        (folder / name).touch()
    process = subprocess.Popen(
        command("--port", "0", "--template", str(TEMPLATE), "--functions", str(folder), "--parameter", "WarnIfInUse=true"),
        env={**os.environ, "PYTHONPATH": str(TESTS)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Simulation(wait_until_ready(process), folder)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def stolen_role(stack):
    """A client of a service with a session of a function's role."""
    resources = stack.client("cloudformation").describe_stack_resources(StackName="ami-share")["StackResources"]
    names = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}

    def client(function, service):
        arn = f"arn:aws:iam::{HUB}:role/{names[FUNCTIONS[function]]}"
        session = stack.client("sts").assume_role(RoleArn=arn, RoleSessionName="stolen")["Credentials"]
        return boto3.client(
            service, endpoint_url=stack.endpoint_url, region_name=REGION, aws_access_key_id=session["AccessKeyId"],
            aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"],
        )  # fmt: skip

    return client


def is_denied(call, **arguments):
    """Whether IAM denies the call; other errors of the service do not matter."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] in DENIED
    return False


def row(partition):
    return {"pk": {"S": partition}, "sk": {"S": "row"}}


def change(partition):
    return {
        "TableName": LEDGER, "Key": row(partition), "UpdateExpression": "SET a = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    }  # fmt: skip


def image(stack):
    """An image of the hub: its id, and the id of its snapshot."""
    ec2 = stack.client("ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    made = ec2.register_image(Name=snapshot, RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping])
    return made["ImageId"], snapshot


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_role_changes_or_deletes_a_row_of_the_audit_log(stack, stolen_role, function):
    ledger, audit = stolen_role(function, "dynamodb"), "AUDIT#ami-1"
    assert is_denied(ledger.update_item, **change(audit))
    assert is_denied(ledger.delete_item, TableName=LEDGER, Key=row(audit))
    assert is_denied(ledger.batch_write_item, RequestItems={LEDGER: [{"DeleteRequest": {"Key": row(audit)}}]})
    appends = function in ("extend-key-policy", "share-image", "report-usage")
    assert is_denied(ledger.put_item, TableName=LEDGER, Item=row(audit)) != appends


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_share_image_shares_images_and_only_those_of_the_hub(stack, stolen_role, function):
    hub_image, _ = image(stack)
    permission = {"Add": [{"UserId": EXTERNAL_ACCOUNT}]}
    arguments = {"ImageId": hub_image, "LaunchPermission": permission}
    assert is_denied(stolen_role(function, "ec2").modify_image_attribute, **arguments) == (function != "share-image")
    gone = {"ImageId": "ami-00000000000000000", "LaunchPermission": permission}
    assert is_denied(stolen_role(function, "ec2").modify_image_attribute, **gone)


def test_share_image_makes_no_snapshot_public(stack, stolen_role):
    _, snapshot = image(stack)
    client, public = stolen_role("share-image", "ec2"), {"Add": [{"Group": "all"}]}
    arguments = {"SnapshotId": snapshot, "Attribute": "createVolumePermission"}
    assert is_denied(client.modify_snapshot_attribute, **arguments, CreateVolumePermission=public)
    assert not is_denied(client.modify_snapshot_attribute, **arguments, CreateVolumePermission={"Remove": [{"Group": "all"}]})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_extend_key_policy_puts_policies_and_only_of_managed_keys_with_the_lockout_check(stack, stolen_role, function):
    kms = stack.client("kms")
    managed = kms.create_key(Tags=[{"TagKey": "ami-share:managed", "TagValue": "true"}])["KeyMetadata"]["Arn"]
    other = kms.create_key()["KeyMetadata"]["Arn"]
    policy, put = kms.get_key_policy(KeyId=managed)["Policy"], stolen_role(function, "kms").put_key_policy
    assert is_denied(put, KeyId=managed, Policy=policy) == (function != "extend-key-policy")
    assert is_denied(put, KeyId=other, Policy=policy)
    assert is_denied(put, KeyId=managed, Policy=policy, BypassPolicyLockoutSafetyCheck=True)


def test_notify_targets_writes_no_tag_but_the_status_and_sends_no_event_under_another_name(stack, stolen_role):
    tagged, snapshot = image(stack)
    tag, put = stolen_role("notify-targets", "ec2").create_tags, stolen_role("notify-targets", "events").put_events
    status, words = {"Key": "ami-share:status", "Value": "a"}, {"Key": "ami-share:with", "Value": EXTERNAL_ACCOUNT}
    assert not is_denied(tag, Resources=[tagged], Tags=[status])
    assert is_denied(tag, Resources=[tagged], Tags=[words]) and is_denied(tag, Resources=[tagged], Tags=[status, words])
    assert is_denied(tag, Resources=[snapshot], Tags=[status])
    entry = {"EventBusName": "ami-share", "Source": "ami-share", "DetailType": "AMI Shared", "Detail": "{}"}
    assert not is_denied(put, Entries=[entry])
    for other in ({"Source": "else"}, {"DetailType": "Else"}, {"EventBusName": "default"}):
        assert is_denied(put, Entries=[entry | other])


def test_review_shares_writes_nothing_to_the_ledger_and_no_object_but_reviews(stack, stolen_role):
    ledger, s3 = stolen_role("review-shares", "dynamodb"), stolen_role("review-shares", "s3")
    bucket = stack.outputs["AccessReviewBucketName"]
    for partition in ("IMAGE#ami-1", "KEY#arn"):
        assert is_denied(ledger.put_item, TableName=LEDGER, Item=row(partition))
        assert is_denied(ledger.update_item, **change(partition))
    assert not is_denied(s3.put_object, Bucket=bucket, Key="reviews/one", Body=b"")
    assert is_denied(s3.put_object, Bucket=bucket, Key="else/one", Body=b"")
    assert is_denied(s3.delete_object, Bucket=bucket, Key="reviews/one")
    assert is_denied(s3.list_objects_v2, Bucket=bucket) and not is_denied(s3.list_objects_v2, Bucket=bucket, Prefix="reviews/x")


def test_schedule_expiry_passes_no_other_role_and_makes_no_other_schedule(stack, stolen_role):
    roles = stack.client("iam").list_roles()["Roles"]
    arns = {name: one["Arn"] for name in ("ScheduleRole", "ShareImageFunctionRole") for one in roles if name in one["RoleName"].split("-")}
    workflow = stack.outputs["ShareWorkflowArn"]

    def arguments(name, role):
        return {
            "Name": name, "GroupName": "ami-share", "ScheduleExpression": "at(2999-01-01T00:00:00)",
            "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": {"Arn": workflow, "RoleArn": arns[role]},
        }  # fmt: skip

    create = stolen_role("schedule-expiry", "scheduler").create_schedule
    assert not is_denied(create, **arguments("ami-1-end", "ScheduleRole"))
    assert is_denied(create, **arguments("other", "ScheduleRole"))
    assert is_denied(create, **arguments("ami-2-end", "ShareImageFunctionRole"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_role_extends_its_own_permissions(stack, stolen_role, function):
    everything = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    arguments = {"RoleName": "any", "PolicyName": "more", "PolicyDocument": everything}
    assert is_denied(stolen_role(function, "iam").put_role_policy, **arguments)
    assert is_denied(stolen_role(function, "lambda").list_functions)
