"""The check of role statements against AWS's Service Authorization Reference."""

import pytest
from simulated_aws.iam import permission_lint
from simulated_aws.iam.role_statements import RoleStatement

IMAGES = {"Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}::image/*"}
SNAPSHOTS = {"Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}::snapshot/*"}
TEMPLATE = {
    "Resources": {
        "Table": {"Type": "AWS::DynamoDB::Table"},
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    }
}


def findings(actions, resources, condition=None, effect="Allow"):
    body = {"Effect": effect, "Action": actions, "Resource": resources, "Condition": condition or {}}
    return permission_lint.check(RoleStatement("Role", "policy", "Sid", body), TEMPLATE)


@pytest.mark.parametrize(
    ("actions", "resources", "condition"),
    [
        (["ec2:DescribeImages"], "*", None),
        (["ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"], [IMAGES, SNAPSHOTS], {"StringEquals": {"ec2:Owner": "1"}}),
        (["kms:PutKeyPolicy"], {"Fn::Sub": "arn:aws:kms:a:b:key/*"}, {"StringEquals": {"aws:ResourceTag/any:tag": "true"}}),
        (["dynamodb:Query"], {"Fn::GetAtt": ["Table", "Arn"]}, None),
        (["dynamodb:Query"], {"Fn::Sub": "${Table.Arn}/index/one"}, None),
        (["sns:Publish"], {"Ref": "Topic"}, None),
        (["s3:ListBucket"], {"Fn::GetAtt": ["Bucket", "Arn"]}, {"StringLike": {"s3:prefix": "a/*"}}),
        (["s3:GetObject"], {"Fn::Sub": "${Bucket.Arn}/a/*"}, {"StringEquals": {"aws:ResourceAccount": "1"}}),
    ],
)
def test_what_the_reference_knows_passes(actions, resources, condition):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""
    assert findings(actions, resources, condition) == []


def test_an_action_must_exist():
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    assert "there is no action ec2:ShareImage" in findings(["ec2:ShareImage"], "*")
    assert "there is no action ec2:Describe*" in findings(["ec2:Describe*"], "*")


def test_an_action_that_knows_resources_is_limited_to_them():
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    [found] = findings(["ec2:DescribeImageAttribute"], "*")
    assert found.startswith("ec2:DescribeImageAttribute can be limited to arn:${Partition}:ec2:${Region}::image/")
    assert findings(["ec2:DescribeImages"], IMAGES)[0] == "ec2:DescribeImages knows no resources: it needs `*`"
    assert any("knows none of these resources" in one for one in findings(["ec2:ModifyImageAttribute"], SNAPSHOTS))
    assert any("knows none" in one for one in findings(["s3:GetObject"], {"Fn::GetAtt": ["Bucket", "Arn"]}))


def test_a_condition_key_that_the_action_does_not_set_is_found_in_an_allow_and_in_a_deny():
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    public = {"StringEquals": {"ec2:Add/group": "all"}}
    expected = "ec2:ModifyImageAttribute does not set ec2:Add/group, so the statement never applies to it"
    for effect in ("Allow", "Deny"):
        assert findings(["ec2:ModifySnapshotAttribute"], SNAPSHOTS, public, effect) == []
        assert findings(["ec2:ModifyImageAttribute"], IMAGES, public, effect) == [expected]


def test_for_all_values_needs_the_key_to_be_there():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["status"]}}
    [found] = findings(["ec2:CreateTags"], IMAGES, only)
    assert found == "ForAllValues holds without aws:TagKeys too: add Null, aws:TagKeys, false"
    assert findings(["ec2:CreateTags"], IMAGES, only | {"Null": {"aws:TagKeys": "false"}}) == []
