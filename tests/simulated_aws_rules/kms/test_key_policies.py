"""What KMS accepts as a key policy."""

import json

import pytest
from world import HUB, error_of, policy

ALLOWED = {"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "kms:DescribeKey", "Resource": "*"}


def put(aws, key, document, account=HUB, **options):
    text = document if isinstance(document, str) else json.dumps(document)
    return aws.kms(account).put_key_policy(KeyId=key, PolicyName="default", Policy=text, **options)


def refused(aws, statement):
    return error_of(put, aws, aws.key(), policy(statement))


def test_a_policy_is_kept_as_it_was_written(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html"""
    key = aws.key()
    text = json.dumps(
        json.loads(policy({**ALLOWED, "Sid": "Theirs", "Condition": {"Bool": {"aws:ViaAWSService": "false"}}})),
        indent=3,
    )
    put(aws, key, text)
    assert aws.kms().get_key_policy(KeyId=key, PolicyName="default")["Policy"] == text


@pytest.mark.parametrize("document", ["not json", "[]", "{}", '{"Version": "2012-10-17", "Statement": []}', '"text"'])
def test_a_policy_is_a_json_document_with_statements(aws, document):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (MalformedPolicyDocumentException)"""
    assert error_of(put, aws, aws.key(), document) == "MalformedPolicyDocumentException"


def test_a_policy_holds_32_768_bytes(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html#key-policy-limit"""
    key = aws.key()
    room = 32_768 - len(policy({**ALLOWED, "Sid": ""}))
    put(aws, key, policy({**ALLOWED, "Sid": "x" * room}))
    assert error_of(put, aws, key, policy({**ALLOWED, "Sid": "x" * (room + 1)})) == "LimitExceededException"
    create = aws.kms().create_key
    assert error_of(create, Policy=policy({**ALLOWED, "Sid": "x" * (room + 1)})) == "LimitExceededException"


@pytest.mark.parametrize("element", ["Effect", "Principal"])
def test_a_statement_needs_an_effect_and_a_principal(aws, element):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html#key-policy-elements"""
    statement = {name: value for name, value in ALLOWED.items() if name != element}
    assert refused(aws, statement) == "MalformedPolicyDocumentException"


@pytest.mark.parametrize("element", ["Action", "Resource"])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_a_statement_without_action_or_resource_is_accepted_and_has_no_effect(aws, element, effect):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html#key-policy-elements

    Public evidence confirms it: the page of 2026 and the model of PutKeyPolicy (Policy) say so; only the console complains.
    """
    external_account = aws.external_account()
    whole = {**ALLOWED, "Principal": {"AWS": external_account}}
    incomplete = {name: value for name, value in whole.items() if name != element} | {"Effect": effect}
    key = aws.key(*([] if effect == "Allow" else [whole]), incomplete)
    describe = aws.kms(external_account).describe_key
    if effect == "Allow":
        assert error_of(describe, KeyId=key) == "AccessDeniedException"
    else:
        assert describe(KeyId=key)["KeyMetadata"]["Arn"] == key


@pytest.mark.parametrize(
    "principal",
    [
        "123456789012",
        "arn:aws:iam::123456789012:root",
        f"arn:aws:iam::{HUB}:role/never-made",
        f"arn:aws:iam::{HUB}:user/never-made",
        "AROAEXAMPLEEXAMPLE123",
        "AIDAEXAMPLEEXAMPLE123",
        "arn:aws:iam::1234:root",
        f"arn:aws:iam::{HUB}:role/*",
        "nobody-known",
    ],
)
def test_a_principal_that_does_not_exist_fails_the_whole_policy(aws, principal):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (Policy)"""
    assert refused(aws, {**ALLOWED, "Principal": {"AWS": [HUB, principal]}}) == "MalformedPolicyDocumentException"


def test_principals_that_exist_are_accepted(aws):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    aws.client("iam").create_role(RoleName="baker", Path="/bakery/", AssumeRolePolicyDocument="{}")
    aws.client("iam").create_user(UserName="sam")
    aws.organization()
    member, external_account = aws.member("member"), aws.external_account()
    existing = [
        "*", HUB, member, f"arn:aws:iam::{external_account}:root",
        f"arn:aws:iam::{HUB}:role/bakery/baker", f"arn:aws:iam::{HUB}:user/sam",
        f"arn:aws:iam::{external_account}:role/tester", f"arn:aws:sts::{external_account}:assumed-role/tester/rules",
    ]  # fmt: skip
    statements = [{**ALLOWED, "Principal": {"AWS": existing}}]
    statements += [{**ALLOWED, "Principal": {"Service": ["ec2.amazonaws.com", "logs.eu-west-1.amazonaws.com"]}}]
    statements += [{**ALLOWED, "Principal": "*"}]
    put(aws, aws.key(), policy(*statements))


def test_a_closed_account_breaks_the_whole_policy(aws):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_close.html"""
    aws.organization()
    member, key = aws.member("member"), aws.key()
    naming = policy({**ALLOWED, "Principal": {"AWS": f"arn:aws:iam::{member}:root"}})
    put(aws, key, naming)
    aws.organizations.close_account(AccountId=member)
    assert error_of(put, aws, key, naming) == "MalformedPolicyDocumentException"


def test_a_deleted_role_leaves_its_id_in_the_policy(aws):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles"""
    iam = aws.client("iam")
    role = iam.create_role(RoleName="baker", AssumeRolePolicyDocument="{}")["Role"]
    key = aws.key({**ALLOWED, "Principal": {"AWS": role["Arn"]}})
    iam.delete_role(RoleName="baker")
    text = aws.kms().get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    assert role["RoleId"] in text and role["Arn"] not in text
    assert error_of(put, aws, key, text) == "MalformedPolicyDocumentException"


def test_the_caller_must_keep_the_permission_to_put_the_next_policy(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#prevent-unmanageable-key"""
    key, external_account = aws.key(), aws.external_account()
    locked = {"Version": "2012-10-17", "Statement": [{**ALLOWED, "Principal": {"AWS": external_account}, "Action": "kms:*"}]}
    assert error_of(put, aws, key, locked) == "MalformedPolicyDocumentException"
    denied = policy({**ALLOWED, "Effect": "Deny", "Action": "kms:Put*"})
    assert error_of(put, aws, key, denied) == "MalformedPolicyDocumentException"
    put(aws, key, locked, BypassPolicyLockoutSafetyCheck=True)
    assert error_of(put, aws, key, policy()) == "AccessDeniedException"


def test_only_the_keys_own_account_puts_its_policy(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (Cross-account use)"""
    external_account = aws.external_account()
    key = aws.key({**ALLOWED, "Principal": {"AWS": external_account}, "Action": "kms:*"})
    assert error_of(put, aws, key, policy(), external_account) == "AccessDeniedException"


def test_the_policy_of_an_aws_managed_key_cannot_be_changed(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk"""
    managed = aws.kms().describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    assert error_of(put, aws, managed, policy()) == "AccessDeniedException"
    assert "kms:ViaService" in aws.kms().get_key_policy(KeyId=managed, PolicyName="default")["Policy"]


@pytest.mark.parametrize("change", ["disable_key", "schedule_key_deletion"])
def test_a_key_takes_a_policy_whatever_its_state(aws, change):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html

    Public evidence confirms it: the table's row of PutKeyPolicy has no exception in any column.
    """
    key = aws.key()
    getattr(aws.kms(), change)(KeyId=key)
    put(aws, key, policy(ALLOWED))
    assert aws.kms().get_key_policy(KeyId=key)["Policy"] == policy(ALLOWED)


def test_the_policys_name_may_be_left_out(aws):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (PolicyName)"""
    key = aws.key()
    aws.kms().put_key_policy(KeyId=key, Policy=policy(ALLOWED))
    assert aws.kms().get_key_policy(KeyId=key)["Policy"] == policy(ALLOWED)
    assert error_of(aws.kms().get_key_policy, KeyId=key, PolicyName="another") == "NotFoundException"
