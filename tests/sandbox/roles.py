"""The IAM roles that a run makes: one that AWS's services use, and one that the checks of IAM assume."""

import json
from collections.abc import Callable
from typing import Any

from sandbox.account import Account
from sandbox.answers import until
from sandbox.findings import NotChecked
from sandbox.naming import name, prefix, tags
from sandbox.state_machines import MANAGED_RULE

Statement = dict[str, Any]


def for_services(account: Account, run: str, say: Callable[[str], None]) -> str:
    """A role for Scheduler, Step Functions and Lambda: its ARN. It starts workflows, waits for them, and changes rows.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html (what waiting takes)
    """
    services = ["scheduler.amazonaws.com", "states.amazonaws.com", "lambda.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    waits = ["states:DescribeExecution", "states:StopExecution"]
    watches = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    statements = [
        _allows(["states:StartExecution"], account.arn("states", f"stateMachine:{prefix(run)}*")),
        _allows(waits, account.arn("states", f"execution:{prefix(run)}*")),
        _allows(watches, account.arn("events", f"rule/{MANAGED_RULE}")),
        _allows(["dynamodb:UpdateItem"], account.arn("dynamodb", f"table/{name(run, 'table')}")),
    ]
    return _make(account, run, "service", trust, statements, say)


def for_ourselves(account: Account, run: str, statements: list[Statement], say: Callable[[str], None]) -> str:
    """A role that we can assume, with these permissions and no other: its ARN."""
    ourselves = f"arn:{account.partition}:iam::{account.id}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": ourselves}, "Action": "sts:AssumeRole"}
    return _make(account, run, "caller", trust, statements, say)


def _allows(actions: list[str], resource: str) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _make(
    account: Account, run: str, what: str, trust: Statement, statements: list[Statement], say: Callable[[str], None]
) -> str:
    say(f"making an IAM role ({what})")
    iam, role = account.client("iam"), name(run, what)
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document([trust]), Tags=tags(run))

    def is_put() -> bool:
        try:
            iam.put_role_policy(RoleName=role, PolicyName="checks", PolicyDocument=_document(statements))
        except iam.exceptions.NoSuchEntityException:
            return False
        return True

    if not until(is_put, 60, pause=2):
        raise NotChecked("IAM does not know a role that it made a minute ago")
    return str(made["Role"]["Arn"])


def _document(statements: list[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
