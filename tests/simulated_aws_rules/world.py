"""Clients for each account, and short ways to create keys, snapshots and images, for the tests of the rules."""

import json
import time

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.organizations.models import organizations_backends
from running import eventually

HUB = "111122223333"
REGION = "us-east-1"

# Reading the models of the services is slow, so all sessions share them.
_MODELS = botocore.session.Session().get_component("data_loader")


class World:
    """One empty simulated AWS."""

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self._sessions = {}
        self._clients = {}

    def client(self, service, account=HUB, region=REGION, role="tester"):
        """A client that calls as `role` in the account; as the hub's own access key in the hub."""
        if (service, account, region, role) not in self._clients:
            made = self._session(account, role).client(
                service, endpoint_url=self._endpoint, region_name=region, config=Config(retries={"max_attempts": 0})
            )
            self._clients[service, account, region, role] = made
        return self._clients[service, account, region, role]

    def ec2(self, account=HUB, region=REGION):
        return self.client("ec2", account, region)

    def kms(self, account=HUB, region=REGION):
        return self.client("kms", account, region)

    @property
    def organizations(self):
        return self.client("organizations")

    def organization(self):
        """Makes the hub's organization: its id, its ARN and the id of its root."""
        made = self.organizations.create_organization(FeatureSet="ALL")["Organization"]
        return made["Id"], made["Arn"], self.organizations.list_roots()["Roots"][0]["Id"]

    def ou(self, parent, name):
        made = self.organizations.create_organizational_unit(ParentId=parent, Name=name)
        return made["OrganizationalUnit"]["Id"], made["OrganizationalUnit"]["Arn"]

    def member(self, name, ou=None):
        """Makes an account in the organization, in an OU if one is given: its id."""
        status = self.organizations.create_account(AccountName=name, Email=f"{name}@example.com")["CreateAccountStatus"]
        account = status["AccountId"]
        if ou:
            root = self.organizations.list_roots()["Roots"][0]["Id"]
            self.organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=ou)
        return account

    def members(self, number):
        """Makes many accounts in the organization, without a request for each: their ids."""
        backend = organizations_backends[HUB]["aws"]
        made = [backend.create_account(AccountName="member", Email="member@example.com") for _ in range(number)]
        return [one["CreateAccountStatus"]["AccountId"] for one in made]

    def external_account(self, account="999999999999"):
        """An account outside the hub's organization: its id."""
        self._session(account, "tester")
        return account

    def key(self, *extra_statements, account=HUB, region=REGION):
        """A customer managed key whose policy holds the default statement and these: its ARN."""
        return self.kms(account, region).create_key(Policy=policy(*extra_statements, account=account))["KeyMetadata"][
            "Arn"
        ]

    def snapshot(self, key=None, account=HUB, region=REGION, encrypted=None, size=8):
        """A snapshot of a new volume: its id."""
        ec2 = self.ec2(account, region)
        wanted = {"Encrypted": bool(key) if encrypted is None else encrypted}
        wanted |= {"KmsKeyId": key} if key else {}
        volume = ec2.create_volume(AvailabilityZone=f"{region}a", Size=size, **wanted)
        return ec2.create_snapshot(VolumeId=volume["VolumeId"], Description="of a new volume")["SnapshotId"]

    def image(self, key=None, account=HUB, region=REGION, name=None, encrypted=None):
        """An available image of one such snapshot: its id."""
        mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": self.snapshot(key, account, region, encrypted)}}
        name = name or f"image {time.monotonic_ns()}"
        made = self.ec2(account, region).register_image(
            Name=name, RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping]
        )
        return made["ImageId"]

    def share(self, image, account=HUB, **add):
        """Adds launch permissions: `share(image, UserId="222222222222")`."""
        permission = {"Add": [{kind: named} for kind, named in add.items()]}
        self.ec2(account).modify_image_attribute(ImageId=image, LaunchPermission=permission)

    def launch(self, image, account=HUB, **parameters):
        """Launches one instance of an image: the instance as DescribeInstances shows it afterwards."""
        made = self.ec2(account).run_instances(ImageId=image, MinCount=1, MaxCount=1, **parameters)["Instances"][0]
        found = self.ec2(account).describe_instances(InstanceIds=[made["InstanceId"]])
        return found["Reservations"][0]["Instances"][0]

    def sees(self, account, image):
        return image in [one["ImageId"] for one in self.ec2(account).describe_images()["Images"]]

    def describe_image(self, image, account=HUB, region=REGION):
        return self.ec2(account, region).describe_images(ImageIds=[image])["Images"][0]

    def describe_snapshot(self, snapshot, account=HUB, region=REGION):
        return self.ec2(account, region).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]

    def snapshot_of(self, image, account=HUB, region=REGION):
        """The snapshot behind an image's first block device."""
        mapping = self.describe_image(image, account, region)["BlockDeviceMappings"][0]
        return self.describe_snapshot(mapping["Ebs"]["SnapshotId"], account, region)

    def wait_until_available(self, image, account=HUB, region=REGION):
        eventually(lambda: self.describe_image(image, account, region)["State"] == "available")

    def _session(self, account, role):
        if account == HUB and role == "tester":
            return _session("testing", "testing")
        if (account, role) not in self._sessions:
            arn = f"arn:aws:iam::{account}:role/{role}"
            issued = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="rules")["Credentials"]
            self._sessions[account, role] = _session(
                issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]
            )
        return self._sessions[account, role]


def _session(*credentials):
    session = botocore.session.Session()
    session.register_component("data_loader", _MODELS)
    session.set_credentials(*credentials)
    return boto3.Session(botocore_session=session)


def policy(*extra_statements, account=HUB):
    """A key policy with KMS's default statement, which leaves the key to the account's own IAM, and these."""
    everything = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [everything, *extra_statements]})


def use_of_key(principal, **condition):
    """Statements that let a principal launch from an encrypted image, as AWS's page on sharing encrypted images has them."""
    use = {
        "Effect": "Allow", "Principal": principal, "Resource": "*",
        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:ReEncrypt*", "kms:GenerateDataKeyWithoutPlaintext"],
    }  # fmt: skip
    grant = {"Effect": "Allow", "Principal": principal, "Resource": "*", "Action": "kms:CreateGrant"}
    if condition:
        use["Condition"] = condition
    grant["Condition"] = {**condition, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    return use, grant


def error_of(call, *args, **kwargs):
    """The error code of a refused call; the test fails if the call succeeds."""
    try:
        call(*args, **kwargs)
    except ClientError as refused:
        return refused.response["Error"]["Code"]
    raise AssertionError("the call was not refused")
