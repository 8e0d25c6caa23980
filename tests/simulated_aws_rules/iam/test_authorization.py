"""IAM: a session of a role may do what the role's own policies allow, with resources and conditions."""

import json

import pytest
from botocore.exceptions import ClientError
from world import HUB, REGION, error_of

IMAGES = f"arn:aws:ec2:{REGION}::image/*"
SNAPSHOTS = f"arn:aws:ec2:{REGION}::snapshot/*"
KEYS = f"arn:aws:kms:{REGION}:{HUB}:key/*"
TABLE = f"arn:aws:dynamodb:{REGION}:{HUB}:table/ledger"
EXTERNAL_ACCOUNT = "999999999999"


def allow(actions, resource, condition=None):
    return {"Effect": "Allow", "Action": actions, "Resource": resource, "Condition": condition or {}}


def deny(actions, resource, condition=None):
    return allow(actions, resource, condition) | {"Effect": "Deny"}


@pytest.fixture
def role(aws):
    """Gives the role `limited` these statements and no others; its client is `aws.client(…, role="limited")`."""
    aws.external_account("222222222222")
    iam = aws.client("iam")
    iam.create_role(RoleName="limited", AssumeRolePolicyDocument='{"Statement": []}')

    def give(*statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName="limited", PolicyName="own", PolicyDocument=document)
        return lambda service: aws.client(service, role="limited")

    return give


def open_image(ec2, image, account="222222222222"):
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": account}]})


def test_nothing_is_allowed_that_no_policy_allows_and_the_service_says_so_in_its_way(aws, role):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    client, key = role(allow("sqs:ListQueues", "*")), aws.key()
    topic = f"arn:aws:sns:{REGION}:{HUB}:topic"
    assert error_of(client("ec2").describe_images) == "UnauthorizedOperation"
    assert error_of(client("kms").describe_key, KeyId=key) == "AccessDeniedException"
    assert error_of(client("organizations").list_roots) == "AccessDeniedException"
    assert error_of(client("dynamodb").query, TableName="ledger") == "AccessDeniedException"
    assert error_of(client("sns").publish, TopicArn=topic, Message="hello") == "AuthorizationError"
    assert error_of(client("sts").assume_role, RoleArn=f"arn:aws:iam::{HUB}:role/x", RoleSessionName="reader") == "AccessDenied"


def test_get_caller_identity_needs_no_permission(role):
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    assert role(deny("*", "*"))("sts").get_caller_identity()["Arn"].startswith(f"arn:aws:sts::{HUB}:assumed-role/limited/")


def test_an_operation_that_the_simulated_aws_does_not_know_is_denied_whatever_the_policy_says(role):
    """Otherwise a new call of a function would pass although its actions are unknown."""
    client = role(allow("*", "*"))("ec2")
    with pytest.raises(ClientError, match="that the simulated AWS does not know"):
        client.describe_vpcs()


def test_the_message_names_the_caller_the_action_and_the_resource(aws, role):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
    image = aws.image()
    with pytest.raises(ClientError, match=rf"limited/rules is not authorized to perform: ec2:ModifyImageAttribute on .*{image}"):
        open_image(role(allow("ec2:DescribeImages", "*"))("ec2"), image)


def test_a_resource_is_allowed_by_its_arn_and_no_other(aws, role):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    image, other = aws.image(), aws.image()
    client = role(allow("ec2:ModifyImageAttribute", f"arn:aws:ec2:{REGION}::image/{image}"))("ec2")
    open_image(client, image)
    assert error_of(open_image, client, other) == "UnauthorizedOperation"


def test_an_explicit_denial_wins_in_whatever_order(aws, role):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html"""
    image = aws.image()
    may, may_not = allow("ec2:*", "*"), deny("ec2:ModifyImageAttribute", IMAGES)
    for statements in ((may, may_not), (may_not, may)):
        assert error_of(open_image, role(*statements)("ec2"), image) == "UnauthorizedOperation"


def test_a_denial_may_except_a_resource(aws, role):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html"""
    image, other = aws.image(), aws.image()
    spared = deny("ec2:ModifyImageAttribute", IMAGES) | {"NotResource": f"arn:aws:ec2:{REGION}::image/{image}"}
    del spared["Resource"]
    client = role(allow("ec2:ModifyImageAttribute", IMAGES), spared)("ec2")
    open_image(client, image)
    assert error_of(open_image, client, other) == "UnauthorizedOperation"


