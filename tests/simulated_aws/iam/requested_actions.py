"""The IAM actions that a request needs, each with its resource and condition keys.

It has only the operations that the functions of the stack, or of the tests' stack, call; others are denied. When you add
a call to a function, add it here from its row in the Service Authorization Reference.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.core.responses import BaseResponse
from moto.dynamodb.models import dynamodb_backends
from moto.ec2.models import ec2_backends
from moto.organizations.models import organizations_backends

from simulated_aws.ec2 import permission_changes, snapshot_permissions
from simulated_aws.iam.policy_evaluation import Context
from simulated_aws.kms import keys

_SCHEDULER = "scheduler.amazonaws.com"


@dataclass(frozen=True)
class RequestedAction:
    """One action on one resource, with the condition keys that the service sets for it."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


ActionsOf = Callable[[BaseResponse], Iterator[RequestedAction]]


def of(response: BaseResponse) -> list[RequestedAction] | None:
    """Every action that the request needs; None for an operation that this module does not know."""
    actions_of = _ACTIONS_OF.get((response.service_name, response._get_action()))
    return None if actions_of is None else list(actions_of(response))


def named(response: BaseResponse) -> str:
    """The request's operation as IAM would name it, most likely."""
    service = str(response.service_name)
    return f"{ {'stepfunctions': 'states'}.get(service, service)}:{response._get_action()}"


