"""Launching an image: the permissions, the volumes, and how a launch fails."""

import pytest
from botocore.exceptions import WaiterError
from world import HUB, error_of, policy, use_of_key


def volume_of(aws, instance, account=HUB, device="/dev/sda1"):
    mappings = {one["DeviceName"]: one["Ebs"] for one in instance["BlockDeviceMappings"]}
    return aws.ec2(account).describe_volumes(VolumeIds=[mappings[device]["VolumeId"]])["Volumes"][0]


def shared_with(aws, account, *statements):
    """An encrypted image that is shared with the account, on a key that has these statements."""
    image = aws.image(aws.key(*statements))
    aws.share(image, UserId=account)
    return image


def test_the_owner_launches_with_the_images_devices_and_key(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AMIEncryption.html"""
    key = aws.key()
    image = aws.image(key)
    instance = aws.launch(image)
    assert instance["State"]["Name"] == "running"
    volume = volume_of(aws, instance)
    assert (volume["Encrypted"], volume["KmsKeyId"], volume["Size"]) == (True, key, 8)
    assert volume["SnapshotId"] == aws.snapshot_of(image)["SnapshotId"]


def test_a_request_can_change_and_add_devices(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html"""
    key = aws.key()
    changed = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 30, "Encrypted": True, "KmsKeyId": key}}
    added = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5}}
    instance = aws.launch(aws.image(), BlockDeviceMappings=[changed, added])
    root, data = volume_of(aws, instance), volume_of(aws, instance, device="/dev/sdf")
    assert (root["Size"], root["KmsKeyId"]) == (30, key)
    assert (data["Size"], data["Encrypted"]) == (5, False)


def test_an_image_that_is_not_visible_is_not_found(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.NotFound)"""
    image, account = aws.image(), aws.external_account()
    assert error_of(aws.launch, image, account) == "InvalidAMIID.NotFound"
    assert error_of(aws.launch, "ami-0123456789abcdef0") == "InvalidAMIID.NotFound"
    aws.share(image, UserId=account)
    assert aws.launch(image, account)["State"]["Name"] == "running"


def test_an_image_that_is_pending_or_disabled_is_unavailable(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.Unavailable)"""
    image = aws.image()
    pending = aws.ec2().copy_image(SourceImageId=image, SourceRegion="us-east-1", Name="copy")["ImageId"]
    assert error_of(aws.launch, pending) == "InvalidAMIID.Unavailable"
    aws.ec2().disable_image(ImageId=image)
    assert error_of(aws.launch, image) == "InvalidAMIID.Unavailable"


def test_an_instance_whose_key_does_not_allow_the_account_terminates(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-internal"""
    account = aws.external_account()
    image = shared_with(aws, account)
    made = aws.ec2(account).run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    assert made["State"]["Name"] == "pending", "the call itself succeeds"
    found = aws.ec2(account).describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert found["State"]["Name"] == "terminated"
    assert found["StateReason"] == {
        "Code": "Client.InternalError", "Message": "Client.InternalError: Client error on launch"
    }  # fmt: skip
    with pytest.raises(WaiterError):
        aws.ec2(account).get_waiter("instance_running").wait(InstanceIds=[made["InstanceId"]])


def test_an_account_that_the_key_allows_launches(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html"""
    account = aws.external_account()
    image = shared_with(aws, account, *use_of_key({"AWS": f"arn:aws:iam::{account}:root"}))
    instance = aws.launch(image, account)
    assert instance["State"]["Name"] == "running"
    used = volume_of(aws, instance, account)["KmsKeyId"]
    assert aws.kms(account).describe_key(KeyId=used)["KeyMetadata"]["KeyManager"] == "AWS", "its own default key"


def test_the_next_key_policy_revokes_access(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html"""
    account = aws.external_account()
    key = aws.key(*use_of_key({"AWS": account}))
    image = aws.image(key)
    aws.share(image, UserId=account)
    assert aws.launch(image, account)["State"]["Name"] == "running"
    aws.kms().put_key_policy(KeyId=key, PolicyName="default", Policy=policy())
    assert aws.launch(image, account)["State"]["Name"] == "terminated"


@pytest.mark.parametrize("missing", ["kms:Decrypt", "kms:DescribeKey", "kms:ReEncrypt*", "kms:CreateGrant"])
def test_each_permission_on_the_key_is_needed(aws, missing):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-with-organizations-and-OUs.html#allow-org-ou-to-use-key"""
    account = aws.external_account()
    use, grant = use_of_key({"AWS": account})
    use["Action"] = [action for action in use["Action"] if action != missing]
    statements = [use] if missing == "kms:CreateGrant" else [use, grant]
    assert aws.launch(shared_with(aws, account, *statements), account)["State"]["Name"] == "terminated"


def test_an_image_on_a_disabled_key_cannot_be_launched(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"""
    key = aws.key()
    image = aws.image(key)
    aws.kms().disable_key(KeyId=key)
    assert aws.launch(image)["State"]["Name"] == "terminated"


def test_a_key_policy_allows_an_ou_by_its_path(aws):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgpaths"""
    organization, _, root = aws.organization()
    ou, ou_arn = aws.ou(root, "workloads")
    nested, _ = aws.ou(ou, "nested")
    inside, below, outside = aws.member("inside", ou), aws.member("below", nested), aws.member("outside")
    path = f"{organization}/{root}/{ou}/*"
    statements = use_of_key("*", **{"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": [path]}})
    image = aws.image(aws.key(*statements))
    aws.ec2().modify_image_attribute(
        ImageId=image, LaunchPermission={"Add": [{"OrganizationalUnitArn": ou_arn}, {"UserId": outside}]}
    )
    states = [aws.launch(image, account)["State"]["Name"] for account in (inside, below, outside)]
    assert states == ["running", "running", "terminated"]


def test_a_key_policy_allows_an_organization_by_its_id(aws):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgid"""
    organization, _, _ = aws.organization()
    member, external_account = aws.member("member"), aws.external_account()
    statements = use_of_key({"AWS": "*"}, StringEquals={"aws:PrincipalOrgID": organization})
    image = aws.image(aws.key(*statements))
    aws.ec2().modify_image_attribute(ImageId=image, OperationType="add", UserIds=[member, external_account])
    assert aws.launch(image, member)["State"]["Name"] == "running"
    assert aws.launch(image, external_account)["State"]["Name"] == "terminated"


def test_a_key_that_cannot_be_used_to_encrypt_fails_the_launch(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html (KmsKeyId)"""
    account = aws.external_account()
    foreign = {"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "KmsKeyId": aws.key()}}
    image = aws.image(account=account)
    assert aws.launch(image, account, BlockDeviceMappings=[foreign])["State"]["Name"] == "terminated"


def test_a_launch_template_names_the_image(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html (LaunchTemplate)"""
    image = aws.image()
    aws.ec2().create_launch_template(LaunchTemplateName="golden", LaunchTemplateData={"ImageId": image})
    template = {"LaunchTemplateName": "golden"}
    made = aws.ec2().run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1)["Instances"][0]
    assert made["ImageId"] == image
