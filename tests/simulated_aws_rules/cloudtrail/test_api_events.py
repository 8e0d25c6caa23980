"""Events of API calls via CloudTrail."""

import json
import uuid

import pytest
import running_images
from botocore.exceptions import ClientError
from running import HUB, REGION, TARGET_ACCOUNT


def calls(simulation, name, account_id=HUB):
    """A queue of the CloudTrail events of one kind of call."""
    queue = simulation.queue(account_id)
    pattern = {"detail-type": ["AWS API Call via CloudTrail"], "detail": {"eventName": [name]}}
    simulation.rule(pattern, {"Arn": queue.arn}, account_id=account_id)
    return queue


def register(ec2):
    snapshot = running_images.snapshot(ec2)
    return running_images.register(ec2, snapshot), snapshot


def test_the_event_of_registering_an_image_has_its_id_and_the_caller(simulation):
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"""
    queue = calls(simulation, "RegisterImage", TARGET_ACCOUNT)
    image, snapshot = register(simulation.client("ec2", TARGET_ACCOUNT))

    event = queue.next()
    detail = event["detail"]
    assert event["source"] == "aws.ec2"
    assert event["account"] == TARGET_ACCOUNT
    assert detail["eventSource"] == "ec2.amazonaws.com"
    assert detail["awsRegion"] == REGION
    assert detail["responseElements"]["imageId"] == image
    assert "errorCode" not in detail
    mapping = detail["requestParameters"]["blockDeviceMappings"]["items"][0]
    assert mapping == {"deviceName": "/dev/sda1", "ebs": {"snapshotId": snapshot}}
    identity = detail["userIdentity"]
    assert identity["type"] == "AssumedRole"
    assert identity["arn"] == f"arn:aws:sts::{TARGET_ACCOUNT}:assumed-role/tester/test"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == f"arn:aws:iam::{TARGET_ACCOUNT}:role/tester"


def test_the_event_of_a_copy_has_the_new_images_id(simulation):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html"""
    queue, ec2 = calls(simulation, "CopyImage"), simulation.client("ec2")
    image, _ = register(ec2)
    copy = ec2.copy_image(SourceImageId=image, SourceRegion=REGION, Name=f"copy-{uuid.uuid4().hex}")["ImageId"]
    detail = queue.next()["detail"]
    assert detail["responseElements"]["imageId"] == copy
    assert detail["userIdentity"]["type"] == "Root"


def test_sharing_and_deregistering_an_image_have_events(simulation):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html"""
    ec2 = simulation.client("ec2")
    modified, deregistered, shared = (
        calls(simulation, name) for name in ("ModifyImageAttribute", "DeregisterImage", "ModifySnapshotAttribute")
    )
    image, snapshot = register(ec2)
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": TARGET_ACCOUNT}]})
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[TARGET_ACCOUNT]
    )
    ec2.deregister_image(ImageId=image)

    added = {"add": {"items": [{"userId": TARGET_ACCOUNT}]}}
    parameters = {"imageId": image, "attributeType": "launchPermission", "launchPermission": added}
    assert modified.next()["detail"]["requestParameters"] == parameters
    # CloudTrail writes the flat form of a request as it writes the other.
    parameters = {"snapshotId": snapshot, "attributeType": "CREATE_VOLUME_PERMISSION", "createVolumePermission": added}
    assert shared.next()["detail"]["requestParameters"] == parameters
    assert deregistered.next()["detail"]["requestParameters"]["imageId"] == image


def test_the_events_of_unsharing_and_disabling_an_image_name_the_role(simulation):
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html"""
    ec2, pattern = simulation.client("ec2", TARGET_ACCOUNT), {"detail": {"eventName": [{"wildcard": "*Image*"}]}}
    image, _ = register(ec2)
    queue = simulation.queue(TARGET_ACCOUNT)
    simulation.rule(pattern, {"Arn": queue.arn}, account_id=TARGET_ACCOUNT)
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": [{"Group": "all"}, {"UserId": HUB}]})
    ec2.disable_image(ImageId=image)
    ec2.enable_image(ImageId=image)
    events = {event["detail"]["eventName"]: event["detail"] for event in (queue.next() for _ in range(3))}
    assert events["ModifyImageAttribute"]["requestParameters"]["launchPermission"] == {
        "remove": {"items": [{"group": "all"}, {"userId": HUB}]}
    }
    assert events["DisableImage"]["requestParameters"] == events["EnableImage"]["requestParameters"] == {"imageId": image}
    for event in events.values():
        assert event["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == f"arn:aws:iam::{TARGET_ACCOUNT}:role/tester"
        assert event["responseElements"]["_return"] is True


def test_the_event_of_a_call_that_fails_has_its_error(simulation):
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"""
    queue = calls(simulation, "DeregisterImage")
    with pytest.raises(ClientError):
        simulation.client("ec2").deregister_image(ImageId="ami-0123456789abcdef0")
    detail = queue.next()["detail"]
    assert detail["errorCode"] == "Client.InvalidAMIID.NotFound"
    assert detail["responseElements"] is None


def test_a_new_key_policy_has_an_event(simulation):
    """https://docs.aws.amazon.com/kms/latest/developerguide/ct-put-key-policy.html"""
    queue, kms = calls(simulation, "PutKeyPolicy"), simulation.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    root = {"AWS": f"arn:aws:iam::{HUB}:root"}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    event = queue.next()
    assert event["source"] == "aws.kms"
    assert event["detail"]["eventSource"] == "kms.amazonaws.com"
    assert event["detail"]["requestParameters"] == {"keyId": key, "policyName": "default", "policy": policy}
    arn = f"arn:aws:kms:{REGION}:{HUB}:key/{key}"
    assert event["detail"]["resources"] == [{"accountId": HUB, "type": "AWS::KMS::Key", "ARN": arn}]
