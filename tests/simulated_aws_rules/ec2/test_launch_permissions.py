"""Launch permissions: the forms of a request, and what EC2 refuses."""

import pytest
from botocore.exceptions import ClientError
from world import HUB, error_of


def permissions_of(aws, image):
    answer = aws.ec2().describe_image_attribute(ImageId=image, Attribute="launchPermission")
    return answer["LaunchPermissions"]


def modify(aws, image, account=HUB, **changes):
    return aws.ec2(account).modify_image_attribute(ImageId=image, **changes)


def test_every_kind_is_added_and_removed_in_one_call_in_the_structured_form(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html (LaunchPermission)"""
    _, organization_arn, root = aws.organization()
    _, ou_arn = aws.ou(root, "workloads")
    account, gone, image = aws.member("one"), aws.member("two"), aws.image()
    aws.share(image, UserId=gone)
    added = [
        {"UserId": account},
        {"OrganizationArn": organization_arn},
        {"OrganizationalUnitArn": ou_arn},
        {"Group": "all"},
    ]
    modify(aws, image, LaunchPermission={"Add": added, "Remove": [{"UserId": gone}]})
    assert permissions_of(aws, image) == added


def test_every_kind_is_added_and_removed_in_the_flat_form(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html (OperationType)"""
    _, organization_arn, root = aws.organization()
    ou_arns = [aws.ou(root, name)[1] for name in ("one", "two")]
    image, members = aws.image(), [aws.member("one"), aws.member("two")]
    everything = {
        "Attribute": "launchPermission", "UserIds": members, "OrganizationArns": [organization_arn],
        "OrganizationalUnitArns": ou_arns, "UserGroups": ["all"],
    }  # fmt: skip
    modify(aws, image, OperationType="add", **everything)
    assert len(permissions_of(aws, image)) == 6
    modify(aws, image, OperationType="add", **everything)
    assert len(permissions_of(aws, image)) == 6, "what is there already is not added twice"
    modify(aws, image, OperationType="remove", **everything)
    assert permissions_of(aws, image) == []


@pytest.mark.parametrize(
    "refused",
    [
        {"UserId": "12345"},
        {"UserId": "1111-2222-3333"},
        {"UserId": "123456789012"},
        {"Group": "everyone"},
        {"OrganizationArn": "o-exampleorg1"},
        {"OrganizationArn": "arn:aws:organizations::111122223333:account/o-exampleorg1"},
        {"OrganizationalUnitArn": "ou-ab12-cdef3456"},
        {"OrganizationalUnitArn": "arn:aws:organizations::111122223333:root/o-exampleorg1/r-ab12"},
    ],
)
def test_a_malformed_or_unknown_target_fails_the_whole_call(aws, refused):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIAttributeItemValue)"""
    image = aws.image()
    added = [{"UserId": aws.external_account()}, refused]
    assert error_of(modify, aws, image, LaunchPermission={"Add": added}) == "InvalidAMIAttributeItemValue"
    assert permissions_of(aws, image) == []


def test_an_ou_that_its_organization_does_not_have_is_refused(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIAttributeItemValue)"""
    organization, _, _ = aws.organization()
    unknown = f"arn:aws:organizations::{HUB}:ou/{organization}/ou-ab12-cdef3456"
    refused = error_of(modify, aws, aws.image(), OperationType="add", OrganizationalUnitArns=[unknown])
    assert refused == "InvalidAMIAttributeItemValue"


