"""The resources of the checks, each created at its first use: a key, an image, a role, a queue, workflows.

Everything is named and tagged by `naming`, so that `cleaning` finds it.
"""

import json
import secrets
from collections.abc import Callable
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from sandbox import machines, roles
from sandbox.account import Account
from sandbox.answers import DENIED, code_of, until
from sandbox.findings import Needs, NotChecked
from sandbox.event_listener import EventListener
from sandbox.naming import kms_tags, log_group_name, name, tag_map, tags
from sandbox.once import once
from sandbox.usage_watch import UsageWatch

# The tag that the image is registered with. Its date is past, so it requests nothing.
OUR_TAG = {"Key": "ami-share:until", "Value": "2001-01-01"}

# An account id that does not exist. It may be refused for its form alone.
NOBODY = "000000000000"

A_SECOND_ACCOUNT = "a second account (--second-profile)"

class Fixture:
    """One run of the checks. `patience` multiplies all waiting times."""

    def __init__(self, account: Account, second: Account | None, run: str, patience: float, say: Callable[[str], None]):
        self.account, self._second, self.run, self.say = account, second, run, say
        self._patience = patience

    def within(self, seconds: float) -> float:
        """The seconds, multiplied by the user's patience."""
        return seconds * self._patience

    def name(self, what: str) -> str:
        """The name of something that this run makes."""
        return name(self.run, what)

    @property
    def ec2(self) -> Any:
        """EC2, as ourselves."""
        return self.account.client("ec2")

    @property
    def kms(self) -> Any:
        """KMS, as ourselves."""
        return self.account.client("kms")

    @property
    def second(self) -> Account:
        """Another account."""
        if self._second is None:
            raise Needs(A_SECOND_ACCOUNT)
        return self._second

    @property
    def has_second(self) -> bool:
        """Whether there is one."""
        return self._second is not None

    @property
    def grantee(self) -> str:
        """An existing account to grant access to: the second one, or our own, which has access anyway."""
        return self._second.id if self._second else self.account.id

    @cached_property
    def nobodies(self) -> tuple[str, str]:
        """Account ids that do not exist: one of an odd form, and a random one, which hardly ever exists."""
        return NOBODY, str(10**11 + secrets.randbelow(9 * 10**11))

    @cached_property
    def organization(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribeOrganization.html"""
        try:
            return dict(self.account.client("organizations", "us-east-1").describe_organization()["Organization"])
        except ClientError as error:
            raise Needs("an account in an organization") from error

    @once
    def event_listener(self) -> EventListener:
        """The events of our image and workflow from now on."""
        made = EventListener(self.account, self.run)
        made.begin()
        return made

    @cached_property
    def has_trail(self) -> bool:
        """Whether CloudTrail is on: without a trail EventBridge gets no `AWS API Call via CloudTrail`.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
        """
        trail = self.account.client("cloudtrail")
        for one in trail.describe_trails(includeShadowTrails=True)["trailList"]:
            try:
                if trail.get_trail_status(Name=one["TrailARN"]).get("IsLogging"):
                    return True
            except ClientError:
                continue  # A trail of the organization that we may not read.
        return False

    @once
    def snapshot(self) -> str:
        """A snapshot of an empty volume of 1 GiB, which is deleted again at once.

        What EBS encrypts by default, with AWS's own key, cannot be shared at all.
        https://docs.aws.amazon.com/ebs/latest/userguide/encryption-by-default.html
        """
        self.say("making an empty snapshot of 1 GiB")
        zones = self.ec2.describe_availability_zones(Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}])
        zone = zones["AvailabilityZones"][0]["ZoneName"]
        made = self.ec2.create_volume(
            AvailabilityZone=zone, Size=1, VolumeType="gp3", Encrypted=False,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tags(self.run)}],
        )  # fmt: skip
        if made.get("Encrypted"):
            raise Needs("EBS encryption by default to be off in this Region")
        volume = made["VolumeId"]
        self._wait("volume_available", VolumeIds=[volume], WaiterConfig={"Delay": 2, "MaxAttempts": 60})
        snapshot = self.ec2.create_snapshot(
            VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags(self.run)}]
        )["SnapshotId"]
        self._wait("snapshot_completed", SnapshotIds=[snapshot], WaiterConfig={"Delay": 3, "MaxAttempts": 100})
        self.ec2.delete_volume(VolumeId=volume)
        return str(snapshot)

    def _wait(self, waiter: str, **what: Any) -> None:
        """Waits for something new, also where EC2 does not know it yet: botocore's waiters end there.

        https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
        """
        unknown: list[WaiterError] = []

        def is_there() -> bool:
            try:
                self.ec2.get_waiter(waiter).wait(**what)
            except WaiterError as error:
                if not error.last_response.get("Error", {}).get("Code", "").endswith(".NotFound"):
                    raise
                unknown.append(error)
                return False
            return True

        if not until(is_there, 60, pause=2):
            raise unknown[-1]

    @once
    def image(self) -> str:
        """An image of the snapshot; the listener gets its events from the first on."""
        _ = self.event_listener
        return self.new_image("image", OUR_TAG)

    @once
    def usage_report(self) -> UsageWatch:
        """An image usage report, watched from the moment of its request."""
        wanted = [{"ResourceType": "ec2:Instance"}, {"ResourceType": "ec2:LaunchTemplate"}]
        made = self.ec2.create_image_usage_report(ImageId=self.image, ResourceTypes=wanted)
        return UsageWatch(self.ec2, made["ReportId"])

    def new_image(self, what: str, *more_tags: dict[str, str]) -> str:
        """Registers an image of the snapshot, and waits until it is available. Nothing could be launched from it."""
        self.say(f"registering an image ({what})")
        image = self.ec2.register_image(
            Name=self.name(what), RootDeviceName="/dev/xvda", VirtualizationType="hvm", Architecture="x86_64",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": self.snapshot}}],
            TagSpecifications=[{"ResourceType": "image", "Tags": [*tags(self.run), *more_tags]}],
        )["ImageId"]  # fmt: skip
        self._wait("image_available", ImageIds=[image], WaiterConfig={"Delay": 2, "MaxAttempts": 90})
        return str(image)

    @once
    def key(self) -> str:
        """A key of our own that carries ami-share's tag, by its ARN."""
        return self.new_key({"TagKey": "ami-share:managed", "TagValue": "true"})

    def new_key(self, *more_tags: dict[str, str]) -> str:
        """Makes a key with KMS's default policy."""
        self.say("making a KMS key")
        made = self.kms.create_key(
            Description=self.name("key"), Policy=json.dumps(self.key_policy()), Tags=[*kms_tags(self.run), *more_tags]
        )
        return str(made["KeyMetadata"]["Arn"])

    def key_policy(self, *more_statements: dict[str, Any]) -> dict[str, Any]:
        """KMS's default policy, with these statements behind it."""
        everything = {
            "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
            "Principal": {"AWS": f"arn:{self.account.partition}:iam::{self.account.id}:root"},
        }  # fmt: skip
        return {"Version": "2012-10-17", "Statement": [everything, *more_statements]}

    @once
    def service_role(self) -> str:
        """A role for Scheduler, Step Functions and Lambda."""
        return roles.for_services(self.account, self.run, self.say)

    def caller_role(self, statements: list[dict[str, Any]]) -> str:
        """A role that we can act as, with these rights and no other."""
        return roles.for_ourselves(self.account, self.run, statements, self.say)

    @once
    def workflow(self) -> str:
        """A state machine that waits or fails, as its input says."""
        return self.new_workflow("workflow", machines.WAITS_OR_FAILS)

    def new_workflow(self, what: str, definition: dict[str, Any]) -> str:
        """Makes a state machine: its ARN."""
        self.say(f"making a state machine ({what})")
        made = self.until_trusted(
            self.account.client("stepfunctions").create_state_machine, name=self.name(what),
            definition=json.dumps(definition), roleArn=self.service_role,
            tags=[{"key": tag["Key"], "value": tag["Value"]} for tag in tags(self.run)],
        )  # fmt: skip
        return str(made["stateMachineArn"])

    @once
    def bus(self) -> str:
        """An event bus without rules, by its ARN."""
        made = self.account.client("events").create_event_bus(Name=self.name("bus"), Tags=tags(self.run))
        return str(made["EventBusArn"])

    def log_group(self, what: str) -> str:
        """Makes a log group named like a function's: its name."""
        group = log_group_name(self.run, what)
        self.account.client("logs").create_log_group(logGroupName=group, tags=self.map_tags)
        return group

    @once
    def schedule_group(self) -> str:
        """A group of schedules, by its name."""
        group = name(self.run)
        self.account.client("scheduler").create_schedule_group(Name=group, Tags=tags(self.run))
        return group

    @once
    def table(self) -> str:
        """A table with the ledger's keys, by its name."""
        self.say("making a DynamoDB table")
        dynamodb, table = self.account.client("dynamodb"), self.name("table")
        dynamodb.create_table(
            TableName=table, BillingMode="PAY_PER_REQUEST", Tags=tags(self.run),
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )  # fmt: skip
        dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
        return table

    def until_trusted(self, call: Callable[..., Any], **parameters: Any) -> Any:
        """Makes a call that names a new role: IAM takes seconds until other services know it. Step Functions denies the call
        then, as it does to callers that may not make it.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
        """
        refusals: list[ClientError] = []

        def attempt() -> Any:
            try:
                return call(**parameters)
            except ClientError as error:
                is_about_us = code_of(error) in DENIED and "not authorized to perform" in str(error)
                if is_about_us or not any(word in str(error).lower() for word in ("role", "assume", "trust")):
                    raise
                refusals.append(error)
                return None

        made = until(attempt, self.within(60), pause=3)
        if made is None:
            raise NotChecked(f"the new role is not known after a minute ({code_of(refusals[-1])})")
        return made

    @property
    def map_tags(self) -> dict[str, str]:
        """The run's tag, for services that take a map."""
        return tag_map(self.run)