def _nothing(_response: BaseResponse) -> Iterator[RequestedAction]:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permissions are required."""
    return iter(())


def _on_everything(action: str) -> ActionsOf:
    """The service knows no resources for this action."""

    def requested(_response: BaseResponse) -> Iterator[RequestedAction]:
        yield RequestedAction(action)

    return requested


# EC2: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html


def _of_image(action: str) -> ActionsOf:
    def requested(response: BaseResponse) -> Iterator[RequestedAction]:
        yield _image(response, action, response._get_param("ImageId"))

    return requested


def _of_snapshot(action: str) -> ActionsOf:
    def requested(response: BaseResponse) -> Iterator[RequestedAction]:
        yield _snapshot(response, action)

    return requested


def _image(response: BaseResponse, action: str, image_id: str, more: Context | None = None) -> RequestedAction:
    image = ec2_backends[response.current_account][response.region].amis.get(image_id)
    return _ec2(response, action, f"image/{image_id}", image, more)


def _snapshot(response: BaseResponse, action: str, more: Context | None = None) -> RequestedAction:
    snapshot_id = response._get_param("SnapshotId")
    snapshot = ec2_backends[response.current_account][response.region].snapshots.get(snapshot_id)
    return _ec2(response, action, f"snapshot/{snapshot_id}", snapshot, more)


def _ec2(response: BaseResponse, action: str, name: str, thing: Any, more: Context | None) -> RequestedAction:
    """The owner of a resource that is in another account or gone is unknown here: a condition on it is not met."""
    context = {"ec2:Region": [response.region], **(more or {})}
    if thing is not None:
        context["ec2:Owner"] = context["aws:ResourceAccount"] = [thing.owner_id]
        context |= {f"aws:ResourceTag/{tag['key']}": [tag["value"]] for tag in thing.get_tags()}
    return RequestedAction(action, f"arn:aws:ec2:{response.region}::{name}", context)


def _modify_image_attribute(response: BaseResponse) -> Iterator[RequestedAction]:
    """Its row has no `ec2:Add/group`: a policy cannot limit what is added to an image."""
    yield _image(response, "ec2:ModifyImageAttribute", response._get_param("ImageId"))


def _modify_snapshot_attribute(response: BaseResponse) -> Iterator[RequestedAction]:
    context: Context = {}
    for operation in ("Add", "Remove"):
        forms = snapshot_permissions.FLAT_FORMS
        for change in permission_changes.changes(response, operation, "CreateVolumePermission", forms):
            for kind, key in (("UserId", "userId"), ("Group", "group")):
                context.setdefault(f"ec2:{operation}/{key}", []).extend([change[kind]] if kind in change else [])
    yield _snapshot(response, "ec2:ModifySnapshotAttribute", {key: values for key, values in context.items() if values})


def _create_tags(response: BaseResponse) -> Iterator[RequestedAction]:
    tags = response._get_param("Tags", [])
    context = {"aws:TagKeys": [tag["Key"] for tag in tags]}
    context |= {f"aws:RequestTag/{tag['Key']}": [tag.get("Value", "")] for tag in tags}
    for resource in response._get_param("Resources", []):
        if resource.startswith("ami-"):
            yield _image(response, "ec2:CreateTags", resource, context)
        else:
            yield RequestedAction("ec2:CreateTags", f"arn:aws:ec2:{response.region}:{response.current_account}:*/{resource}", context)


def _create_image_usage_report(response: BaseResponse) -> Iterator[RequestedAction]:
    """Both resources are required. The report has no id yet."""
    yield _image(response, "ec2:CreateImageUsageReport", response._get_param("ImageId"))
    report = f"arn:aws:ec2:{response.region}:{response.current_account}:image-usage-report/*"
    yield RequestedAction("ec2:CreateImageUsageReport", report)


# KMS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html


def _of_key(action: str) -> ActionsOf:
    def requested(response: BaseResponse) -> Iterator[RequestedAction]:
        named = response._get_param("KeyId")
        key = keys.find(named, response.current_account, response.region)
        context: Context = {"kms:CallerAccount": [response.current_account]}
        # [R] AWS does not document whether the key is set without the parameter; a policy must work with both.
        bypass = response._get_param("BypassPolicyLockoutSafetyCheck")
        if bypass is not None:
            context["kms:BypassPolicyLockoutSafetyCheck"] = [str(bypass).lower()]
        if key is None:
            yield RequestedAction(action, named, context)
            return
        tags = response.kms_backend.tagger.get_tag_dict_for_resource(key.id)
        context |= {f"aws:ResourceTag/{name}": [value] for name, value in tags.items()}
        yield RequestedAction(action, key.arn, context | {"aws:ResourceAccount": [key.account_id]})

    return requested


# Organizations: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html


def _of_organization(action: str, parameter: str) -> ActionsOf:
    """The ARN of a root, an OU or an account names the management account and the organization.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_arn-formats.html
    """

    def requested(response: BaseResponse) -> Iterator[RequestedAction]:
        yield RequestedAction(action, _organizations_arn(response.current_account, response._get_param(parameter)))

    return requested


def _organizations_arn(account_id: str, name: str) -> str:
    management_account, _ = organizations_backends.master_accounts.get(account_id, (account_id, "aws"))
    organization = organizations_backends[management_account]["aws"].org
    kind = {"r-": "root", "ou": "ou"}.get(name[:2], "account")
    return f"arn:aws:organizations::{management_account}:{kind}/{organization.id if organization else 'none'}/{name}"


# DynamoDB: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html


def _dynamodb(response: BaseResponse, action: str, table: str, leading_keys: list[str], index: str | None = None) -> RequestedAction:
    arn = f"arn:aws:dynamodb:{response.region}:{response.current_account}:table/{table.rsplit('/', 1)[-1]}"
    resource = arn if index is None else f"{arn}/index/{index}"
    return RequestedAction(f"dynamodb:{action}", resource, {"dynamodb:LeadingKeys": leading_keys} if leading_keys else {})


def _of_item(action: str) -> ActionsOf:
    def requested(response: BaseResponse) -> Iterator[RequestedAction]:
        body = response.params
        yield _dynamodb(response, action, body["TableName"], _leading(response, body["TableName"], body))

    return requested


def _query(response: BaseResponse) -> Iterator[RequestedAction]:
    """[R] The leading key of a query is the value of the partition key, of index or table, in its condition."""
    body = response.params
    values = body.get("ExpressionAttributeValues") or {}
    leading = [next(iter(values[word].values())) for word in (body.get("KeyConditionExpression") or "").split() if word in values]
    yield _dynamodb(response, "Query", body["TableName"], leading[:1], body.get("IndexName"))


def _batch_get_item(response: BaseResponse) -> Iterator[RequestedAction]:
    for table, requested in response.params["RequestItems"].items():
        leading = [_value(response, table, key) for key in requested["Keys"]]
        yield _dynamodb(response, "BatchGetItem", table, leading)


def _batch_write_item(response: BaseResponse) -> Iterator[RequestedAction]:
    """It needs only its own permission, not those of PutItem and DeleteItem.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/api-permissions-reference.html
    """
    for table, writes in response.params["RequestItems"].items():
        rows = [(one.get("PutRequest") or {}).get("Item") or one["DeleteRequest"]["Key"] for one in writes]
        yield _dynamodb(response, "BatchWriteItem", table, [_value(response, table, row) for row in rows])


def _transact_write_items(response: BaseResponse) -> Iterator[RequestedAction]:
    """A transaction needs the permission of each of its items.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    actions = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
    for item in response.params["TransactItems"]:
        for kind, write in item.items():
            leading = _leading(response, write["TableName"], write)
            yield _dynamodb(response, actions[kind], write["TableName"], leading)


def _leading(response: BaseResponse, table: str, body: Any) -> list[str]:
    return [_value(response, table, body.get("Key") or body["Item"])]


def _value(response: BaseResponse, table: str, row: Any) -> str:
    """The row's partition key; empty for a missing table, which DynamoDB reports itself."""
    tables = dynamodb_backends[response.current_account][response.region].tables
    found = tables.get(table.rsplit("/", 1)[-1])
    return str(next(iter(row[found.hash_key_attr].values()))) if found is not None else ""


# The others: list_amazoneventbridgescheduler, list_awsstepfunctions, list_amazoneventbridge, list_amazonsns, list_awsiam


def _of_schedule(action: str, passes_role: bool) -> ActionsOf:
    """The caller must be allowed to pass the role of the schedule.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html
    """

    def requested(response: BaseResponse) -> Iterator[RequestedAction]:
        group = response._get_param("GroupName") or response._get_param("groupName") or "default"
        name = response.uri.split("?")[0].split("/")[-1]
        account = response.current_account
        yield RequestedAction(action, f"arn:aws:scheduler:{response.region}:{account}:schedule/{group}/{name}")
        if passes_role:
            role = str((response._get_param("Target") or {}).get("RoleArn"))
            yield RequestedAction("iam:PassRole", role, {"iam:PassedToService": [_SCHEDULER]})

    return requested


