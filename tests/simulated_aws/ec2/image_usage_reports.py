"""Image usage reports: in which other accounts an image is used, by how many instances and launch templates.

A report here shows the usage of the moment when it becomes available, after a second. A report of AWS takes minutes, and
AWS documents that it may lack instance activity of the past 24 hours and launch template activity of the past few days.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.responses.amis import AmisResponse

from simulated_aws.core.paging import InvalidToken, page
from simulated_aws.ec2 import visibility

INSTANCE, LAUNCH_TEMPLATE = "ec2:Instance", "ec2:LaunchTemplate"
MOST_ACCOUNTS = 200

# How many versions of a launch template count, the latest first.
_VERSION_DEPTH = 20
_LIVES = timedelta(days=30)


@dataclass
class Report:
    """One report. `usage` is known once it is available: the number by account and resource type."""

    image_id: str
    resource_types: list[dict[str, Any]]
    account_ids: list[str]
    tags: list[dict[str, str]]
    id: str = field(default_factory=lambda: utils.random_id("amiur"))
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    usage: dict[tuple[str, str], int] | None = None

    @property
    def state(self) -> str:
        """How long a report stays pending: `SIMULATED_AWS_REPORT_DELAY` in seconds, by default 1."""
        delay = float(os.environ.get("SIMULATED_AWS_REPORT_DELAY", "1"))
        return "available" if datetime.now(timezone.utc) >= self.created + timedelta(seconds=delay) else "pending"

    def described(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageUsageReport.html"""
        return {
            "ImageId": self.image_id,
            "ReportId": self.id,
            "ResourceTypes": self.resource_types,
            "AccountIds": self.account_ids,
            "State": self.state,
            "CreationTime": self.created,
            "ExpirationTime": self.created + _LIVES,
            "Tags": self.tags,
        }

    def entries(self) -> list[dict[str, Any]]:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageUsageReportEntry.html"""
        return [
            {
                "ImageId": self.image_id,
                "ReportId": self.id,
                "AccountId": account_id,
                "ResourceType": resource_type,
                "UsageCount": count,
                "ReportCreationTime": self.created,
            }
            for (account_id, resource_type), count in sorted((self.usage or {}).items())
        ]


def install() -> None:
    """Adds the calls, which moto does not have."""
    AmisResponse.create_image_usage_report = _create
    AmisResponse.describe_image_usage_reports = _describe
    AmisResponse.describe_image_usage_report_entries = _describe_entries
    AmisResponse.delete_image_usage_report = _delete


def _create(response: AmisResponse) -> ActionResult:
    """Only the owner may call it. AWS documents no code for other accounts; here they get the code of the image's attributes."""
    backend, token = response.ec2_backend, response._get_param("ClientToken")
    image = visibility.image(backend, response._get_param("ImageId"))
    if image.owner_id != backend.account_id:
        raise EC2ClientError("AuthFailure", f"Not authorized for images: [{image.id}]")
    made = next((report for report, made_with in _reports(backend) if token and made_with == token), None)
    if made is not None:
        return ActionResult({"ReportId": made.id})
    resource_types, accounts = response._get_param("ResourceTypes", []), response._get_param("AccountIds", [])
    _check(resource_types, accounts)
    response.error_on_dryrun()
    report = Report(image.id, resource_types, accounts, _tags(response._get_param("TagSpecifications", [])))
    _reports(backend).append((report, token))
    return ActionResult({"ReportId": report.id})


def _check(resource_types: list[dict[str, Any]], accounts: list[str]) -> None:
    if not resource_types:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ResourceType")
    for one in resource_types:
        if one.get("ResourceType") not in (INSTANCE, LAUNCH_TEMPLATE):
            raise _invalid(f"Value ({one.get('ResourceType')}) for parameter ResourceType is invalid.")
        for option in one.get("ResourceTypeOptions", []):
            if one["ResourceType"] != LAUNCH_TEMPLATE or option.get("OptionName") != "version-depth":
                raise _invalid(f"Value ({option.get('OptionName')}) for parameter OptionName is invalid.")
    if len(accounts) > MOST_ACCOUNTS or not all(len(one) == 12 and one.isdigit() for one in accounts):
        raise _invalid("The parameter AccountId has to hold up to 200 account ids.")


def _tags(specifications: list[dict[str, Any]]) -> list[dict[str, str]]:
    if any(one.get("ResourceType") != "image-usage-report" for one in specifications):
        raise _invalid("The ResourceType of TagSpecification has to be image-usage-report.")
    return [tag for one in specifications for tag in one.get("Tags", [])]