def test_an_organization_that_is_not_our_own_is_accepted(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-with-organizations-and-OUs.html"""
    image = aws.image()
    aws.share(image, OrganizationArn="arn:aws:organizations::999999999999:organization/o-elsewhere1")
    assert len(permissions_of(aws, image)) == 1


def test_a_closed_account_is_refused_and_can_be_removed(aws):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_close.html"""
    aws.organization()
    account, image = aws.member("closing"), aws.image()
    aws.share(image, UserId=account)
    aws.organizations.close_account(AccountId=account)
    assert error_of(aws.share, aws.image(), UserId=account) == "InvalidAMIAttributeItemValue"
    modify(aws, image, LaunchPermission={"Remove": [{"UserId": account}]})
    assert permissions_of(aws, image) == []


def test_only_the_owner_modifies_and_sees_the_permissions(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (AuthFailure)"""
    image, account = aws.image(), aws.external_account()
    change = {"LaunchPermission": {"Add": [{"UserId": account}]}}
    assert error_of(modify, aws, image, account, **change) == "InvalidAMIID.NotFound"
    modify(aws, image, **change)
    assert error_of(modify, aws, image, account, **change) == "AuthFailure"
    describe = aws.ec2(account).describe_image_attribute
    assert error_of(describe, ImageId=image, Attribute="launchPermission") == "AuthFailure"


def test_an_image_that_is_not_available_cannot_be_shared(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.Unavailable)"""
    image, account = aws.image(), aws.external_account()
    pending = aws.ec2().copy_image(SourceImageId=image, SourceRegion="us-east-1", Name="copy")["ImageId"]
    assert error_of(aws.share, pending, UserId=account) == "InvalidAMIID.Unavailable"
    aws.ec2().disable_image(ImageId=image)
    assert error_of(aws.share, image, UserId=account) == "InvalidAMIID.Unavailable"
    assert error_of(aws.share, "ami-0123456789abcdef0", UserId=account) == "InvalidAMIID.NotFound"


def test_an_image_on_the_aws_managed_key_cannot_be_shared(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharing-amis.html (Considerations)"""
    image = aws.image(encrypted=True)
    assert error_of(aws.share, image, UserId=aws.external_account()) == "InvalidParameter"
    assert permissions_of(aws, image) == []


def test_an_encrypted_image_cannot_be_public(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-intro.html"""
    image = aws.image(aws.key())
    with pytest.raises(ClientError, match="shared publicly"):
        aws.share(image, Group="all")
    assert error_of(aws.share, image, Group="all") == "UnsupportedOperation"


def test_an_image_is_shared_with_a_thousand_entities_and_no_more(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-quotas.html"""
    aws.organization()
    members = aws.members(1_001)
    image = aws.image()
    modify(aws, image, OperationType="add", UserIds=members[:1_000])
    assert error_of(modify, aws, image, OperationType="add", UserIds=members[1_000:]) == "ResourceLimitExceeded"
    assert len(permissions_of(aws, image)) == 1_000
    modify(aws, image, OperationType="add", UserIds=members[:1_000])


def test_a_dry_run_changes_nothing(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html (DryRun)"""
    image = aws.image()
    change = {"LaunchPermission": {"Add": [{"UserId": aws.external_account()}]}, "DryRun": True}
    assert error_of(modify, aws, image, **change) == "DryRunOperation"
    assert permissions_of(aws, image) == []


def test_resetting_removes_the_launch_permissions(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetImageAttribute.html"""
    image = aws.image()
    aws.share(image, UserId=aws.external_account())
    aws.ec2().reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert permissions_of(aws, image) == []


def test_a_public_image_is_made_private_and_a_missing_permission_can_be_removed(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-intro.html"""
    image, account = aws.image(), aws.external_account()
    modify(aws, image, LaunchPermission={"Add": [{"Group": "all"}, {"UserId": account}]})
    assert permissions_of(aws, image) == [{"Group": "all"}, {"UserId": account}]
    assert aws.describe_image(image)["Public"] is True
    modify(aws, image, LaunchPermission={"Remove": [{"Group": "all"}, {"UserId": "123456789012"}]})
    assert permissions_of(aws, image) == [{"UserId": account}]
    assert aws.describe_image(image)["Public"] is False


def test_an_image_that_was_deregistered_is_unavailable(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.Unavailable)"""
    image = aws.image()
    aws.ec2().deregister_image(ImageId=image)
    attribute = {"ImageId": image, "Attribute": "launchPermission"}
    assert error_of(aws.ec2().describe_image_attribute, **attribute) == "InvalidAMIID.Unavailable"
    removal = {"LaunchPermission": {"Remove": [{"UserId": "123456789012"}]}}
    assert error_of(modify, aws, image, **removal) == "InvalidAMIID.Unavailable"
