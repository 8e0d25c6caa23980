"""Images keep their block devices, their encryption, their keys and their tags."""

from world import error_of

OTHER_REGION = "eu-west-1"


def test_a_registered_image_keeps_its_snapshots_and_is_available_at_once(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html"""
    key = aws.key()
    root, data = aws.snapshot(key, size=8), aws.snapshot(size=20)
    image = aws.ec2().register_image(
        Name="golden", RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": root}},
            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": data, "VolumeSize": 30}},
        ],
    )["ImageId"]  # fmt: skip
    shown = aws.describe_image(image)
    assert shown["State"] == "available"
    assert shown["RootDeviceName"] == "/dev/xvda"
    first, second = (mapping["Ebs"] for mapping in shown["BlockDeviceMappings"])
    assert (first["SnapshotId"], first["VolumeSize"], first["Encrypted"]) == (root, 8, True)
    assert (second["SnapshotId"], second["VolumeSize"], second["Encrypted"]) == (data, 30, False)
    assert aws.describe_snapshot(root)["KmsKeyId"] == key
    assert "KmsKeyId" not in aws.describe_snapshot(data)


def test_an_ebs_image_needs_a_root_snapshot_and_a_snapshot_that_is_there(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidBlockDeviceMapping)"""
    register = aws.ec2().register_image
    assert error_of(register, Name="no root", RootDeviceName="/dev/sda1") == "InvalidBlockDeviceMapping"
    missing = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}]
    assert error_of(register, Name="missing", BlockDeviceMappings=missing) == "InvalidSnapshot.NotFound"


def test_a_name_is_used_once(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIName.Duplicate)"""
    aws.image(name="golden")
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": aws.snapshot()}}]
    again = error_of(aws.ec2().register_image, Name="golden", RootDeviceName="/dev/sda1", BlockDeviceMappings=mapping)
    assert again == "InvalidAMIName.Duplicate"


def test_an_image_of_an_instance_snapshots_each_volume_with_its_key(aws, slow):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html"""
    root_key, data_key = aws.key(), aws.key()
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 20, "Encrypted": True, "KmsKeyId": data_key}}
    instance = aws.launch(aws.image(root_key), BlockDeviceMappings=[data])
    image = aws.ec2().create_image(InstanceId=instance["InstanceId"], Name="of an instance")["ImageId"]
    assert aws.describe_image(image)["State"] == "pending"
    aws.wait_until_available(image)
    mappings = {one["DeviceName"]: one["Ebs"] for one in aws.describe_image(image)["BlockDeviceMappings"]}
    assert mappings["/dev/sda1"]["Encrypted"] and mappings["/dev/sdf"]["VolumeSize"] == 20
    found = {name: aws.describe_snapshot(ebs["SnapshotId"])["KmsKeyId"] for name, ebs in mappings.items()}
    assert found == {"/dev/sda1": root_key, "/dev/sdf": data_key}


def test_tags_reach_the_image_and_its_snapshots(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html (TagSpecification)"""
    instance = aws.launch(aws.image())
    image = aws.ec2().create_image(
        InstanceId=instance["InstanceId"], Name="tagged",
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "of", "Value": "image"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "of", "Value": "snapshot"}]},
        ],
    )["ImageId"]  # fmt: skip
    assert aws.describe_image(image)["Tags"] == [{"Key": "of", "Value": "image"}]
    assert aws.snapshot_of(image)["Tags"] == [{"Key": "of", "Value": "snapshot"}]


def test_a_copy_keeps_the_key_within_the_region(aws, slow):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ami-copy-works.html"""
    key = aws.key()
    source = aws.image(key)
    copy = aws.ec2().copy_image(SourceImageId=source, SourceRegion="us-east-1", Name="copy")["ImageId"]
    assert aws.describe_image(copy)["State"] == "pending"
    assert aws.describe_image(copy)["SourceImageId"] == source
    assert aws.snapshot_of(copy)["KmsKeyId"] == key
    assert aws.snapshot_of(copy)["SnapshotId"] != aws.snapshot_of(source)["SnapshotId"]
    aws.wait_until_available(copy)


def test_a_copy_can_be_encrypted_with_a_named_key(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html (KmsKeyId)"""
    key = aws.key(region=OTHER_REGION)
    aws.kms(region=OTHER_REGION).create_alias(AliasName="alias/images", TargetKeyId=key)
    copy = aws.ec2(region=OTHER_REGION).copy_image(
        SourceImageId=aws.image(), SourceRegion="us-east-1", Name="copy", Encrypted=True, KmsKeyId="alias/images"
    )["ImageId"]
    assert aws.snapshot_of(copy, region=OTHER_REGION)["KmsKeyId"] == key


def test_a_copy_to_another_region_gets_the_default_key_of_that_region(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ami-copy-works.html"""
    copy = aws.ec2(region=OTHER_REGION).copy_image(
        SourceImageId=aws.image(aws.key()), SourceRegion="us-east-1", Name="copy"
    )["ImageId"]
    used = aws.snapshot_of(copy, region=OTHER_REGION)["KmsKeyId"]
    assert aws.kms(region=OTHER_REGION).describe_key(KeyId=used)["KeyMetadata"]["KeyManager"] == "AWS"


def test_an_encrypted_image_cannot_be_copied_unencrypted(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html (Encrypted)"""
    source = aws.image(aws.key())
    copy = aws.ec2().copy_image
    assert (
        error_of(copy, SourceImageId=source, SourceRegion="us-east-1", Name="copy", Encrypted=False) == "InvalidRequest"
    )


def test_a_copy_takes_the_tags_only_on_request(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html (CopyImageTags)"""
    source = aws.image()
    aws.ec2().create_tags(Resources=[source], Tags=[{"Key": "team", "Value": "platform"}])
    wanted = {"SourceImageId": source, "SourceRegion": "us-east-1"}
    without = aws.ec2().copy_image(Name="without", **wanted)["ImageId"]
    with_tags = aws.ec2().copy_image(Name="with", CopyImageTags=True, **wanted)["ImageId"]
    assert "Tags" not in aws.describe_image(without) or aws.describe_image(without)["Tags"] == []
    assert aws.describe_image(with_tags)["Tags"] == [{"Key": "team", "Value": "platform"}]


def test_the_same_client_token_makes_the_same_copy(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html (ClientToken)"""
    wanted = {"SourceImageId": aws.image(), "SourceRegion": "us-east-1", "Name": "copy", "ClientToken": "once"}
    first = aws.ec2().copy_image(**wanted)["ImageId"]
    assert aws.ec2().copy_image(**wanted)["ImageId"] == first
    assert error_of(aws.ec2().copy_image, **{**wanted, "Name": "another"}) == "IdempotentParameterMismatch"


def test_a_snapshot_that_an_image_needs_stays(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html"""
    image = aws.image()
    snapshot = aws.snapshot_of(image)["SnapshotId"]
    assert error_of(aws.ec2().delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    aws.ec2().deregister_image(ImageId=image)
    aws.ec2().delete_snapshot(SnapshotId=snapshot)
    assert error_of(aws.describe_snapshot, snapshot) == "InvalidSnapshot.NotFound"
