"""Comparing what roles may do with what flows did, in both directions, and detecting an incomplete record."""

from simulated_aws.cloudformation.template import TemplateError
from simulated_aws.iam import role_statements, unused_permissions

ALLOWED = {"Sid": "Write", "Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:Query"], "Resource": ["one", "two"]}
CONDITIONAL = {"Sid": "Ask", "Effect": "Allow", "Action": "ec2:DescribeImages", "Resource": "*"}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def template(*statements, managed=()):
    policies = [{"PolicyName": "own", "PolicyDocument": {"Statement": list(statements)}}]
    properties = {"Policies": policies, "ManagedPolicyArns": list(managed)}
    return {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}


def used(statement, action, place="0", policy="own"):
    return ("used", "Role", policy, statement, action, place)


WHOLE = {used("Write", "dynamodb:PutItem", "0"), used("Write", "dynamodb:Query", "1")}


def compare(expanded, facts):
    return unused_permissions.compare(role_statements.of(expanded), facts)


def test_every_action_and_every_resource_has_to_be_used():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege"""
    assert compare(template(ALLOWED), WHOLE) == []
    [action] = compare(template(ALLOWED), {used("Write", "dynamodb:PutItem", "0"), used("Write", "dynamodb:PutItem", "1")})
    assert action == "Role, own, Write: no whole flow used dynamodb:Query; remove it, or add a whole flow that needs it"
    [resource] = compare(template(ALLOWED), {used("Write", "dynamodb:PutItem"), used("Write", "dynamodb:Query")})
    assert "no whole flow needed the resource two" in resource


def test_what_another_role_or_statement_used_does_not_count():
    others = {("used", "Other", *fact[2:]) for fact in WHOLE} | {("used", "Role", "own", "Else", *fact[4:]) for fact in WHOLE}
    assert len(compare(template(ALLOWED), others)) == 2


def test_whatever_was_denied_is_found():
    [found] = compare(template(ALLOWED), WHOLE | {("denied", "Role", "kms:Decrypt", "key")})
    assert found == "Role was denied kms:Decrypt on key: allow it in the template, or do not call it"


def test_a_statement_on_a_condition_counts_and_needs_a_sid():
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html"""
    conditional = {"Fn::If": ["Asks", CONDITIONAL, {"Ref": "AWS::NoValue"}]}
    assert len(compare(template(ALLOWED, conditional), WHOLE)) == 1
    assert compare(template(ALLOWED, conditional), WHOLE | {used("Ask", "ec2:DescribeImages")}) == []
    nameless = {"Fn::If": ["Asks", {**CONDITIONAL, "Sid": ""}, {"Ref": "AWS::NoValue"}]}
    del nameless["Fn::If"][1]["Sid"]
    try:
        compare(template(nameless), WHOLE)
    except TemplateError as error:
        assert "needs a Sid" in str(error)
    else:
        raise AssertionError("it was taken")


def test_aws_own_policies_count_by_their_actions():
    """https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html"""
    expanded = template(ALLOWED, managed=[BASIC])
    unused = compare(expanded, WHOLE)
    assert [one.split(" used ")[1].split(";")[0] for one in unused] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    logs = {used("0", action, "stream", BASIC) for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    assert compare(expanded, WHOLE | logs) == []


def test_a_denial_of_the_template_needs_no_use():
    assert compare(template(ALLOWED, {**CONDITIONAL, "Effect": "Deny"}), WHOLE) == []


def test_a_rule_has_to_use_the_resource_policy_of_its_function_and_queue():
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    permission = {"SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}, "FunctionName": {"Ref": "Function"}}
    queue = {"Queues": [{"Ref": "Queue"}]}
    expanded = {
        "Resources": {
            "Permission": {"Type": "AWS::Lambda::Permission", "Properties": permission},
            "Letters": {"Type": "AWS::SQS::QueuePolicy", "Properties": queue},
        }
    }
    assert [one.split(":")[0] for one in unused_permissions.unused_resource_policies(expanded, set())] == ["Permission", "Letters"]
    invoked = ("allowed_by_resource", "Rule", "lambda:InvokeFunction", "Function")
    sent = ("allowed_by_resource", "Any", "sqs:SendMessage", "Queue")
    assert unused_permissions.unused_resource_policies(expanded, {invoked, sent}) == []
    assert len(unused_permissions.unused_resource_policies(expanded, {("allowed_by_resource", "Other", *invoked[2:]), sent})) == 1


def test_a_record_of_nothing_of_some_flows_or_of_something_else_is_none(tmp_path):
    assert "no record" in unused_permissions.incomplete(unused_permissions.read(tmp_path, "now"), tmp_path)
    (tmp_path / "1.txt").write_text("of\tthen\nused\tRole\n")
    assert unused_permissions.read(tmp_path, "now") == set()
    facts = unused_permissions.read(tmp_path, "then")
    assert facts == {("of", "then"), ("used", "Role")}
    assert "some flows only" in unused_permissions.incomplete(facts, tmp_path)
    (tmp_path / "complete").touch()
    assert unused_permissions.incomplete(facts, tmp_path) is None
