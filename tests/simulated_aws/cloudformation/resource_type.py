"""The base class of the resource types that moto's CloudFormation lacks.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

from typing import Any

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]


class Addition(CloudFormationModel):
    """A resource that is created with the API of its service, and replaced as a whole by an update.

    `NAME_PROPERTY` is the property with its name, if it has one. `ARN` is the value of `Fn::GetAtt … Arn`, with `{region}`,
    `{account}` and `{name}`, if it has an ARN. `Ref` is the name.
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
        """Creates the resource. Its properties have its name: one of CloudFormation if the template has none."""
        raise NotImplementedError

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        """Deletes the resource. Does nothing if it disappears with the resource that it belongs to."""

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
        """The ARN; None if the resource has none."""
        name = properties.get(cls.NAME_PROPERTY, "")
        return cls.ARN.format(region=region, account=account_id, name=name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> "Addition":
        # Without a name in the template it keeps the name that CloudFormation generated.
        name = cloudformation_json["Properties"].get(cls.NAME_PROPERTY) or original_resource.physical_resource_id
        return cls.create_from_cloudformation_json(name, cloudformation_json, account_id, region_name)

    def delete(self, account_id: str, region_name: str) -> None:
        self.remove(self.properties, account_id, region_name)
