"""Ids that a test chooses. AWS has no such feature; everything but the ids must be as in AWS.

The form of ids: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
"""

import json

import pytest
from simulated_aws.core import chosen_ids

IMAGE, SNAPSHOTS = "ami-0abcdef1234567890", ["snap-0abcdef1234567890", "snap-0fedcba9876543210"]
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
CHOSEN = {
    "ami": [IMAGE], "snap": SNAPSHOTS, "key": [KEY], "amiur": ["amiur-00b877d192f6b02d0"], "organization": ["o-a1b2c3d4e5"],
    "root": ["r-ab12"], "ou": ["", "ou-ab12-cdef3456"], "account": ["111122223333", "222222222222"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def installed(monkeypatch, aws):
    """Installed for one test: restores whatever it wraps."""
    for module, name, _kind in chosen_ids.MAKERS:
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setenv("SIMULATED_AWS_IDS", json.dumps(CHOSEN))
    chosen_ids.install()


def test_an_image_its_snapshot_and_its_key_get_the_ids_that_were_chosen(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html"""
    key = aws.key()
    assert key.endswith(f":key/{KEY}")
    assert aws.image(key) == IMAGE
    assert aws.snapshot_of(IMAGE)["SnapshotId"] == SNAPSHOTS[0]
    assert aws.snapshot_of(IMAGE)["KmsKeyId"] == key


def test_ids_are_given_in_order_and_are_random_when_they_are_used_up(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html"""
    made = [aws.snapshot() for _ in range(3)]
    assert made[:2] == SNAPSHOTS
    assert made[2].startswith("snap-") and made[2] not in SNAPSHOTS


def test_an_organization_its_tree_and_its_accounts_get_the_ids_that_were_chosen(aws):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_CreateOrganization.html"""
    organization, _, root = aws.organization()
    ou, arn = aws.ou(root, "production")
    member = aws.member("team-b", ou)
    assert (organization, root, ou, member) == ("o-a1b2c3d4e5", "r-ab12", "ou-ab12-cdef3456", "222222222222")
    assert arn == "arn:aws:organizations::111122223333:ou/o-a1b2c3d4e5/ou-ab12-cdef3456"
    assert aws.organizations.describe_organization()["Organization"]["MasterAccountId"] == "111122223333"


def test_a_usage_report_gets_the_id_that_was_chosen(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html"""
    image = aws.image()
    report = aws.ec2().create_image_usage_report(ImageId=image, ResourceTypes=[{"ResourceType": "ec2:Instance"}])
    assert report["ReportId"] == "amiur-00b877d192f6b02d0"
