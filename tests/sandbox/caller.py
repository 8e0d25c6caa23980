"""The role that the checks of IAM assume. It has the statements of our roles, and no other permission."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sandbox.account import Account
from sandbox.answers import DENIED, code_of, until
from sandbox.findings import NotChecked
from sandbox.fixture import Fixture
from sandbox.images import dry_run
from sandbox.naming import log_group_name

# How long it takes at most until a new role and its permissions take effect.
RIGHTS_WITHIN_SECONDS = 90

# What a function's role may do to logs, and to which log group only.
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html
LOGGING = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
OWN_LOGS = "own"

# Which events it may put.
NOTIFICATIONS = {"StringEquals": {"events:source": "ami-share"}, "StringLike": {"events:detail-type": "AMI *"}}


def statements(fixture: Fixture) -> list[dict[str, Any]]:
    """As in template.yaml: `tests/simulated_aws_rules/sandbox_checks/test_assumptions.py` compares them with it."""
    here, ec2 = fixture.account, f"arn:{fixture.account.partition}:ec2:{fixture.account.region}"
    permissions = ["ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"]
    table = here.arn("dynamodb", f"table/{fixture.name('table')}")
    reads, writes = ["Query", "GetItem", "BatchGetItem"], ["PutItem", "DeleteItem", "BatchWriteItem"]
    rows_of_images = [f"dynamodb:{name}" for name in reads + writes]
    logs, own_logs = (here.arn("logs", f"log-group:{log_group_name(fixture.run, what)}") for what in ("", OWN_LOGS))
    keys = here.arn("kms", "key/*")
    return [
        _statement("Allow", permissions, [f"{ec2}::image/*", f"{ec2}::snapshot/*"], {"StringEquals": {"ec2:Owner": here.id}}),
        _statement("Deny", permissions, "*", {"StringEquals": {"ec2:Add/group": "all"}}),
        _statement("Allow", ["kms:PutKeyPolicy"], keys, {"StringEquals": {"aws:ResourceTag/ami-share:managed": "true"}}),
        _statement("Deny", ["kms:PutKeyPolicy"], "*", {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"}}),
        _statement("Allow", rows_of_images, table, _rows("IMAGE#*")),
        _statement("Allow", ["dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"], table, _rows("IMAGE#*", "KEY#*")),
        _statement("Allow", ["dynamodb:PutItem"], table, _rows("AUDIT#*")),
        _statement("Allow", ["ec2:DeleteTags"], f"{ec2}::image/*", None),
        _statement("Deny", ["ec2:DeleteTags"], f"{ec2}::image/*", {"Null": {"aws:TagKeys": "true"}}),
        _statement("Allow", ["events:PutEvents"], here.arn("events", f"event-bus/{fixture.name('bus')}"), NOTIFICATIONS),
        _statement("Allow", LOGGING, f"{logs}*", None),
        {"Effect": "Deny", "Action": LOGGING, "NotResource": f"{own_logs}:*"},
    ]


def _rows(*partitions: str) -> dict[str, Any]:
    """Every item of the request is in one of these partitions, and there is one."""
    return {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(partitions)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def _statement(effect: str, actions: list[str], resource: Any, condition: Any) -> dict[str, Any]:
    made = {"Effect": effect, "Action": actions, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


# The role of each run, or the error that prevented it: it is made once.
_callers: dict[str, Account | Exception] = {}


def caller(fixture: Fixture) -> Account:
    """The account, with the permissions of the role. NotChecked where the endpoint does not check permissions."""
    if fixture.run not in _callers:
        try:
            _callers[fixture.run] = _new_caller(fixture)
        except Exception as error:  # A second role could not have the same name.
            _callers[fixture.run] = error
    found = _callers[fixture.run]
    if isinstance(found, Exception):
        raise found
    return found


def _new_caller(fixture: Fixture) -> Account:
    role = fixture.caller_role(statements(fixture))
    acting = until(lambda: _assumed(fixture, role), fixture.within(RIGHTS_WITHIN_SECONDS), pause=3)
    if not isinstance(acting, Account):
        raise NotChecked("the new role cannot be assumed")
    zone = f"{fixture.account.region}a"
    if dry_run(acting.client("ec2").create_volume, AvailabilityZone=zone, Size=1) == "allowed":
        raise NotChecked("this endpoint does not check what a role may do")
    return acting


def _assumed(fixture: Fixture, role: str) -> Account | None:
    try:
        acting = fixture.account.acting_as(role)
        acting.client("sts").get_caller_identity()
        return acting
    except ClientError as error:
        if code_of(error) in DENIED or code_of(error) == "InvalidClientTokenId":
            return None
        raise


def wait_until(is_so: Callable[[], bool], seconds: float, pause: float = 3) -> bool:
    """Waits for the permissions of a new role, whose credentials a service may not know at first either."""

    def read() -> bool:
        try:
            return is_so()
        except NotChecked:
            return False

    return bool(until(read, seconds, pause))


def shown(codes: dict[str, str]) -> str:
    """All answers in one line."""
    return ", ".join(f"{what}: {code}" for what, code in codes.items())