def _start_execution(response: BaseResponse) -> Iterator[RequestedAction]:
    yield RequestedAction("states:StartExecution", response._get_param("stateMachineArn"))


def _put_events(response: BaseResponse) -> Iterator[RequestedAction]:
    """Each entry is checked by itself. `eventbridge.put_events` checks the policy of another account's bus."""
    for entry in json.loads(response.body)["Entries"]:
        bus = entry.get("EventBusName") or "default"
        arn = bus if bus.startswith("arn:") else f"arn:aws:events:{response.region}:{response.current_account}:event-bus/{bus}"
        context = {"events:source": [entry.get("Source", "")], "events:detail-type": [entry.get("DetailType", "")]}
        yield RequestedAction("events:PutEvents", arn, context)


def _publish(response: BaseResponse) -> Iterator[RequestedAction]:
    """PublishBatch has no action of its own: https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html"""
    yield RequestedAction("sns:Publish", response._get_param("TopicArn") or response._get_param("TargetArn"))


def _send_message(response: BaseResponse) -> Iterator[RequestedAction]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html"""
    name = json.loads(response.body)["QueueUrl"].rsplit("/", 1)[-1]
    yield RequestedAction("sqs:SendMessage", f"arn:aws:sqs:{response.region}:{response.current_account}:{name}")


def _assume_role(response: BaseResponse) -> Iterator[RequestedAction]:
    yield RequestedAction("sts:AssumeRole", response._get_param("RoleArn"))


_ACTIONS_OF: dict[tuple[str, str], ActionsOf] = {
    ("sts", "GetCallerIdentity"): _nothing,
    ("sts", "AssumeRole"): _assume_role,
    ("ec2", "DescribeImages"): _on_everything("ec2:DescribeImages"),
    ("ec2", "DescribeSnapshots"): _on_everything("ec2:DescribeSnapshots"),
    ("ec2", "DescribeImageUsageReports"): _on_everything("ec2:DescribeImageUsageReports"),
    ("ec2", "DescribeImageUsageReportEntries"): _on_everything("ec2:DescribeImageUsageReportEntries"),
    ("ec2", "DescribeImageAttribute"): _of_image("ec2:DescribeImageAttribute"),
    ("ec2", "DescribeSnapshotAttribute"): _of_snapshot("ec2:DescribeSnapshotAttribute"),
    ("ec2", "ModifyImageAttribute"): _modify_image_attribute,
    ("ec2", "ModifySnapshotAttribute"): _modify_snapshot_attribute,
    ("ec2", "CreateTags"): _create_tags,
    ("ec2", "CreateImageUsageReport"): _create_image_usage_report,
    ("kms", "DescribeKey"): _of_key("kms:DescribeKey"),
    ("kms", "GetKeyPolicy"): _of_key("kms:GetKeyPolicy"),
    ("kms", "ListResourceTags"): _of_key("kms:ListResourceTags"),
    ("kms", "PutKeyPolicy"): _of_key("kms:PutKeyPolicy"),
    ("organizations", "DescribeOrganization"): _on_everything("organizations:DescribeOrganization"),
    ("organizations", "ListAccounts"): _on_everything("organizations:ListAccounts"),
    ("organizations", "ListRoots"): _on_everything("organizations:ListRoots"),
    ("organizations", "ListAccountsForParent"): _of_organization("organizations:ListAccountsForParent", "ParentId"),
    ("organizations", "ListOrganizationalUnitsForParent"): _of_organization(
        "organizations:ListOrganizationalUnitsForParent", "ParentId"
    ),
    ("organizations", "ListTagsForResource"): _of_organization("organizations:ListTagsForResource", "ResourceId"),
    ("dynamodb", "GetItem"): _of_item("GetItem"),
    ("dynamodb", "PutItem"): _of_item("PutItem"),
    ("dynamodb", "UpdateItem"): _of_item("UpdateItem"),
    ("dynamodb", "DeleteItem"): _of_item("DeleteItem"),
    ("dynamodb", "Query"): _query,
    ("dynamodb", "BatchGetItem"): _batch_get_item,
    ("dynamodb", "BatchWriteItem"): _batch_write_item,
    ("dynamodb", "TransactWriteItems"): _transact_write_items,
    ("scheduler", "CreateSchedule"): _of_schedule("scheduler:CreateSchedule", passes_role=True),
    ("scheduler", "UpdateSchedule"): _of_schedule("scheduler:UpdateSchedule", passes_role=True),
    ("scheduler", "GetSchedule"): _of_schedule("scheduler:GetSchedule", passes_role=False),
    ("scheduler", "DeleteSchedule"): _of_schedule("scheduler:DeleteSchedule", passes_role=False),
    ("stepfunctions", "StartExecution"): _start_execution,
    ("events", "PutEvents"): _put_events,
    ("sqs", "SendMessage"): _send_message,
    ("sns", "Publish"): _publish,
    ("sns", "PublishBatch"): _publish,
}
