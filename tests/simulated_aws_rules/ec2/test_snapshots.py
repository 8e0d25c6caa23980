"""Volumes and snapshots keep their encryption and their key."""

from world import error_of, use_of_key


def test_a_volume_keeps_the_key_that_it_was_made_with_however_that_was_named(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html (KmsKeyId)"""
    key = aws.key()
    aws.kms().create_alias(AliasName="alias/volumes", TargetKeyId=key)
    for name in (key, key.split("/")[1], "alias/volumes", key.replace("key/" + key.split("/")[1], "alias/volumes")):
        volume = aws.ec2().create_volume(AvailabilityZone="us-east-1a", Size=8, Encrypted=True, KmsKeyId=name)
        assert (volume["Encrypted"], volume["KmsKeyId"]) == (True, key)


def test_encrypted_without_a_key_means_the_aws_managed_key(aws):
    """https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html"""
    volume = aws.ec2().create_volume(AvailabilityZone="us-east-1a", Size=8, Encrypted=True)
    managed = aws.kms().describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    assert volume["KmsKeyId"] == managed["Arn"]
    assert managed["KeyManager"] == "AWS"


def test_encryption_by_default_encrypts(aws):
    """https://docs.aws.amazon.com/ebs/latest/userguide/encryption-by-default.html"""
    aws.ec2().enable_ebs_encryption_by_default()
    assert aws.ec2().create_volume(AvailabilityZone="us-east-1a", Size=8)["Encrypted"]
    key = aws.key()
    aws.ec2().modify_ebs_default_kms_key_id(KmsKeyId=key)
    assert aws.ec2().create_volume(AvailabilityZone="us-east-1a", Size=8)["KmsKeyId"] == key


def test_a_key_needs_encryption_and_has_to_be_there(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html (KmsKeyId)"""
    create = aws.ec2().create_volume
    assert error_of(create, AvailabilityZone="us-east-1a", Size=8, KmsKeyId=aws.key()) == "InvalidParameterDependency"
    unknown = {"Encrypted": True, "KmsKeyId": "alias/nobody"}
    assert error_of(create, AvailabilityZone="us-east-1a", Size=8, **unknown) == "InvalidParameterValue"


def test_a_snapshot_has_the_key_of_its_volume_and_a_volume_that_of_its_snapshot(aws):
    """https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html"""
    key = aws.key()
    snapshot = aws.describe_snapshot(aws.snapshot(key, size=9))
    assert (snapshot["Encrypted"], snapshot["KmsKeyId"], snapshot["VolumeSize"]) == (True, key, 9)
    volume = aws.ec2().create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot["SnapshotId"])
    assert (volume["Encrypted"], volume["KmsKeyId"], volume["Size"]) == (True, key, 9)


def test_a_copied_snapshot_can_change_its_key_but_not_lose_it(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html (Encrypted, KmsKeyId)"""
    key, other = aws.key(), aws.key()
    source = {"SourceSnapshotId": aws.snapshot(key), "SourceRegion": "us-east-1"}
    copied = aws.ec2().copy_snapshot(Encrypted=True, KmsKeyId=other, **source)["SnapshotId"]
    assert aws.describe_snapshot(copied)["KmsKeyId"] == other
    assert aws.describe_snapshot(aws.ec2().copy_snapshot(**source)["SnapshotId"])["KmsKeyId"] == key
    assert error_of(aws.ec2().copy_snapshot, Encrypted=False, **source) == "InvalidParameterValue"


def test_an_account_copies_a_shared_snapshot_only_if_its_key_allows_it(aws):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html#share-kms-key"""
    account = aws.external_account()
    allowing = aws.key(*use_of_key({"AWS": f"arn:aws:iam::{account}:root"}))
    for key, succeeds in ((allowing, True), (aws.key(), False)):
        snapshot = aws.snapshot(key)
        copy = {"SourceSnapshotId": snapshot, "SourceRegion": "us-east-1"}
        assert error_of(aws.ec2(account).copy_snapshot, **copy) == "InvalidSnapshot.NotFound"
        aws.ec2().modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": account}]})
        if succeeds:
            copied = aws.describe_snapshot(aws.ec2(account).copy_snapshot(**copy)["SnapshotId"], account)
            used = aws.kms(account).describe_key(KeyId=copied["KmsKeyId"])["KeyMetadata"]
            assert (used["AWSAccountId"], used["KeyManager"]) == (account, "AWS")
        else:
            assert error_of(aws.ec2(account).copy_snapshot, **copy) == "InvalidSnapshot.NotFound"
