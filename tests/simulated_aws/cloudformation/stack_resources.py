"""Creates the resource types of our templates that moto's CloudFormation silently skips, with the APIs of their services.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

import json
from typing import Any

from moto.awslambda.models import Permission
from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core.common_models import CloudFormationModel
from moto.events.models import EventBus, events_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions import models as stepfunctions_models
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from simulated_aws.cloudformation import buckets, functions, roles
from simulated_aws.cloudformation.alarms import Alarm, Dashboard
from simulated_aws.cloudformation.buckets import BucketPolicy
from simulated_aws.cloudformation.resource_type import Addition, Properties
from simulated_aws.cloudformation.schedules import Schedule, ScheduleGroup
from simulated_aws.cloudwatch import traces


class QueuePolicy(Addition):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queuepolicy.html"""

    TYPE = "AWS::SQS::QueuePolicy"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        for url in properties["Queues"]:
            policy = json.dumps(properties["PolicyDocument"])
            sqs_backends[account_id][region].set_queue_attributes(url.rsplit("/", 1)[-1], {"Policy": policy})


class TopicPolicy(Addition):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topicpolicy.html"""

    TYPE = "AWS::SNS::TopicPolicy"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        for topic_arn in properties["Topics"]:
            sns_backends[account_id][region].topics[topic_arn].policy = json.dumps(properties["PolicyDocument"])


class Subscription(Addition):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-subscription.html"""

    TYPE = "AWS::SNS::Subscription"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        backend = sns_backends[account_id][region]
        subscription = backend.subscribe(properties["TopicArn"], properties["Endpoint"], properties["Protocol"])
        for name in ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery"):
            if name in properties:
                value = properties[name]
                backend.set_subscription_attributes(
                    subscription.arn, name, value if isinstance(value, str) else json.dumps(value)
                )

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        backend, key = sns_backends[account_id][region], (properties["TopicArn"], properties["Endpoint"])
        for arn, one in list(backend.subscriptions.items()):
            if (one.topic.arn, one.endpoint) == key:
                backend.unsubscribe(arn)


class EventBusPolicy(Addition):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-eventbuspolicy.html"""

    TYPE = "AWS::Events::EventBusPolicy"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        bus = events_backends[account_id][region].describe_event_bus(properties.get("EventBusName") or "default")
        statement = properties.get("Statement") or {
            "Effect": "Allow",
            "Action": properties["Action"],
            "Principal": {"AWS": properties["Principal"]},
            "Resource": bus.arn,
        }
        if "Condition" in properties:
            condition = properties["Condition"]
            statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
        bus.add_policy({"Statement": [statement | {"Sid": properties["StatementId"]}]})


_ADDITIONS: list[type[CloudFormationModel]] = [
    Alarm, BucketPolicy, Dashboard, EventBusPolicy, QueuePolicy, Schedule, ScheduleGroup, Subscription, TopicPolicy,
]  # fmt: skip


def substitute(properties: Properties) -> None:
    """Replaces `DefinitionSubstitutions` in the definition of a state machine; moto ignores them.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
    """
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        properties["DefinitionString"] = properties["DefinitionString"].replace(f"${{{name}}}", str(value))


def _substituting(create: Any) -> Any:
    def call(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> StateMachine:
        properties = cloudformation_json["Properties"]
        substitute(properties)
        machine = create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        traces.trace(machine.arn, (properties.get("TracingConfiguration") or {}).get("Enabled"))
        return machine

    return classmethod(call)


def _without_no_value(clean: Any) -> Any:
    """Removes list items with the value `AWS::NoValue`; moto leaves a null.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/pseudo-parameter-reference.html
    """

    def call(resource_json: Any, resources_map: Any) -> Any:
        cleaned = clean(resource_json, resources_map)
        return [item for item in cleaned if item is not None] if isinstance(resource_json, list) else cleaned

    return call


def unknown_types(template: dict[str, Any]) -> set[str]:
    """The resource types of a template that neither moto nor this package can create."""
    return {resource["Type"] for resource in template["Resources"].values()} - set(parsing.get_model_map())


def install() -> None:
    """Registers the resource types, and lets moto's interpreter run state machines of a stack."""
    parsing.get_model_list.cache_clear()
    parsing.get_model_map.cache_clear()
    parsing.get_name_type_map.cache_clear()
    known = [model for model in CloudFormationModel.__subclasses__() if model is not Addition] + _ADDITIONS
    parsing.get_model_list = lambda: known
    parsing.clean_json = _without_no_value(parsing.clean_json)
    buckets.install()
    functions.install()
    roles.install()
    stepfunctions_models.stepfunctions_backends = stepfunctions_parser_backends
    StateMachine.create_from_cloudformation_json = _substituting(StateMachine.create_from_cloudformation_json.__func__)
    # `Ref` of a bus is its name. `Ref` of a permission is not used.
    EventBus.physical_resource_id = property(lambda self: self.name)
    Permission.physical_resource_id = property(lambda self: self.logical_resource_id)
    # A resource whose condition is false does not exist.
    Stack.stack_resources = property(lambda self: [one for one in self.resource_map.values() if one is not None])
