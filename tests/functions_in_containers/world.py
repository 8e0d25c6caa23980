"""The simulated AWS that matches the documents in `events/`, and its state as clients see it.

Images, keys and accounts have the ids in the documents, because the process was started with `CHOSEN_IDS`. All rules are
disabled: only the test starts anything.
"""

import json
import time
from typing import Any

import boto3
from botocore.config import Config

HUB, REGION, STACK = "111122223333", "eu-west-1", "ami-share"
IMAGE, COPY, SECOND = "ami-0abcdef1234567890", "ami-0fedcba9876543210", "ami-00aa11bb22cc33dd4"
SNAPSHOTS = ["snap-0abcdef1234567890", "snap-0fedcba9876543210"]
KEYS = ["0987dcba-09fe-87dc-65ba-ab0987654321", "1234abcd-12ab-34cd-56ef-1234567890ab"]
CLOSED, TAGGED = "444455556666", "333333333333"
OUTSIDE_THE_OU, IN_THE_OU = ["222222222222", TAGGED, CLOSED], ["555555555555", "666666666666"]
REPORT = "amiur-00b877d192f6b02d0"

# For the variable SIMULATED_AWS_IDS. The first key is the AWS managed key of the topic, created with the
# stack; the first OU is the root.
CHOSEN_IDS = {
    "ami": [IMAGE, COPY, SECOND], "snap": SNAPSHOTS, "key": ["00000000-0000-4000-8000-000000000000", *KEYS],
    "amiur": [REPORT], "organization": ["o-a1b2c3d4e5"], "root": ["r-ab12"], "ou": ["", "ou-ab12-cdef3456"],
    "account": [HUB, *OUTSIDE_THE_OU, *IN_THE_OU],
}  # fmt: skip

WITH = "222222222222 ou-ab12-cdef3456 tag:Stage=production 444455556666 999999999999"


