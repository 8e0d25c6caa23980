"""Finds everything that a run created, by name and tag, and removes it.

It keeps no list but searches, so it also cleans up after a run that was interrupted, on any machine. This module alone
lists what a run may create.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.account import Account
from sandbox.answers import DENIED, code_of, until
from sandbox.naming import TAG, log_group_name, name, prefix

KEY_WAITS_DAYS = 7

_GONE = {
    "ResourceNotFoundException", "ResourceNotFound", "NoSuchEntity", "NotFoundException", "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue", "StateMachineDoesNotExist", "InvalidSnapshot.NotFound",
    "InvalidVolume.NotFound", "InvalidAMIID.NotFound", "InvalidAMIID.Unavailable",
}  # fmt: skip
# What was made last, EC2's filters and KMS's list may show so much later.
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
LATE_SECONDS = 20

# A snapshot is in use for a moment after its image is gone; a queue's name is free after a minute.
_IN_USE_SECONDS = 60

Thing = tuple[str, str]  # What kind of thing, and its name or id.


class Cleaned(NamedTuple):
    """What was removed, and what is left because a permission is missing or the search failed."""

    removed: list[Thing]
    left: list[Thing]


def clean(account: Account, run: str, say: Callable[[str], None]) -> Cleaned:
    """Removes all that the run made and that is shown by now."""
    removed: list[Thing] = []
    left: list[Thing] = []
    for kind, (find, remove) in _KINDS.items():
        try:
            things = list(find(account, run))
        except Exception as error:  # Whatever the error, search the other kinds.
            say(f"  cannot search for a {kind}: {error}")
            left.append((kind, "unknown"))
            continue
        for thing in things:
            if _removed(remove, account, thing, say, kind):
                removed.append((kind, thing))
                say(f"  removed {kind} {thing}" if kind != "key" else f"  {kind} {thing} will be deleted in {KEY_WAITS_DAYS} days")
            else:
                left.append((kind, thing))
    return Cleaned(removed, left)


def _removed(remove: Callable[[Account, str], None], account: Account, thing: str, say: Callable[[str], None], kind: str) -> bool:
    failures: list[str] = []

    def attempt() -> bool:
        try:
            remove(account, thing)
        except Exception as error:  # Whatever the error, remove the other things.
            if isinstance(error, ClientError) and code_of(error) in _GONE:
                return True
            failures.append(str(error))
            return False
        return True

    patience = _IN_USE_SECONDS if kind in ("snapshot", "volume", "role", "table", "key") else 0
    if until(attempt, patience, pause=2):
        return True
    say(f"  cannot remove {kind} {thing}: {failures[-1]}")
    return False


def _one(call: Callable[..., Any], given: str, **parameters: Any) -> list[str]:
    """The name, if something is there."""
    try:
        call(**parameters)
    except ClientError as error:
        if code_of(error) in _GONE:
            return []
        raise
    return [given]


def _paged(account: Account, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    yield from account.client(service).get_paginator(operation).paginate(**parameters)


def _schedule_groups(account: Account, run: str) -> list[str]:
    get = account.client("scheduler").get_schedule_group
    try:
        group = get(Name=name(run))
    except ClientError as error:
        if code_of(error) in _GONE:
            return []
        raise
    return [] if group.get("State") == "DELETING" else [name(run)]


def _remove_schedule_group(account: Account, thing: str) -> None:
    account.client("scheduler").delete_schedule_group(Name=thing)


def _rules(account: Account, run: str) -> list[str]:
    return [rule["Name"] for rule in account.client("events").list_rules(NamePrefix=prefix(run))["Rules"]]


def _remove_rule(account: Account, thing: str) -> None:
    events = account.client("events")
    ids = [target["Id"] for target in events.list_targets_by_rule(Rule=thing)["Targets"]]
    if ids:
        events.remove_targets(Rule=thing, Ids=ids)
    events.delete_rule(Name=thing)


def _buses(account: Account, run: str) -> list[str]:
    return [bus["Name"] for bus in account.client("events").list_event_buses(NamePrefix=prefix(run))["EventBuses"]]


def _remove_bus(account: Account, thing: str) -> None:
    account.client("events").delete_event_bus(Name=thing)


def _queues(account: Account, run: str) -> list[str]:
    urls = account.client("sqs").list_queues(QueueNamePrefix=prefix(run)).get("QueueUrls", [])
    return [url.rsplit("/", 1)[-1] for url in urls]


def _remove_queue(account: Account, thing: str) -> None:
    sqs = account.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=thing)["QueueUrl"])


def _workflows(account: Account, run: str) -> list[str]:
    pages = _paged(account, "stepfunctions", "list_state_machines")
    return [one["name"] for page in pages for one in page["stateMachines"] if one["name"].startswith(prefix(run))]


def _remove_workflow(account: Account, thing: str) -> None:
    account.client("stepfunctions").delete_state_machine(stateMachineArn=account.arn("states", f"stateMachine:{thing}"))


def _functions(account: Account, run: str) -> list[str]:
    wanted = name(run, "function")
    return _one(account.client("lambda").get_function, wanted, FunctionName=wanted)


def _remove_function(account: Account, thing: str) -> None:
    account.client("lambda").delete_function(FunctionName=thing)


def _log_groups(account: Account, run: str) -> list[str]:
    found = account.client("logs").describe_log_groups(logGroupNamePrefix=log_group_name(run))["logGroups"]
    return [group["logGroupName"] for group in found]


def _remove_log_group(account: Account, thing: str) -> None:
    account.client("logs").delete_log_group(logGroupName=thing)


def _tables(account: Account, run: str) -> list[str]:
    wanted = name(run, "table")
    try:
        table = account.client("dynamodb").describe_table(TableName=wanted)["Table"]
    except ClientError as error:
        if code_of(error) in _GONE:
            return []
        raise
    return [] if table["TableStatus"] == "DELETING" else [wanted]


def _remove_table(account: Account, thing: str) -> None:
    account.client("dynamodb").delete_table(TableName=thing)


def _tagged(run: str) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{TAG}", "Values": [run]}]


def _images(account: Account, run: str) -> list[str]:
    found = account.client("ec2").describe_images(Owners=["self"], IncludeDisabled=True, Filters=_tagged(run))
    return [image["ImageId"] for image in found["Images"]]


def _remove_image(account: Account, thing: str) -> None:
    """With the reports about its use, which would stay for 30 days."""
    ec2 = account.client("ec2")
    try:
        for report in ec2.describe_image_usage_reports(ImageIds=[thing]).get("ImageUsageReports", []):
            ec2.delete_image_usage_report(ReportId=report["ReportId"])
    except (ClientError, BotoCoreError):
        pass  # They cost nothing, and vanish by themselves.
    ec2.deregister_image(ImageId=thing)


def _snapshots(account: Account, run: str) -> list[str]:
    found = account.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=_tagged(run))
    return [snapshot["SnapshotId"] for snapshot in found["Snapshots"]]


def _remove_snapshot(account: Account, thing: str) -> None:
    account.client("ec2").delete_snapshot(SnapshotId=thing)


def _volumes(account: Account, run: str) -> list[str]:
    found = account.client("ec2").describe_volumes(Filters=_tagged(run))
    return [volume["VolumeId"] for volume in found["Volumes"] if volume["State"] != "deleting"]


def _remove_volume(account: Account, thing: str) -> None:
    account.client("ec2").delete_volume(VolumeId=thing)


def _keys(account: Account, run: str) -> list[str]:
    """Those that are not about to be deleted already."""
    ids = [key["KeyId"] for page in _paged(account, "kms", "list_keys") for key in page["Keys"]]
    return [key for key in ids if _is_key_of(account, run, key)]


def _is_key_of(account: Account, run: str, key: str) -> bool:
    kms = account.client("kms")
    try:
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
        if metadata.get("KeyManager") != "CUSTOMER" or metadata["KeyState"] == "PendingDeletion":
            return False
        return {"TagKey": TAG, "TagValue": run} in kms.list_resource_tags(KeyId=key)["Tags"]
    except ClientError as error:
        if code_of(error) in DENIED | _GONE:
            return False  # A foreign key: the policy of a run's keys allows the account.
        raise


def _remove_key(account: Account, thing: str) -> None:
    """A key that waits for its deletion already is in the wrong state for it.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html (7 days are the least)
    """
    kms = account.client("kms")
    try:
        kms.schedule_key_deletion(KeyId=thing, PendingWindowInDays=KEY_WAITS_DAYS)
    except kms.exceptions.KMSInvalidStateException:
        if kms.describe_key(KeyId=thing)["KeyMetadata"]["KeyState"] != "PendingDeletion":
            raise


def _roles(account: Account, run: str) -> list[str]:
    iam = account.client("iam")
    wanted = [name(run, "caller"), name(run, "service")]
    return [role for role in wanted for role in _one(iam.get_role, role, RoleName=role)]


def _remove_role(account: Account, thing: str) -> None:
    iam = account.client("iam")
    for policy in iam.list_role_policies(RoleName=thing)["PolicyNames"]:
        iam.delete_role_policy(RoleName=thing, PolicyName=policy)
    iam.delete_role(RoleName=thing)


# By kind: how it is found, and how it is removed. The order is that of removal: a resource before those that it uses.
_KINDS: dict[str, tuple[Callable[[Account, str], list[str]], Callable[[Account, str], None]]] = {
    "schedule group": (_schedule_groups, _remove_schedule_group),
    "rule": (_rules, _remove_rule),
    "event bus": (_buses, _remove_bus),
    "queue": (_queues, _remove_queue),
    "workflow": (_workflows, _remove_workflow),
    "function": (_functions, _remove_function),
    "log group": (_log_groups, _remove_log_group),
    "table": (_tables, _remove_table),
    "image": (_images, _remove_image),
    "snapshot": (_snapshots, _remove_snapshot),
    "volume": (_volumes, _remove_volume),
    "key": (_keys, _remove_key),
    "role": (_roles, _remove_role),
}
