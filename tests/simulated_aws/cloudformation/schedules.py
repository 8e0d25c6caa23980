"""The EventBridge Scheduler schedules and schedule groups of a template.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-scheduler-schedule.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-scheduler-schedulegroup.html
"""

from moto.scheduler.models import scheduler_backends

from simulated_aws.cloudformation.resource_type import Addition, Properties


class ScheduleGroup(Addition):
    TYPE = "AWS::Scheduler::ScheduleGroup"
    NAME_PROPERTY = "Name"
    ARN = "arn:aws:scheduler:{region}:{account}:schedule-group/{name}"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        scheduler_backends[account_id][region].create_schedule_group(properties["Name"], properties.get("Tags", []))

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        """Deletes its schedules too: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteScheduleGroup.html"""
        scheduler_backends[account_id][region].delete_schedule_group(properties["Name"])


class Schedule(Addition):
    TYPE = "AWS::Scheduler::Schedule"
    NAME_PROPERTY = "Name"
    ARN = "arn:aws:scheduler:{region}:{account}:schedule/{group}/{name}"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        scheduler_backends[account_id][region].create_schedule(
            name=properties["Name"],
            group_name=properties.get("GroupName"),
            description=properties.get("Description"),
            schedule_expression=properties["ScheduleExpression"],
            schedule_expression_timezone=properties.get("ScheduleExpressionTimezone"),
            start_date=properties.get("StartDate"),
            end_date=properties.get("EndDate"),
            flexible_time_window=properties["FlexibleTimeWindow"],
            kms_key_arn=properties.get("KmsKeyArn"),
            state=properties.get("State"),
            target=properties["Target"],
            # The resource of a template has no such property: the schedule would disappear behind CloudFormation's back.
            action_after_completion=None,
        )

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        scheduler_backends[account_id][region].delete_schedule(properties.get("GroupName"), properties["Name"])

    @classmethod
    def arn_of(cls, properties: Properties, account_id: str, region: str) -> str:
        group = properties.get("GroupName") or "default"
        return cls.ARN.format(region=region, account=account_id, group=group, name=properties["Name"])
