"""Create-volume permissions: the forms of a request, and what EC2 refuses."""

from world import HUB, error_of


def permissions_of(aws, snapshot):
    answer = aws.ec2().describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    return answer["CreateVolumePermissions"]


def modify(aws, snapshot, account=HUB, **changes):
    return aws.ec2(account).modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", **changes
    )


def test_both_forms_add_and_remove(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html"""
    snapshot, account = aws.snapshot(), aws.external_account()
    modify(aws, snapshot, CreateVolumePermission={"Add": [{"UserId": account}, {"Group": "all"}]})
    assert permissions_of(aws, snapshot) == [{"Group": "all"}, {"UserId": account}]
    modify(aws, snapshot, OperationType="remove", UserIds=[account], GroupNames=["all"])
    assert permissions_of(aws, snapshot) == []
    modify(aws, snapshot, OperationType="add", UserIds=[account])
    modify(aws, snapshot, CreateVolumePermission={"Remove": [{"UserId": account}]})
    assert permissions_of(aws, snapshot) == []


def test_adding_and_removing_do_not_mix(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html"""
    snapshot, account = aws.snapshot(), aws.external_account()
    both = {"Add": [{"UserId": account}], "Remove": [{"UserId": HUB}]}
    assert error_of(modify, aws, snapshot, CreateVolumePermission=both) == "InvalidParameterCombination"
    assert permissions_of(aws, snapshot) == []


def test_a_call_makes_up_to_500_modifications(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html"""
    aws.organization()
    members = aws.members(501)
    snapshot = aws.snapshot()
    assert error_of(modify, aws, snapshot, OperationType="add", UserIds=members) == "InvalidParameterValue"
    modify(aws, snapshot, OperationType="add", UserIds=members[:500])
    assert len(permissions_of(aws, snapshot)) == 500


def test_a_malformed_or_unknown_account_fails_the_whole_call(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidParameterValue)"""
    snapshot, account = aws.snapshot(), aws.external_account()
    for refused in ("1234", "123456789012"):
        assert (
            error_of(modify, aws, snapshot, OperationType="add", UserIds=[account, refused]) == "InvalidParameterValue"
        )
    assert permissions_of(aws, snapshot) == []


def test_an_encrypted_snapshot_cannot_be_public_nor_one_on_the_managed_key_shared(aws):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html"""
    encrypted, managed = aws.snapshot(aws.key()), aws.snapshot(encrypted=True)
    assert error_of(modify, aws, encrypted, OperationType="add", GroupNames=["all"]) == "UnsupportedOperation"
    assert error_of(modify, aws, managed, OperationType="add", UserIds=[aws.external_account()]) == "OperationNotPermitted"


def test_only_the_owner_modifies_the_permissions(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (AuthFailure)"""
    snapshot, account = aws.snapshot(), aws.external_account()
    assert (
        error_of(modify, aws, snapshot, account, OperationType="add", UserIds=[account]) == "InvalidSnapshot.NotFound"
    )
    modify(aws, snapshot, OperationType="add", UserIds=[account])
    assert error_of(modify, aws, snapshot, account, OperationType="add", UserIds=[account]) == "AuthFailure"


def test_resetting_removes_the_create_volume_permissions(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetSnapshotAttribute.html"""
    snapshot = aws.snapshot()
    modify(aws, snapshot, OperationType="add", UserIds=[aws.external_account()])
    aws.ec2().reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert permissions_of(aws, snapshot) == []