def test_an_image_has_its_owner_and_its_tags_as_condition_keys(aws, role):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html#amazonec2-policy-keys"""
    image = aws.image()
    for owner, expected in ((HUB, None), (EXTERNAL_ACCOUNT, "UnauthorizedOperation")):
        client = role(allow("ec2:ModifyImageAttribute", IMAGES, {"StringEquals": {"ec2:Owner": owner}}))("ec2")
        if expected is None:
            open_image(client, image)
        else:
            assert error_of(open_image, client, image) == expected
    tagged = allow("ec2:ModifyImageAttribute", IMAGES, {"StringEquals": {"aws:ResourceTag/stage": "test"}})
    assert error_of(open_image, role(tagged)("ec2"), image) == "UnauthorizedOperation"
    aws.ec2().create_tags(Resources=[image], Tags=[{"Key": "stage", "Value": "test"}])
    open_image(role(tagged)("ec2"), image)


def test_what_is_added_to_a_snapshot_is_a_condition_key_and_to_an_image_it_is_none(aws, role):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    image, snapshot = aws.image(), aws.snapshot()
    actions = ["ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"]
    never_public = deny(actions, "*", {"StringEquals": {"ec2:Add/group": "all"}})
    client = role(allow(actions, [IMAGES, SNAPSHOTS]), never_public)("ec2")
    public = {"Add": [{"Group": "all"}]}
    arguments = {"SnapshotId": snapshot, "Attribute": "createVolumePermission", "CreateVolumePermission": public}
    assert error_of(client.modify_snapshot_attribute, **arguments) == "UnauthorizedOperation"
    client.modify_image_attribute(ImageId=image, LaunchPermission=public)


def test_tags_may_be_limited_to_some_keys(aws, role):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    image = aws.image()
    only_status = {"ForAllValues:StringEquals": {"aws:TagKeys": ["status"]}, "Null": {"aws:TagKeys": "false"}}
    client = role(allow("ec2:CreateTags", IMAGES, only_status))("ec2")
    status, other = {"Key": "status", "Value": "a"}, {"Key": "other", "Value": "b"}
    client.create_tags(Resources=[image], Tags=[status])
    assert error_of(client.create_tags, Resources=[image], Tags=[status, other]) == "UnauthorizedOperation"
    assert error_of(client.create_tags, Resources=[aws.snapshot()], Tags=[status]) == "UnauthorizedOperation"


