"""Each function in a container does what it does in the simulated AWS's own Lambda, with every document of `events/`.

Two equal worlds go through one story. In the one, each document is given to the function in a container, in the other to
Lambda. After each step both have answered the same, both worlds look the same, and in both has changed exactly what the
step says: a function that did nothing at all, or worked elsewhere, would be found out.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from equality import differences, plain, scene
from sam import Sam
from world import CLOSED, COPY, IMAGE, KEYS, REPORT, SECOND, SNAPSHOTS, World

EVENTS = Path(__file__).parents[2] / "events"


@dataclass(frozen=True)
class Step:
    """One document, what happens before it, and what changes by it."""

    document: str
    changes: set[str]
    before: Callable[[World], object] | None = None


def close_account(world: World) -> None:
    """After it was resolved, and before KMS is told of it."""
    world.client("organizations").close_account(AccountId=CLOSED)


def take_word_away(world: World) -> None:
    """What `extend-key-policy-revoke.json` follows: a word was taken out of the tag, and a later intent recorded."""
    world.tag(IMAGE, **{"ami-share:with": "ou-ab12-cdef3456 tag:Stage=production"})
    world.invoke("resolve-share", (EVENTS / "reconcile-image.json").read_bytes())


def request_usage_report(world: World) -> None:
    """The report whose id `report-usage.json` names."""
    asked = world.client("ec2").create_image_usage_report(
        ImageId=IMAGE, AccountIds=["222222222222"], ResourceTypes=[{"ResourceType": "ec2:Instance"}]
    )
    assert asked["ReportId"] == REPORT


def share_all(world: World) -> None:
    """One after another: of looks at once that need the same key, either may write its policy for both."""
    for image in (IMAGE, COPY, SECOND):
        world.share(image)


def put_policy_without_ours(world: World) -> None:
    """What `cloudtrail-put-key-policy.json` tells of: an administrator put the policy that the key began with."""
    kms = world.client("kms")
    policy = json.loads(kms.get_key_policy(KeyId=KEYS[1], PolicyName="default")["Policy"])
    policy["Statement"] = [one for one in policy["Statement"] if not one.get("Sid", "").startswith("AmiShare")]
    kms.put_key_policy(KeyId=KEYS[1], PolicyName="default", Policy=json.dumps(policy))


def close_snapshot(world: World) -> None:
    """What `cloudtrail-modify-snapshot-attribute.json` tells of."""
    world.client("ec2").modify_snapshot_attribute(
        SnapshotId=SNAPSHOTS[0], Attribute="createVolumePermission", OperationType="remove", UserIds=["333333333333"]
    )


def disable(world: World) -> None:
    world.client("ec2").disable_image(ImageId=IMAGE)


def deregister(world: World) -> None:
    world.client("ec2").deregister_image(ImageId=IMAGE)


# What `review-shares` starts are executions of Lambda's functions in both worlds; they are waited for.
STORY = [
    Step("tag-change-image.json", {"ledger"}),
    Step("ami-state-change-available.json", set()),
    Step("cloudtrail-create-image.json", {"ledger"}),
    Step("cloudtrail-modify-image-attribute.json", set()),
    Step("reconcile-image.json", set()),
    Step("cloudtrail-copy-image.json", {"ledger"}),
    Step("cloudtrail-register-image.json", {"ledger"}),
    Step("schedule-expiry.json", {"ledger", "appointments"}),
    Step("extend-key-policy.json", {"ledger", "history", "key policies"}, before=close_account),
    Step("share-image.json", {"ledger", "history", "launch permissions", "snapshots' permissions"}),
    Step("notify-targets.json", {"ledger", "status", "notices"}),
    Step("step-functions-execution-failed.json", {"notices"}),
    Step("extend-key-policy-revoke.json", {"ledger", "history", "key policies"}, before=take_word_away),
    Step("report-usage.json", {"history"}, before=request_usage_report),
    Step("cloudtrail-move-account.json", {"executions"}, before=share_all),
    Step("cloudtrail-put-key-policy.json", {"executions", "key policies", "ledger", "history", "notices"}, before=put_policy_without_ours),
    Step(
        "cloudtrail-modify-snapshot-attribute.json", {"executions", "snapshots' permissions", "history", "notices"},
        before=close_snapshot,
    ),  # fmt: skip
    Step("step-functions-review-failed.json", {"notices"}),
    Step("cloudtrail-account-joined.json", {"executions"}),
    Step("review-shares-page.json", {"reviews"}),
    Step("review-shares-report.json", {"reviews", "notices"}),
    Step("reconcile-image-not-before.json", {"ledger"}),
    Step("ami-state-change-disabled.json", {"ledger"}, before=disable),
    Step("ami-state-change-deregistered.json", {"ledger"}, before=deregister),
]

# What a function answers to the first is the document that the next function takes.
LEADS_TO = {"tag-change-image.json": "schedule-expiry.json"}


def takers() -> dict[str, str]:
    """Which function takes each document, as `events/README.md` says; without those that nobody takes."""
    names = [path.name for path in (EVENTS.parent / "functions").iterdir()]
    taken = {}
    for line in (EVENTS / "README.md").read_text().splitlines():
        cells = line.strip("|").split(" | ")
        if document := re.match(r"\s*`([\w-]+\.json)`", cells[0]):
            function = next((word for word in re.findall(r"`([\w-]+)`", cells[-1]) if word in names), None)
            taken[document[1]] = function
    return {document: function for document, function in taken.items() if function is not None}


@pytest.fixture(scope="module")
def documents(scratch: Path) -> Path:
    """The documents, with ends that are still to come when this year is over; a share that has ended is another story."""
    folder = scratch / "events"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in EVENTS.glob("*.json"):
        (folder / path.name).write_text(re.sub(r"2026-12-(31|24)(?=T23:59:59Z|\")", r"2099-12-\1", path.read_text()))
    return folder


def test_the_story_has_every_document_that_a_function_takes():
    assert sorted(step.document for step in STORY) == sorted(takers())
    assert len(set(takers().values())) == 7


def test_every_function_does_in_a_container_what_it_does_in_lambda(
    sam: Sam, world: World, reference: World, documents: Path
) -> None:
    after = scene(world.look())
    found = differences(after, scene(reference.look()))
    assert not found, f"the two worlds are not equal to begin with\n{found}"
    for step in STORY:
        if step.before is not None:
            step.before(world)
            step.before(reference)
        before = scene(world.look()) if step.before is not None else after
        function, document = takers()[step.document], documents / step.document
        answer = sam.invoke(function, document)
        expected = reference.invoke(function, document.read_bytes())
        assert not (found := differences(plain(answer), plain(expected))), f"{step.document}\n{found}"
        assert "errorType" not in (answer or {}), f"{step.document}: {answer}"
        after = scene(world.look())
        assert not (found := differences(after, scene(reference.look()))), f"{step.document}\n{found}"
        assert {part for part in after if after[part] != before[part]} == step.changes, step.document
        if step.document in LEADS_TO:
            taken = json.loads((documents / LEADS_TO[step.document]).read_text())
            found = differences(plain(answer), plain(taken))
            assert not found, f"{step.document} does not lead to {LEADS_TO[step.document]}\n{found}"
