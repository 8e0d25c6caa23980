"""Launch permissions: who may launch an image, and which changes EC2 accepts.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html
"""

import re
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIAttributeItemValueError, UnvailableAMIIdError
from moto.ec2.responses.amis import AmisResponse

from simulated_aws.core import accounts
from simulated_aws.ec2 import visibility
from simulated_aws.ec2.image import Image
from simulated_aws.ec2.permission_changes import Permission, changes
from simulated_aws.kms import keys
from simulated_aws.organizations import membership

MAXIMUM_ENTITIES = 1_000

# The request's lists, and the kind of permission that each names.
FLAT_FORMS = {
    "UserIds": "UserId",
    "UserGroups": "Group",
    "OrganizationArns": "OrganizationArn",
    "OrganizationalUnitArns": "OrganizationalUnitArn",
}


def install() -> None:
    """Replaces moto's image attributes."""
    AmisResponse.modify_image_attribute = _modify_image_attribute
    AmisResponse.reset_image_attribute = _reset_image_attribute
    AmisResponse.describe_image_attribute = _describe_image_attribute(AmisResponse.describe_image_attribute)


def _modify_image_attribute(response: AmisResponse) -> EmptyResult:
    """Makes all changes, or none if one is refused."""
    image = _image_of_caller(response)
    response.error_on_dryrun()
    description = response._get_param("Description")
    if description is not None:
        image.description = description["Value"] if isinstance(description, dict) else description
        return EmptyResult()
    added, removed = (changes(response, operation, "LaunchPermission", FLAT_FORMS) for operation in ("Add", "Remove"))
    if image.state != "available":
        raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{image.id}]' is not available")
    for permission in added + removed:
        _check_form(permission)
    _check_additions(image, added)
    kept = [permission for permission in image.launch_permissions if permission not in removed]
    result = kept + [one for number, one in enumerate(added) if one not in kept and one not in added[:number]]
    _check_number(result)
    image.launch_permissions = result
    return EmptyResult()


def _reset_image_attribute(response: AmisResponse) -> EmptyResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetImageAttribute.html"""
    image = _image_of_caller(response)
    response.error_on_dryrun()
    image.launch_permissions = []
    return EmptyResult()


def _describe_image_attribute(describe: Any) -> Any:
    """Only the owner sees the launch permissions of an image.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageAttribute.html
    """

    def call(response: AmisResponse) -> ActionResult:
        image = _image_of_caller(response)
        if response._get_param("Attribute") != "launchPermission":
            return describe(response)
        return ActionResult({"ImageId": image.id, "LaunchPermissions": list(image.launch_permissions)})

    return call


def _image_of_caller(response: AmisResponse) -> Image:
    """An image that was deregistered is unavailable, one that never was is not found.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.Unavailable)
    """
    backend = response.ec2_backend
    if response._get_param("ImageId") in backend.deleted_amis:
        raise UnvailableAMIIdError(response._get_param("ImageId"))
    image = visibility.image(backend, response._get_param("ImageId"))
    if image.owner_id != backend.account_id:
        raise EC2ClientError("AuthFailure", f"Not authorized for images: [{image.id}]")
    return image


def _check_form(permission: Permission) -> None:
    [(kind, named)] = permission.items()
    forms = {
        "UserId": re.compile(r"\d{12}"),
        "Group": re.compile("all"),
        "OrganizationArn": membership.ORGANIZATION_ARN,
        "OrganizationalUnitArn": membership.OU_ARN,
    }
    if forms[kind].fullmatch(named) is None:
        raise _invalid(kind, named)


def _check_additions(image: Image, added: list[Permission]) -> None:
    """Accounts and OUs have to exist, encrypted images stay private, and those on an AWS managed key stay unshared.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharing-amis.html
    """
    for permission in added:
        [(kind, named)] = permission.items()
        may_exist = {
            "UserId": accounts.exists,
            "Group": lambda _: True,
            "OrganizationArn": membership.organization_may_exist,
            "OrganizationalUnitArn": membership.ou_may_exist,
        }
        if not may_exist[kind](named):
            raise _invalid(kind, named)
    encrypted = [snapshot for snapshot in image.snapshots if snapshot.encrypted]
    if added and any(keys.is_aws_managed(snapshot.kms_key_id) for snapshot in encrypted):
        message = "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot."
        raise EC2ClientError("InvalidParameter", message)
    if encrypted and {"Group": "all"} in added:
        message = "Encrypted snapshots can't be shared publicly. Specify another snapshot."
        raise EC2ClientError("UnsupportedOperation", message)


def _check_number(permissions: list[Permission]) -> None:
    """An image has at most a thousand launch permissions for accounts, organizations and OUs together.

    The quota is AWS's (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-quotas.html), the code is an assumption:
    it is what the same call answers over the quota of public images.
    """
    entities = [permission for permission in permissions if "Group" not in permission]
    if len(entities) > MAXIMUM_ENTITIES:
        message = f"You have reached your quota of {MAXIMUM_ENTITIES} entities that an image is shared with."
        raise EC2ClientError("ResourceLimitExceeded", message)


def _invalid(kind: str, named: str) -> EC2ClientError:
    shown = {"UserId": "userId", "Group": "UserGroup"}.get(kind, kind)
    return InvalidAMIAttributeItemValueError(shown, named)