def test_a_key_has_its_tags_and_the_bypass_of_the_lockout_check_as_condition_keys(aws, role):
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-bypass-policy-lockout-safety-check

    https://docs.aws.amazon.com/kms/latest/developerguide/abac.html
    """
    key = aws.key()
    document = aws.kms().get_key_policy(KeyId=key)["Policy"]
    managed = allow("kms:PutKeyPolicy", KEYS, {"StringEquals": {"aws:ResourceTag/managed": "true"}})
    no_bypass = deny("kms:PutKeyPolicy", "*", {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"}})
    client = role(managed, no_bypass)("kms")
    assert error_of(client.put_key_policy, KeyId=key, Policy=document) == "AccessDeniedException"
    aws.kms().tag_resource(KeyId=key, Tags=[{"TagKey": "managed", "TagValue": "true"}])
    client.put_key_policy(KeyId=key, Policy=document)
    bypassing = {"KeyId": key, "Policy": document, "BypassPolicyLockoutSafetyCheck": True}
    assert error_of(client.put_key_policy, **bypassing) == "AccessDeniedException"


@pytest.fixture
def ledger(aws):
    aws.client("dynamodb").create_table(
        TableName="ledger", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )  # fmt: skip


def row(partition):
    return {"pk": {"S": partition}, "sk": {"S": "row"}}


def of_partitions(*patterns):
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)}, "Null": {"dynamodb:LeadingKeys": "false"}}


def test_rows_may_be_limited_by_their_partition_key(ledger, role):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    actions = [f"dynamodb:{name}" for name in ("PutItem", "GetItem", "Query", "BatchWriteItem", "BatchGetItem")]
    client = role(allow(actions, TABLE, of_partitions("IMAGE#*")))("dynamodb")

    def every_call(partition):
        query = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": partition}}}
        yield client.put_item, {"TableName": "ledger", "Item": row(partition)}
        yield client.get_item, {"TableName": "ledger", "Key": row(partition)}
        yield client.query, {"TableName": "ledger", **query}
        writes = [{"PutRequest": {"Item": row(name)}} for name in ("IMAGE#a", partition)]
        yield client.batch_write_item, {"RequestItems": {"ledger": writes[-1:] if partition == "IMAGE#a" else writes}}
        yield client.batch_get_item, {"RequestItems": {"ledger": {"Keys": [row(partition)]}}}

    for call, arguments in every_call("IMAGE#a"):
        call(**arguments)
    for call, arguments in every_call("AUDIT#a"):
        assert error_of(call, **arguments) == "AccessDeniedException"


def test_a_transaction_needs_the_permission_of_each_of_its_items(ledger, role):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""
    put = {"Put": {"TableName": "ledger", "Item": row("IMAGE#a")}}
    update = {
        "Update": {
            "TableName": "ledger", "Key": row("KEY#a"), "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": {":a": {"S": "a"}},
        }
    }  # fmt: skip
    puts = allow("dynamodb:PutItem", TABLE, of_partitions("IMAGE#*"))
    client = role(puts)("dynamodb")
    assert error_of(client.transact_write_items, TransactItems=[put, update]) == "AccessDeniedException"
    client = role(puts, allow("dynamodb:UpdateItem", TABLE, of_partitions("KEY#*")))("dynamodb")
    client.transact_write_items(TransactItems=[put, update])


def test_an_index_is_a_resource_of_its_own(ledger, role):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html"""
    client = role(allow("dynamodb:Query", TABLE))("dynamodb")
    query = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "IMAGE#a"}}}
    client.query(TableName="ledger", **query)
    assert error_of(client.query, TableName="ledger", IndexName="managed", **query) == "AccessDeniedException"


def test_an_ou_and_an_account_are_resources_of_the_organization(aws, role):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_permissions_iam-policies.html"""
    _, _, root = aws.organization()
    ou, arn = aws.ou(root, "ou")
    client = role(allow("organizations:ListAccountsForParent", arn))("organizations")
    client.list_accounts_for_parent(ParentId=ou)
    assert error_of(client.list_accounts_for_parent, ParentId=root) == "AccessDeniedException"


def test_events_may_be_limited_by_bus_source_and_detail_type(aws, role):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html"""
    bus = f"arn:aws:events:{REGION}:{HUB}:event-bus/default"
    condition = {"StringEquals": {"events:source": "test"}, "StringLike": {"events:detail-type": "AMI *"}}
    client = role(allow("events:PutEvents", bus, condition))("events")
    entry = {"Source": "test", "DetailType": "AMI Shared", "Detail": "{}"}
    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0
    for other in ({"Source": "else"}, {"DetailType": "Else"}, {"EventBusName": "other"}):
        assert error_of(client.put_events, Entries=[entry, entry | other]) == "AccessDeniedException"


def test_a_change_of_the_policy_counts_at_once_here(aws, role):
    """In AWS this takes a moment: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html (eventual consistency)"""
    assert error_of(role(allow("ec2:DescribeSnapshots", "*"))("ec2").describe_images) == "UnauthorizedOperation"
    role(allow("ec2:DescribeImages", "*"))("ec2").describe_images()


def test_a_caller_without_a_role_in_iam_is_not_restricted(aws):
    """The hub's own access key, and callers in other accounts, represent people with full access."""
    aws.ec2().describe_images()
    aws.ec2(aws.external_account()).describe_images()