class World:
    """One simulated AWS with the stack deployed."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self._clients: dict[tuple[str, str], Any] = {}
        self._received: list[Any] = []
        self._queues: list[tuple[Any, str]] = []

    def client(self, service: str, account: str = HUB) -> Any:
        """A client of the hub's administrator, or of another account's."""
        if (service, account) not in self._clients:
            keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
            if account != HUB:
                keys = self.credentials(f"arn:aws:iam::{account}:role/test", "test")
            self._clients[service, account] = boto3.client(
                service, endpoint_url=self.endpoint, region_name=REGION, **keys,
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, read_timeout=900),
            )  # fmt: skip
        return self._clients[service, account]

    def credentials(self, role: str, session: str) -> dict[str, str]:
        """The credentials of a session of a role, as arguments of boto3."""
        made = self.client("sts").assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]
        return {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "aws_session_token": made["SessionToken"],
        }

    def furnish(self) -> None:
        """Creates everything that the documents name, and subscribes queues to the notifications."""
        events = self.client("events")
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])
        self._found_organization()
        keys = [self._make_key() for _ in KEYS]
        mappings = [
            {"DeviceName": device, "Ebs": {"SnapshotId": self._make_snapshot(key)}}
            for device, key in zip(("/dev/xvda", "/dev/sdf"), keys, strict=True)
        ]
        for name in ("golden-2026-07", "golden-2026-07-encrypted", "golden-2026-07-two-disks"):
            self.client("ec2").register_image(Name=name, RootDeviceName="/dev/xvda", BlockDeviceMappings=mappings)
        self.tag(IMAGE, **{"Name": "golden-2026-07", "ami-share:copy": "allowed", "ami-share:until": "2099-12-31"})
        self.tag(IMAGE, **{"ami-share:with": WITH})
        for image in (COPY, SECOND):
            self.tag(image, **{"ami-share:with": TAGGED})
        self._listen()

    def tag(self, image: str, **tags: str) -> None:
        """Adds tags to an image."""
        self.client("ec2").create_tags(
            Resources=[image], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )

    def invoke(self, function: str, payload: bytes) -> Any:
        """Lambda's answer to an invocation of the function."""
        answer = self.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=payload)
        return json.loads(answer["Payload"].read())

    def share(self, image: str) -> None:
        """Runs the share workflow for an image, and waits for its end."""
        workflow = next(one for one in self._workflows() if one.endswith(f":{STACK}-share"))
        self.client("stepfunctions").start_execution(stateMachineArn=workflow, input=json.dumps({"image_id": image}))
        self._settle()

    def function(self, function: str) -> dict[str, Any]:
        """The configuration of a function in Lambda: its role and its variables."""
        configuration: dict[str, Any] = self.client("lambda").get_function_configuration(FunctionName=f"{STACK}-{function}")
        return configuration

    def state(self) -> dict[str, Any]:
        """Everything that a function can change, read once no execution runs."""
        self._settle()
        rows = self._rows()
        return {
            "launch permissions": {image: self._launch_permissions(image) for image in self._images()},
            "snapshots' permissions": {snapshot: self._snapshot_permissions(snapshot) for snapshot in SNAPSHOTS},
            "key policies": {key: json.loads(self._policy(key)) for key in KEYS},
            "status": {image: self._status(image) for image in self._images()},
            "schedules": self._schedules(),
            "ledger": [row for row in rows if not row["pk"].startswith("AUDIT#")],
            "audit log": [row for row in rows if row["pk"].startswith("AUDIT#")],
            "executions": self._inputs(),
            "reviews": self._reviews(),
            "notifications": self._notifications(),
        }

    def _found_organization(self) -> None:
        organizations = self.client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        root = organizations.list_roots()["Roots"][0]["Id"]
        ou = organizations.create_organizational_unit(ParentId=root, Name="production")["OrganizationalUnit"]["Id"]
        for account in OUTSIDE_THE_OU + IN_THE_OU:
            organizations.create_account(AccountName=account, Email=f"{account}@example.com")
            if account in IN_THE_OU:
                organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=ou)
        organizations.tag_resource(ResourceId=TAGGED, Tags=[{"Key": "Stage", "Value": "production"}])

    def _make_key(self) -> str:
        made = self.client("kms").create_key(Tags=[{"TagKey": "ami-share:managed", "TagValue": "true"}])
        return str(made["KeyMetadata"]["Arn"])

    def _make_snapshot(self, key: str) -> str:
        ec2 = self.client("ec2")
        volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8, Encrypted=True, KmsKeyId=key)
        return str(ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"])

    def _listen(self) -> None:
        """Subscribes queues to the topic, the hub's bus and the bus of one target account; the others have no bus."""
        topic = f"arn:aws:sns:{REGION}:{HUB}:{STACK}-notifications"
        self.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self._queue(HUB, "topic"))
        target_events = self.client("events", "222222222222")
        target_events.create_event_bus(Name=STACK)
        target_events.put_permission(EventBusName=STACK, Action="events:PutEvents", Principal=HUB, StatementId="hub")
        for account, queue in ((HUB, "bus"), ("222222222222", "target-account")):
            events = self.client("events", account)
            pattern = json.dumps({"source": ["ami-share"]})
            events.put_rule(Name=queue, EventBusName=STACK, EventPattern=pattern)
            target = {"Id": "queue", "Arn": self._queue(account, queue)}
            events.put_targets(Rule=queue, EventBusName=STACK, Targets=[target])

    def _queue(self, account: str, name: str) -> str:
        sqs = self.client("sqs", account)
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        services = {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}
        statement = {"Effect": "Allow", "Principal": services, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self._queues.append((sqs, url))
        return arn

    def _notifications(self) -> list[Any]:
        """All notifications so far."""
        for sqs, url in self._queues:
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    self._received.append([url.rsplit("/", 1)[-1], _content(json.loads(message["Body"]))])
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return list(self._received)

    def _workflows(self) -> list[str]:
        return [machine["stateMachineArn"] for machine in self.client("stepfunctions").list_state_machines()["stateMachines"]]

    def _executions(self) -> list[dict[str, Any]]:
        sfn = self.client("stepfunctions")
        return [one for workflow in self._workflows() for one in sfn.list_executions(stateMachineArn=workflow)["executions"]]

    def _settle(self) -> None:
        deadline = time.monotonic() + 300
        while running := [one["executionArn"] for one in self._executions() if one["status"] == "RUNNING"]:
            assert time.monotonic() < deadline, f"{running} do not end"
            time.sleep(0.2)

    def _inputs(self) -> list[Any]:
        """The input and the final status of each execution."""
        sfn = self.client("stepfunctions")
        found = [sfn.describe_execution(executionArn=one["executionArn"]) for one in self._executions()]
        found.sort(key=lambda one: one["startDate"])
        return [
            [one["stateMachineArn"].rsplit(":", 1)[-1], json.loads(one["input"]), one["status"]] for one in found
        ]

    def _rows(self) -> list[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=f"{STACK}-ledger")
        rows = [{name: _plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]
        return sorted(rows, key=lambda row: (row["pk"], row["sk"]))

    def _images(self) -> list[str]:
        return sorted(image["ImageId"] for image in self.client("ec2").describe_images(Owners=["self"])["Images"])

    def _launch_permissions(self, image: str) -> list[Any]:
        said = self.client("ec2").describe_image_attribute(ImageId=image, Attribute="launchPermission")
        return sorted(said["LaunchPermissions"], key=str)

    def _snapshot_permissions(self, snapshot: str) -> list[Any]:
        said = self.client("ec2").describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        return sorted(said["CreateVolumePermissions"], key=str)

    def _policy(self, key: str) -> str:
        return str(self.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"])

    def _status(self, image: str) -> str | None:
        tags = self.client("ec2").describe_images(ImageIds=[image])["Images"][0].get("Tags", [])
        return next((tag["Value"] for tag in tags if tag["Key"] == "ami-share:status"), None)

    def _schedules(self) -> list[Any]:
        scheduler = self.client("scheduler")
        made = scheduler.list_schedules(GroupName=STACK)["Schedules"]
        found = [scheduler.get_schedule(GroupName=STACK, Name=one["Name"]) for one in made]
        kept = ("Name", "ScheduleExpression", "Target", "ActionAfterCompletion", "State")
        return [{name: one.get(name) for name in kept} for one in sorted(found, key=lambda one: one["Name"])]

    def _reviews(self) -> dict[str, str]:
        s3 = self.client("s3")
        bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"])
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: self._review(bucket, key) for key in sorted(keys)}

    def _review(self, bucket: str, key: str) -> str:
        """The content of a review. The page is not compared: it shows the same data as the JSON, with times as text."""
        content = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return "a page" if "<!DOCTYPE html>" in content else content


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """An event as it is; a message of a topic without its signature, which differs each time."""
    return {name: body[name] for name in ("Subject", "Message")} if "Signature" in body else body


def _plain(value: dict[str, Any]) -> Any:
    """A value of DynamoDB without its type."""
    kind, held = next(iter(value.items()))
    match kind:
        case "L":
            return [_plain(one) for one in held]
        case "M":
            return {name: _plain(one) for name, one in held.items()}
        case "SS":
            return sorted(held)
        case _:
            return held


if __name__ == "__main__":
    print(json.dumps(CHOSEN_IDS))
