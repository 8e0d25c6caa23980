"""Updates and deletes stacks, and rolls back a failed creation.

A resource is updated when the resolved value of a property changes, whichever parameter, condition or other resource it
depends on; moto checks only for a literal `Ref` of a changed parameter. `DeletionPolicy` is obeyed. An update that fails is
an error here, and is not rolled back.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html
"""

import base64
import copy
import logging
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Stack
from moto.cloudformation.parsing import ResourceMap
from moto.iam.models import Role, iam_backends
from moto.logs.models import LogGroup, logs_backends
from moto.stepfunctions.models import StateMachine

from simulated_aws.cloudformation import stack_resources

Resource = dict[str, Any]

LOG = logging.getLogger(__name__)

_KEPT = ("Retain", "RetainExceptOnCreate")
# A property may depend on a resource that the same update replaces. Our templates have no longer chain of these.
_ROUNDS = 5


def _update(self: ResourceMap, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
    """Deletes removed resources, then creates new ones, then updates changed ones."""
    old = copy.deepcopy(self._resource_json_map)
    made = {name for name in old if self._parsed_resources.get(name) is not None}
    before = {name: _resolved(self, old[name]) for name in made}
    self._template, self._resource_json_map = template, template["Resources"]
    self.input_parameters = parameters or self.input_parameters
    self.load_mapping()
    self.load_parameters()
    self.load_conditions()
    there = {name for name, one in template["Resources"].items() if _is_wanted(self, one)}
    for name in made - there:
        resource = self._parsed_resources.pop(name)
        if old[name].get("DeletionPolicy") not in _KEPT:
            self._delete_resource(resource, old[name])
    for name in there - made:
        self._parsed_resources.pop(name, None)
        _ = self[name]
    for _round in range(_ROUNDS):
        now = {name: _resolved(self, template["Resources"][name]) for name in made & there}
        changed = [name for name in now if now[name] != before[name]]
        if not changed:
            return
        for name in changed:
            self._parsed_resources[name] = _update_resource(self, name, template["Resources"][name])
            before[name] = now[name]


def _resolved(resources: ResourceMap, resource: Resource) -> Resource:
    """The properties of a resource, with the values of everything that they depend on."""
    resolved: Resource = parsing.clean_json(copy.deepcopy(resource), resources)
    return resolved


def _is_wanted(resources: ResourceMap, resource: Resource) -> bool:
    condition = resource.get("Condition")
    return condition is None or bool(resources.lazy_condition_map[condition])


def _update_resource(resources: ResourceMap, name: str, resource: Resource) -> Any:
    LOG.info("updating %s", name)
    updated = parsing.parse_and_update_resource(
        name, copy.deepcopy(resource), resources, account_id=resources._account_id, region_name=resources._region_name
    )
    if updated is None:
        raise ValidationError(message=f"the simulated AWS cannot update {resource['Type']} ({name})")
    return updated


def _delete(delete: Any) -> Any:
    """moto knows only `Retain`."""

    def call(self: ResourceMap) -> None:
        kept = {name: one for name, one in self._resource_json_map.items() if one.get("DeletionPolicy") in _KEPT}
        rest = {name: one for name, one in self._resource_json_map.items() if name not in kept}
        everything, self._resource_json_map = self._resource_json_map, rest
        try:
            delete(self)
        finally:
            self._resource_json_map = everything

    return call


def _revert(create_resources: Any) -> Any:
    """Rolls back a failed creation: deletes what it created, except retained resources.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
    """

    def call(self: Stack) -> None:
        try:
            create_resources(self)
        except Exception as error:
            LOG.warning("the stack %s cannot be created: %s", self.name, error)
            for resource in self.resource_map._resource_json_map.values():
                if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
                    resource["DeletionPolicy"] = "Delete"
            self.resource_map.delete()
            _forget(self)
            self.status = "ROLLBACK_COMPLETE"
            self.stack_status_reason = getattr(error, "message", None) or str(error)

    return call


def _forget(stack: Stack) -> None:
    """Removes cached outputs and resources: moto would create a missing resource again when it is read."""
    stack.resource_map._resource_json_map = {}
    stack.output_map._output_json_map = {}


def _forgetting(delete: Any) -> Any:
    def call(self: Stack) -> None:
        delete(self)
        _forget(self)
        self.stack_status_reason = None

    return call


def _saying_why(update: Any) -> Any:
    """Turns a failed update into an error, because it is not rolled back here."""

    def call(self: Stack, *args: Any, **kwargs: Any) -> None:
        try:
            update(self, *args, **kwargs)
        except Exception as error:
            reason = getattr(error, "message", None) or str(error)
            raise ValidationError(message=f"the simulated AWS cannot update {self.name}, and rolls nothing back: {reason}") from error

    return call


def _update_function(
    cls: Any, original_resource: LambdaFunction, new_resource_name: str, cloudformation_json: Any, account_id: str,
    region_name: str,
) -> LambdaFunction:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html

    The placeholder for the code is zipped, as at creation.
    """
    properties = cloudformation_json["Properties"]
    original_resource.update_configuration(properties)
    code = LambdaFunction._create_zipfile_from_plaintext_code(properties["Code"]["ZipFile"])
    original_resource.update_function_code({"ZipFile": base64.b64encode(code)})
    return original_resource


def _update_role(
    cls: Any, original_resource: Role, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
) -> Role:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html: moto drops policies."""
    policies = cloudformation_json["Properties"].get("Policies", [])
    original_resource.policies.clear()
    for policy in policies:
        original_resource.put_policy(policy["PolicyName"], policy["PolicyDocument"])
    return original_resource


def _detaching(delete: Any) -> Any:
    """Detaches the managed policies that CloudFormation attached: IAM does not delete a role that has one.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
    """

    def call(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
        iam_backends[account_id]["aws"].get_role(resource_name).managed_policies.clear()
        delete(cls, resource_name, cloudformation_json, account_id, region_name)

    return classmethod(call)


def _update_log_group(
    cls: Any, original_resource: LogGroup, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
) -> LogGroup:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html"""
    retention = cloudformation_json["Properties"].get("RetentionInDays")
    logs_backends[account_id][region_name].put_retention_policy(original_resource.name, retention)
    return original_resource


def _with_substitutions(update: Any) -> Any:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html"""

    def call(
        cls: Any, original_resource: StateMachine, new_resource_name: str, cloudformation_json: Any, account_id: str,
        region_name: str,
    ) -> StateMachine:
        stack_resources.substitute(cloudformation_json["Properties"])
        return update(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name)

    return classmethod(call)


def install() -> None:
    """Makes UpdateStack and DeleteStack behave as in AWS, and CreateStack roll back when it fails."""
    ResourceMap.update = _update
    ResourceMap.delete = _delete(ResourceMap.delete)
    Stack.create_resources = _revert(Stack.create_resources)
    Stack.update = _saying_why(Stack.update)
    Stack.delete = _forgetting(Stack.delete)
    LambdaFunction.update_from_cloudformation_json = classmethod(_update_function)
    Role.update_from_cloudformation_json = classmethod(_update_role)
    Role.delete_from_cloudformation_json = _detaching(Role.delete_from_cloudformation_json.__func__)
    LogGroup.update_from_cloudformation_json = classmethod(_update_log_group)
    StateMachine.update_from_cloudformation_json = _with_substitutions(StateMachine.update_from_cloudformation_json.__func__)
