"""Each function does the same in a container as in the Lambda of the simulated AWS, with every document of `events/`.

Two equal simulated AWSs run one scenario. In one of them the function in a container gets each document, in the other
Lambda does. After each step the answers and the states must be equal, and exactly what the step names must have changed:
so the test detects a function that did nothing, or called another endpoint.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from equality import comparable, differences, plain
from sam import Sam
from world import CLOSED, COPY, IMAGE, KEYS, REPORT, SECOND, SNAPSHOTS, World

EVENTS = Path(__file__).parents[2] / "events"


@dataclass(frozen=True)
class Step:
    """One document, what happens before it, and what it changes."""

    document: str
    changes: set[str]
    before: Callable[[World], object] | None = None


def close_account(world: World) -> None:
    """Closes an account after it was resolved, and before its key policy is put."""
    world.client("organizations").close_account(AccountId=CLOSED)


def remove_selector(world: World) -> None:
    """Precedes `extend-key-policy-revoke.json`: a selector is removed from the tag, and a later intent recorded."""
    world.tag(IMAGE, **{"ami-share:with": "ou-ab12-cdef3456 tag:Stage=production"})
    world.invoke("resolve-share", (EVENTS / "reconcile-image.json").read_bytes())


def request_usage_report(world: World) -> None:
    """Creates the report whose id `report-usage.json` names."""
    report = world.client("ec2").create_image_usage_report(
        ImageId=IMAGE, AccountIds=["222222222222"], ResourceTypes=[{"ResourceType": "ec2:Instance"}]
    )
    assert report["ReportId"] == REPORT


def share_all(world: World) -> None:
    """Reconciles one image after another: of concurrent reconciliations, either may write the policy of a common key for both."""
    for image in (IMAGE, COPY, SECOND):
        world.share(image)


def put_unmanaged_policy(world: World) -> None:
    """The call in `cloudtrail-put-key-policy.json`: an administrator put the key's original policy."""
    kms = world.client("kms")
    policy = json.loads(kms.get_key_policy(KeyId=KEYS[1], PolicyName="default")["Policy"])
    policy["Statement"] = [one for one in policy["Statement"] if not one.get("Sid", "").startswith("AmiShare")]
    kms.put_key_policy(KeyId=KEYS[1], PolicyName="default", Policy=json.dumps(policy))


def remove_snapshot_permission(world: World) -> None:
    """The call in `cloudtrail-modify-snapshot-attribute.json`."""
    world.client("ec2").modify_snapshot_attribute(
        SnapshotId=SNAPSHOTS[0], Attribute="createVolumePermission", OperationType="remove", UserIds=["333333333333"]
    )


def disable(world: World) -> None:
    world.client("ec2").disable_image(ImageId=IMAGE)


def deregister(world: World) -> None:
    world.client("ec2").deregister_image(ImageId=IMAGE)


# In both, `review-shares` starts executions with the functions in Lambda; the test waits for them.
SCENARIO = [
    Step("tag-change-image.json", {"ledger"}),
    Step("ami-state-change-available.json", set()),
    Step("cloudtrail-create-image.json", {"ledger"}),
    Step("cloudtrail-modify-image-attribute.json", set()),
    Step("reconcile-image.json", set()),
    Step("cloudtrail-copy-image.json", {"ledger"}),
    Step("cloudtrail-register-image.json", {"ledger"}),
    Step("schedule-expiry.json", {"ledger", "schedules"}),
    Step("extend-key-policy.json", {"ledger", "audit log", "key policies"}, before=close_account),
    Step("share-image.json", {"ledger", "audit log", "launch permissions", "snapshots' permissions"}),
    Step("notify-targets.json", {"ledger", "status", "notifications"}),
    Step("step-functions-execution-failed.json", {"notifications"}),
    Step("extend-key-policy-revoke.json", {"ledger", "audit log", "key policies"}, before=remove_selector),
    Step("report-usage.json", {"audit log"}, before=request_usage_report),
    Step("cloudtrail-move-account.json", {"executions"}, before=share_all),
    Step(
        "cloudtrail-put-key-policy.json", {"executions", "key policies", "ledger", "audit log", "notifications"},
        before=put_unmanaged_policy,
    ),  # fmt: skip
    Step(
        "cloudtrail-modify-snapshot-attribute.json", {"executions", "snapshots' permissions", "audit log", "notifications"},
        before=remove_snapshot_permission,
    ),  # fmt: skip
    Step("step-functions-review-failed.json", {"notifications"}),
    Step("cloudtrail-account-joined.json", {"executions"}),
    Step("review-shares-page.json", {"reviews"}),
    Step("review-shares-report.json", {"reviews", "notifications"}),
    Step("reconcile-image-not-before.json", {"ledger"}),
    Step("ami-state-change-disabled.json", {"ledger"}, before=disable),
    Step("ami-state-change-deregistered.json", {"ledger"}, before=deregister),
]

# The answer to the first document is the document of the next function.
LEADS_TO = {"tag-change-image.json": "schedule-expiry.json"}


def takers() -> dict[str, str]:
    """The function that takes each document, from `events/README.md`; without documents that no function takes."""
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
    """The documents, with an expiry in the far future: an expired share would behave differently."""
    folder = scratch / "events"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in EVENTS.glob("*.json"):
        (folder / path.name).write_text(re.sub(r"2026-12-(31|24)(?=T23:59:59Z|\")", r"2099-12-\1", path.read_text()))
    return folder


def test_the_scenario_has_every_document_that_a_function_takes():
    assert sorted(step.document for step in SCENARIO) == sorted(takers())
    assert len(set(takers().values())) == 7


def test_every_function_does_in_a_container_what_it_does_in_lambda(
    sam: Sam, world: World, reference: World, documents: Path
) -> None:
    after = comparable(world.state())
    found = differences(after, comparable(reference.state()))
    assert not found, f"the two simulated AWSs differ before the first step\n{found}"
    for step in SCENARIO:
        if step.before is not None:
            step.before(world)
            step.before(reference)
        before = comparable(world.state()) if step.before is not None else after
        function, document = takers()[step.document], documents / step.document
        answer = sam.invoke(function, document)
        expected = reference.invoke(function, document.read_bytes())
        assert not (found := differences(plain(answer), plain(expected))), f"{step.document}\n{found}"
        assert "errorType" not in (answer or {}), f"{step.document}: {answer}"
        after = comparable(world.state())
        assert not (found := differences(after, comparable(reference.state()))), f"{step.document}\n{found}"
        assert {part for part in after if after[part] != before[part]} == step.changes, step.document
        if step.document in LEADS_TO:
            taken = json.loads((documents / LEADS_TO[step.document]).read_text())
            found = differences(plain(answer), plain(taken))
            assert not found, f"{step.document} does not lead to {LEADS_TO[step.document]}\n{found}"