def _describe(response: AmisResponse) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReports.html"""
    response.error_on_dryrun()
    kept = _filtered(response, [report.described() for report in _chosen(response)], {
        "state": lambda one: one["State"],
        "creation-time": lambda one: _written(one["CreationTime"]),
    })  # fmt: skip
    return _in_pages(response, "ImageUsageReports", kept)


def _describe_entries(response: AmisResponse) -> ActionResult:
    """A pending report has none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReportEntries.html
    """
    response.error_on_dryrun()
    entries = []
    for report in _chosen(response):
        if report.state == "available":
            report.usage = _usage(response.ec2_backend, report) if report.usage is None else report.usage
            entries += report.entries()
    kept = _filtered(response, entries, {
        "account-id": lambda one: one["AccountId"],
        "resource-type": lambda one: one["ResourceType"],
        "creation-time": lambda one: _written(one["ReportCreationTime"]),
    })  # fmt: skip
    return _in_pages(response, "ImageUsageReportEntries", kept)


def _delete(response: AmisResponse) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteImageUsageReport.html"""
    backend, report_id = response.ec2_backend, response._get_param("ReportId")
    kept = [(report, token) for report, token in _reports(backend) if report.id != report_id]
    if len(kept) == len(_reports(backend)):
        raise _unknown(report_id)
    response.error_on_dryrun()
    _reports(backend)[:] = kept
    return ActionResult({"Return": True})


def _usage(owner: Any, report: Report) -> dict[tuple[str, str], int]:
    """Instances in every state but `terminated` (AWS does not document which states count). Each launch template counts once."""
    counted = {INSTANCE: _instances, LAUNCH_TEMPLATE: _launch_templates}
    usage = {}
    for backend in _others(owner, report.account_ids):
        for requested in report.resource_types:
            count = counted[requested["ResourceType"]](backend, report.image_id, requested)
            if count:
                usage[backend.account_id, requested["ResourceType"]] = count
    return usage


def _others(owner: Any, account_ids: list[str]) -> Iterator[Any]:
    for account_id, regions in list(ec2_backends.items()):
        backend = regions.get(owner.region_name)
        if backend is not None and account_id != owner.account_id and (not account_ids or account_id in account_ids):
            yield backend


def _instances(backend: Any, image_id: str, _wanted: dict[str, Any]) -> int:
    instances = [one for reservation in list(backend.reservations.values()) for one in reservation.instances]
    return sum(one.image_id == image_id and one.state != "terminated" for one in instances)


def _launch_templates(backend: Any, image_id: str, requested: dict[str, Any]) -> int:
    values = [value for option in requested.get("ResourceTypeOptions", []) for value in option.get("OptionValues", [])]
    depth = int(values[0]) if values else _VERSION_DEPTH
    return sum(
        any(version.image_id == image_id for version in template.versions[-depth:])
        for template in list(backend.launch_templates.values())
    )


def _chosen(response: AmisResponse) -> list[Report]:
    """The reports that the request names; a missing one is an error."""
    report_ids, image_ids = response._get_param("ReportIds", []), response._get_param("ImageIds", [])
    reports = [report for report, _ in _reports(response.ec2_backend)]
    unknown = set(report_ids) - {report.id for report in reports}
    if unknown:
        raise _unknown(min(unknown))
    return [
        report
        for report in reports
        if (not report_ids or report.id in report_ids) and (not image_ids or report.image_id in image_ids)
    ]


def _filtered(
    response: AmisResponse, items: list[dict[str, Any]], values: dict[str, Callable[[dict[str, Any]], str]]
) -> list[dict[str, Any]]:
    for name, patterns in response._filters_from_querystring().items():
        if name not in values:
            raise _invalid(f"The filter '{name}' is invalid")
        items = [one for one in items if any(fnmatchcase(values[name](one), pattern) for pattern in patterns)]
    return items


def _in_pages(response: AmisResponse, key: str, items: list[dict[str, Any]]) -> ActionResult:
    size = response._get_param("MaxResults")
    try:
        shown, token = page(items, int(size) if size else None, response._get_param("NextToken"))
    except InvalidToken as wrong:
        raise EC2ClientError("InvalidNextToken", f"The token '{wrong}' is invalid") from None
    return ActionResult({key: shown, "NextToken": token})


def _reports(backend: Any) -> list[tuple[Report, str | None]]:
    """The account's reports in this Region, and the client tokens that they were made with."""
    reports: list[tuple[Report, str | None]] = backend.__dict__.setdefault("image_usage_reports", [])
    return reports


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _invalid(message: str) -> EC2ClientError:
    return EC2ClientError("InvalidParameterValue", message)


def _unknown(report_id: str) -> EC2ClientError:
    """[R] The code is assumed from AWS's other codes: AWS does not document it."""
    return EC2ClientError("InvalidImageUsageReportId.NotFound", f"The image usage report {report_id} does not exist")
