"""The checks on a sandbox account (`tests/sandbox`), run against the simulated AWS: that they run from start to end, say what they saw,
leave nothing behind however they end, and show no account.

What they say of the simulated AWS proves nothing about AWS.
"""

import json
import os
import re
import signal
import subprocess
import sys

import boto3
import pytest
from running import HUB, REGION, TESTS, start, wait_until_ready
from sandbox.state_machines import MANAGED_RULE
from sandbox.unchecked import UNCHECKED

SECOND = "222222222222"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

# It runs no function but the stack's own, throttles nobody, and knows no DeleteTags and no logs of a role.
NOT_CHECKED = {"lambda-errors", "organizations-rate", "delete-all-tags", "log-denial"}


class Sandbox:
    """A simulated AWS of its own, without ami-share in it."""

    def __init__(self, endpoint, folder):
        self.endpoint, self.folder = endpoint, folder

    def client(self, service):
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **keys)

    def start(self, *arguments):
        """The command, as a user runs it but for the environment that it makes itself."""
        profiles = {"AWS_CONFIG_FILE": str(self.folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", "--account", HUB, "--region", REGION, "--output", str(self.folder / "reports"), *arguments],
            env={**os.environ, **CREDENTIALS, **profiles, "PYTHONPATH": str(TESTS), "AWS_ENDPOINT_URL": self.endpoint},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # As in a terminal: whoever runs the tests may have it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *arguments):
        """Its exit status and all that it said. The report at its end shows no account."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=240)
        report = "".join(said.partition("ami-share: what is believed")[1:])
        assert not re.search(r"\d{12}", re.sub(r"[0-9a-f]{13,}|[0-9a-f-]{36}", "", report)), said
        return process.returncode, said

    def verdicts(self):
        """Of the last report, by id."""
        last = max((self.folder / "reports").glob("*.json"), key=lambda file: file.stat().st_mtime)
        return {belief["id"]: belief["verdict"] for belief in json.loads(last.read_text())["beliefs"]}

    def inventory(self):
        """Whatever is there of the kinds that the checks make, by the services' own lists."""
        ec2, kms = self.client("ec2"), self.client("kms")
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
        return {
            "images": ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"],
            "snapshots": [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]],
            "volumes": [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]],
            "keys": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"],
            "roles": sorted(role["RoleName"] for role in self.client("iam").list_roles()["Roles"]),
            "rules": self.client("events").list_rules()["Rules"],
            "buses": self.client("events").list_event_buses()["EventBuses"],
            "queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "workflows": self.client("stepfunctions").list_state_machines()["stateMachines"],
            "functions": self.client("lambda").list_functions()["Functions"],
            "tables": self.client("dynamodb").list_tables()["TableNames"],
            "groups": [group["Name"] for group in self.client("scheduler").list_schedule_groups()["ScheduleGroups"]],
            "schedules": self.client("scheduler").list_schedules()["Schedules"],
            "logs": self.client("logs").describe_log_groups()["logGroups"],
        }

    def with_a_second_account(self):
        issued = self.client("sts").assume_role(RoleArn=f"arn:aws:iam::{SECOND}:role/tester", RoleSessionName="me")["Credentials"]
        (self.folder / "config").write_text(
            f"[profile second]\naws_access_key_id = {issued['AccessKeyId']}\naws_secret_access_key = {issued['SecretAccessKey']}\n"
            f"aws_session_token = {issued['SessionToken']}\n"
        )

    def with_an_organization(self):
        organizations = self.client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        root = organizations.list_roots()["Roots"][0]["Id"]
        organizations.create_organizational_unit(ParentId=root, Name="Workloads")

    def with_a_workflow_that_waits_for_another(self):
        self.client("events").put_rule(Name=MANAGED_RULE, EventPattern='{"source": ["aws.states"]}')

    def with_a_trail(self):
        self.client("s3").create_bucket(Bucket="trail")
        trail = self.client("cloudtrail").create_trail(Name="trail", S3BucketName="trail")
        self.client("cloudtrail").start_logging(Name=trail["TrailARN"])


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    process = start(folder)
    try:
        yield Sandbox(wait_until_ready(process), folder)
    finally:
        process.terminate()
        process.wait(60)


def test_without_yes_the_plan_is_shown_and_nothing_is_made(sandbox):
    before = sandbox.inventory()
    status, said = sandbox.run()
    assert status == 2 and "less than 0.01 USD" in said and "Nothing has been made" in said
    assert f"In account {HUB}, {REGION}" in said
    assert sandbox.inventory() == before


def test_in_another_account_than_was_meant_nothing_is_made(sandbox):
    before = sandbox.inventory()
    status, said = sandbox.run("--account", "999999999999", "--yes")
    assert status == 2 and "do not belong to the account that --account names" in said
    assert sandbox.inventory() == before


@pytest.mark.parametrize("arguments", [("--profile", "typo"), ("--second-profile", "typo"), ("--only", "typo"), ("--clean", "0123abc")])
def test_what_is_misspelt_is_refused(sandbox, arguments):
    before = sandbox.inventory()
    status, said = sandbox.run("--yes", *arguments)
    assert status == 2 and "Traceback" not in said, said
    assert sandbox.inventory() == before


