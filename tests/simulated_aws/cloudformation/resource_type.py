"""A resource type that moto's CloudFormation does not have: what is common to all that are made here.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

from typing import Any

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]


class Addition(CloudFormationModel):
    """A resource that is made with a service's own API, and replaced as a whole.

    `NAME_PROPERTY` is the property that names it, where it has one; `ARN` is what `Fn::GetAtt … Arn` says, with
    `{region}`, `{account}` and `{name}`, where it has an ARN. `Ref` is the name.
    """

    TYPE = ""
    NAME_PROPERTY = ""
    ARN = ""

    def __init__(self, name: str, properties: Properties, arn: str = ""):
        self.physical_resource_id = name
        self.properties = properties
        self.arn = arn

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn" and bool(cls.ARN)

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if not self.has_cfn_attr(attribute_name):
            raise UnformattedGetAttTemplateException
        return self.arn

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        """Makes it. A resource with a name has it among its properties: CloudFormation's own if the template gives none."""
        raise NotImplementedError

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        """Deletes it. Nothing needs to be done where it goes with what it was added to."""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.TYPE

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.NAME_PROPERTY

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_kwargs: Any
    ) -> "Addition":
        named = {cls.NAME_PROPERTY: resource_name} if cls.NAME_PROPERTY else {}
        properties = cloudformation_json["Properties"] | named
        cls.create(properties, account_id, region_name)
        return cls(resource_name, properties, cls.arn_of(properties, account_id, region_name))

    @classmethod
    def arn_of(cls, properties: Properties, account_id: str, region: str) -> str:
        """Its ARN, or nothing where it has none."""
        name = properties.get(cls.NAME_PROPERTY, "")
        return cls.ARN.format(region=region, account=account_id, name=name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> "Addition":
        # Without a name of its own it keeps the one that CloudFormation gave it.
        name = cloudformation_json["Properties"].get(cls.NAME_PROPERTY) or original_resource.physical_resource_id
        return cls.create_from_cloudformation_json(name, cloudformation_json, account_id, region_name)

    def delete(self, account_id: str, region_name: str) -> None:
        self.remove(self.properties, account_id, region_name)
