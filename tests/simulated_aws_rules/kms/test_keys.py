"""Keys: found across accounts, used as their policy allows, managed by AWS or by a customer."""

import json

import pytest
from simulated_aws.core.accounts import Caller
from simulated_aws.iam import policy_evaluation
from simulated_aws.iam.policy_evaluation import Request
from simulated_aws.organizations import membership
from world import HUB, error_of

CALLER = Caller(
    "222222222222", "arn:aws:sts::222222222222:assumed-role/builder/session", "arn:aws:iam::222222222222:role/builder"
)


def test_a_key_of_another_account_is_described_by_arn_if_its_policy_says_so(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html (Cross-account use)"""
    account = aws.external_account()
    describe = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:DescribeKey", "Resource": "*"}
    hidden, described = aws.key(), aws.key(describe)
    assert error_of(aws.kms(account).describe_key, KeyId=hidden) == "AccessDeniedException"
    seen = aws.kms(account).describe_key(KeyId=described)["KeyMetadata"]
    assert (seen["Arn"], seen["AWSAccountId"], seen["KeyManager"]) == (described, HUB, "CUSTOMER")
    assert error_of(aws.kms(account).describe_key, KeyId=described.split("/")[1]) == "NotFoundException"


def test_a_key_that_is_not_there_is_not_found(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html (NotFoundException)"""
    missing = f"arn:aws:kms:us-east-1:{HUB}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    for named in (missing, missing.split("/")[1], "alias/nobody", missing.replace("us-east-1", "eu-west-1")):
        assert error_of(aws.kms().describe_key, KeyId=named) == "NotFoundException"
        assert error_of(aws.kms().get_key_policy, KeyId=named) == "NotFoundException"


def test_only_the_keys_own_account_tags_it(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_TagResource.html (Cross-account use)"""
    account = aws.external_account()
    key = aws.key({"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:*", "Resource": "*"})
    tags = [{"TagKey": "ami-share:managed", "TagValue": "true"}]
    assert error_of(aws.kms(account).tag_resource, KeyId=key, Tags=tags) == "AccessDeniedException"
    aws.kms().tag_resource(KeyId=key, Tags=tags)
    assert aws.kms().list_resource_tags(KeyId=key)["Tags"] == tags


def test_the_managed_key_is_one_for_each_account_and_region(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk"""

    def managed(account=HUB, region="us-east-1"):
        return aws.kms(account, region).describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]

    assert managed()["KeyManager"] == "AWS"
    assert managed()["Arn"] == managed()["Arn"]
    assert len({managed()["Arn"], managed(aws.external_account())["Arn"], managed(region="eu-west-1")["Arn"]}) == 3


def test_a_kms_grant_lets_its_grantee_use_the_key(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/grants.html"""
    key, account = aws.key(), aws.external_account()
    operations = ["Decrypt", "DescribeKey", "ReEncryptFrom", "CreateGrant"]
    aws.kms().create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{account}:root", Operations=operations)
    image = aws.image(key)
    aws.share(image, UserId=account)
    assert aws.launch(image, account)["State"]["Name"] == "running"


def test_create_grant_for_aws_resources_only_is_not_for_direct_calls(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-grant-is-for-aws-resource"""
    account = aws.external_account()
    grant = {
        "Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:CreateGrant", "Resource": "*",
        "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    }  # fmt: skip
    create = aws.kms(account).create_grant
    wanted = {"KeyId": aws.key(grant), "GranteePrincipal": account, "Operations": ["Decrypt"]}
    assert error_of(create, **wanted) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": "222222222222"}}, True),
        ({"StringEquals": {"aws:principalaccount": ["333333333333", "222222222222"]}}, True),
        ({"StringNotEquals": {"kms:CallerAccount": "222222222222"}}, False),
        ({"StringLike": {"aws:PrincipalAccount": "2222*"}}, True),
        ({"StringLike": {"aws:PrincipalAccount": "2222222222[2]2"}}, False),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, False),
        ({"Bool": {"kms:GrantIsForAWSResource": True}}, False),
        ({"BoolIfExists": {"kms:GrantIsForAWSResource": "true"}}, True),
        ({"Null": {"aws:PrincipalOrgID": "false"}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-exampleorg1"}}, True),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["o-exampleorg1/r-ab12/ou-ab12-cdef3456/*"]}}, True),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["o-exampleorg1/r-ab12/ou-ab12-cdef9999/*"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:PrincipalOrgPaths": ["o-exampleorg1/r-ab12/ou-ab12-cdef3456/"]}}, True),
        ({"ForAllValues:StringLike": {"aws:TagKeys": ["anything"]}}, True),
        (
            {"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com", "aws:PrincipalAccount": "333333333333"}},
            False,
        ),
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}}, False),
    ],
)
def test_conditions(condition, holds):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    context = {
        "aws:PrincipalAccount": ["222222222222"],
        "kms:CallerAccount": ["222222222222"],
        "aws:PrincipalOrgID": ["o-exampleorg1"],
        "aws:PrincipalOrgPaths": ["o-exampleorg1/r-ab12/ou-ab12-cdef3456/"],
        "kms:ViaService": ["ec2.us-east-1.amazonaws.com"],
    }
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Statement": statement})
    assert policy_evaluation.allows(document, Request(CALLER, "kms:Decrypt", context)) is holds


@pytest.mark.parametrize(
    ("principal", "allows"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": "222222222222"}, True),
        ({"AWS": ["333333333333", "arn:aws:iam::222222222222:root"]}, True),
        ({"AWS": "arn:aws:iam::222222222222:role/builder"}, True),
        ({"AWS": "arn:aws:sts::222222222222:assumed-role/builder/session"}, True),
        ({"AWS": "arn:aws:iam::222222222222:role/another"}, False),
        ({"AWS": "333333333333"}, False),
        ({"Service": "ec2.amazonaws.com"}, False),
    ],
)
def test_principals(principal, allows):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""

    def document(effect, element):
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
        return json.dumps(
            {"Statement": [allowed, {**allowed, "Principal": None, "Effect": effect, element: principal}]}
        )

    request = Request(CALLER, "kms:Decrypt")
    assert policy_evaluation.allows(document("Deny", "Principal"), request) is not allows
    assert policy_evaluation.allows(document("Deny", "NotPrincipal"), request) is allows


def test_the_path_of_an_account_is_read_at_each_request(aws):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgpaths"""
    organization, _, root = aws.organization()
    ou, _ = aws.ou(root, "workloads")
    member = aws.member("member")
    assert membership.organization_path(member) == f"{organization}/{root}/"
    aws.organizations.move_account(AccountId=member, SourceParentId=root, DestinationParentId=ou)
    assert membership.organization_path(member) == f"{organization}/{root}/{ou}/"
    assert membership.organization_path(HUB) == f"{organization}/{root}/"
    assert membership.organization_path("999999999999") is None


def test_a_key_is_switched_by_arn_as_by_id(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html (KeyId)"""
    key = aws.key()
    for named in (key, key.split("/")[1]):
        aws.kms().disable_key(KeyId=named)
        assert aws.kms().describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
        aws.kms().enable_key(KeyId=named)
        assert aws.kms().describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    aws.kms().schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert aws.kms().describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