def test_its_help_installs_nothing():
    shown = subprocess.run([sys.executable, TESTS / "sandbox", "--help"], capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0 and "--second-profile" in shown.stdout and shown.stderr == ""


def test_where_ami_share_is_deployed_nothing_is_made(sandbox):
    stacks, before = sandbox.client("cloudformation"), sandbox.inventory()
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "notifications"}}
    body = {"Resources": {"Topic": topic}, "Outputs": {"ShareWorkflowArn": {"Value": {"Ref": "Topic"}}}}
    stacks.create_stack(StackName="anything", TemplateBody=json.dumps(body))
    try:
        status, said = sandbox.run("--yes")
        cleaned, _ = sandbox.run("--clean", "0123abcd")
    finally:
        stacks.delete_stack(StackName="anything")
    assert cleaned == 0  # What a run left before that can still be removed.
    assert status == 2 and "ami-share is deployed in this account" in said
    assert sandbox.inventory() == before


def test_in_an_empty_account_what_cannot_be_checked_is_skipped_with_what_it_needs(sandbox):
    before = sandbox.inventory()
    wanted = "event-modify-image,missing-bus,snapshot-bad-account,organization-permission,lambda-errors,nested-execution-errors"
    status, said = sandbox.run("--yes", "--patience", "0.01", "--only", wanted)
    assert status == 0, said
    assert "| `event-modify-image` | skipped | needs a CloudTrail trail in the account |" in said
    assert "| `missing-bus` | skipped | needs a second account (--second-profile) |" in said
    assert "| `organization-permission` | skipped | needs an account in an organization |" in said
    assert "| `nested-execution-errors` | skipped | needs the rule that Step Functions makes" in said
    assert "| `lambda-errors` | not checked | this endpoint does not run the function" in said
    assert "| `closed-account` | skipped | needs an account to close" in said
    assert "| `snapshot-bad-account` | skipped | needs a second account (--second-profile) |" in said
    assert sandbox.inventory() == before


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP], ids=lambda ending: ending.name)
def test_a_run_that_is_interrupted_cleans_up_and_says_what_it_has_seen(sandbox, ending):
    before = sandbox.inventory()
    process = sandbox.start("--yes", "--patience", "0.1", "--only", "image-bad-account,key-policy-text,usage-report-delay")
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("checking key-policy-text"):
            process.send_signal(ending)
    process.wait(60)
    text = "".join(said)
    assert process.returncode == 3 and "interrupted" in text and "nothing is left" in text, text
    assert "| `image-bad-account` | holds |" in text
    assert "| `usage-report-delay` | not checked | this run did not reach it |" in text
    assert sandbox.inventory() == before


def test_a_run_whose_screen_is_gone_cleans_up_and_keeps_its_report(sandbox):
    """`| tee log`: Ctrl-C ends `tee` too, and maybe first."""
    before = sandbox.inventory()
    process = sandbox.start("--yes", "--only", "image-filter,key-policy-text,usage-report-delay")
    for line in process.stdout:
        if line.startswith("checking key-policy-text"):
            break
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 3
    assert sandbox.verdicts()["image-filter"] == "holds"
    assert sandbox.inventory() == before


def test_what_a_killed_run_left_is_found_by_its_name_and_removed(sandbox):
    before = sandbox.inventory()
    wanted = "image-bad-account,key-policy-size,put-events-conditions,log-denial,schedule-name-free,wait-fraction"
    process = sandbox.start("--yes", "--patience", "0.1", "--only", wanted)
    run = None
    for line in process.stdout:
        run = run or re.search(r"tagged ami-share-check = (\w+)", line)
        if line.startswith("checking wait-fraction"):
            process.kill()
    process.wait(60)
    left = sandbox.inventory()
    changed = {kind for kind in before if before[kind] != left[kind]}
    assert {"images", "snapshots", "keys", "roles", "rules", "queues", "buses", "logs", "workflows", "groups", "schedules"} <= changed
    status, said = sandbox.run("--clean", run[1])
    assert status == 0 and "nothing is left" in said
    assert sandbox.inventory() == before
    status, said = sandbox.run("--clean", run[1])
    assert status == 0 and "nothing of that run was found" in said and "nothing is left" not in said


def test_every_check_runs_where_there_is_all_that_they_need(sandbox):
    """The last one here: an organization and a trail stay."""
    sandbox.with_a_second_account()
    sandbox.with_an_organization()
    sandbox.with_a_trail()
    sandbox.with_a_workflow_that_waits_for_another()
    before = sandbox.inventory()
    status, said = sandbox.run("--yes", "--patience", "0.03", "--second-profile", "second")
    assert status == 0, said
    found = sandbox.verdicts()
    of_verdict = {verdict: {id for id in found if found[id] == verdict} for verdict in found.values()}
    assert of_verdict.keys() == {"holds", "not checked", "skipped"}, said
    assert of_verdict["not checked"] == NOT_CHECKED, said
    assert of_verdict["skipped"] == {one.id for one in UNCHECKED}, said
    assert "a simulated AWS" in said and "checked on AWS" not in said
    assert sandbox.inventory() == before
