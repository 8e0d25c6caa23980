"""`python -m simulated_aws.iam.unused_permissions TEMPLATE FUNCTIONS RECORD`: finds permissions that no whole flow used.

A whole flow must have used each action that a role of the template allows, on each resource of the statement; no flow may
have been denied anything; and each rule must have used the resource policy of its function or queue. `permission_record`
recorded what was used and what was denied.

https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege
"""

import argparse
import sys
from pathlib import Path

from simulated_aws.cloudformation import parameters, template
from simulated_aws.iam import permission_record, role_statements

Fact = tuple[str, ...]

# Actions of AWS managed policies that no flow uses. SAM attaches the policies, and the template cannot exclude a part.
EXCEPTIONS = {
    # The template makes each function's log group, and denies the functions making another.
    # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html
    "AWSLambdaBasicExecutionRole": {"logs:CreateLogGroup"},
    # X-Ray's SDK calls these in a function to decide what to sample; our functions leave that to Lambda.
    # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSXrayWriteOnlyAccess.html
    "AWSXrayWriteOnlyAccess": {
        "xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries",
    },
}  # fmt: skip


def main() -> int:
    """Exit status: 0 without findings, 1 with findings, 2 without a record of the flows of this template."""
    parser = argparse.ArgumentParser(
        prog="python -m simulated_aws.iam.unused_permissions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("template", type=Path)
    parser.add_argument("functions", type=Path, help="the folder of the functions' binaries")
    parser.add_argument("record", type=Path, help="the folder that the flows wrote to")
    arguments = parser.parse_args()
    now = fingerprint(arguments.template, arguments.functions)
    facts = read(arguments.record, now)
    missing = incomplete(facts, arguments.record)
    if missing is not None:
        print(f"{missing}: run all flows first, with `cargo test --test flow`")
        return 2
    statements = role_statements.of_template(arguments.template)
    values = parameters.resolve(template.read(arguments.template).get("Parameters", {}), {})
    findings = compare(statements, facts) + unused_resource_policies(template.expand(arguments.template, values), facts)
    for finding in findings:
        print(finding)
    allowed = sum(len(one.values("Action")) for one in statements if one.body["Effect"] == "Allow")
    print(f"{allowed} actions are allowed in {len(statements)} statements, {len(findings)} findings")
    return 1 if findings else 0


def read(record: Path, now: str) -> set[Fact]:
    """All facts of the flows that deployed this template."""
    files = [{tuple(line.split("\t")) for line in file.read_text().splitlines()} for file in record.glob("*.txt")]
    return {fact for facts in files if ("of", now) in facts for fact in facts}


def fingerprint(path: Path, functions: Path) -> str:
    """The fingerprint of the template and binaries as they are now."""
    return permission_record.fingerprint(path, [functions / binary for binary in template.binaries(path).values()])


def incomplete(facts: set[Fact], record: Path) -> str | None:
    """Why the record cannot be compared with the template; None if it can."""
    if not facts:
        return "there is no record of flows of this template, these workflows and these binaries"
    if not (record / "complete").exists():
        return "the record is of some flows only"
    return None


def compare(statements: list[role_statements.RoleStatement], facts: set[Fact]) -> list[str]:
    """The findings, each with its remedy."""
    findings = [
        f"{fact[1]} was denied {fact[2]} on {fact[3]}: allow it in the template, or do not call it"
        for fact in sorted(facts)
        if fact[0] == "denied"
    ]
    for statement in statements:
        if statement.body["Effect"] == "Allow":
            findings += [f"{statement}: {found}" for found in _unused(statement, facts)]
    return findings


def unused_resource_policies(expanded: template.Template, facts: set[Fact]) -> list[str]:
    """The permissions of functions and the policies of queues that no rule used."""
    allowed_by_resource = {fact[1:] for fact in facts if fact[0] == "allowed_by_resource"}
    findings = []
    for name, resource in expanded["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Permission":
            rule, function = properties["SourceArn"]["Fn::GetAtt"][0], properties["FunctionName"]["Ref"]
            if (rule, "lambda:InvokeFunction", function) not in allowed_by_resource:
                findings.append(f"{name}: in no whole flow {rule} invoked {function}; remove it, or add a whole flow")
        if resource["Type"] == "AWS::SQS::QueuePolicy":
            queues = {queue["Ref"] for queue in properties["Queues"]}
            if not any(one[1:] == ("sqs:SendMessage", queue) for one in allowed_by_resource for queue in queues):
                findings.append(f"{name}: in no whole flow a rule sent to {', '.join(queues)}; remove it, or add a whole flow")
    return findings


def _unused(statement: role_statements.RoleStatement, facts: set[Fact]) -> list[str]:
    used = {fact[4:] for fact in facts if fact[:4] == ("used", statement.role, statement.policy, statement.name)}
    actions, places = {fact[0] for fact in used}, {fact[1] for fact in used}
    remedy = "remove it, or add a whole flow that needs it"
    excepted = EXCEPTIONS.get(statement.policy.rsplit("/", 1)[-1], set()) if statement.is_aws_managed else set()
    unused = [action for action in statement.values("Action") if action not in actions | excepted]
    findings = [f"no whole flow used {action}; {remedy}" for action in unused]
    if actions and not statement.is_aws_managed:
        resources = enumerate(statement.values("Resource"))
        findings += [f"no whole flow needed the resource {one}; {remedy}" for place, one in resources if str(place) not in places]
    return findings


if __name__ == "__main__":
    sys.exit(main())
