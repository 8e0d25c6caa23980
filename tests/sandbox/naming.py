"""How everything that a run makes is named and tagged, so that it can be found again without a list."""

import re

PREFIX = "ami-share-check"
TAG = "ami-share-check"

RUN = re.compile(r"[0-9a-f]{8}")


def name(run: str, what: str = "") -> str:
    """The name of a resource that a run makes: `ami-share-check-3f9a1c2b-queue`."""
    return f"{PREFIX}-{run}-{what}" if what else f"{PREFIX}-{run}"


def prefix(run: str) -> str:
    """How all such names begin, and those of no other run."""
    return name(run) + "-"


def log_group_name(run: str, what: str = "") -> str:
    """The name of a log group of a function of that name; without one, how all of them begin."""
    return f"/aws/lambda/{name(run, what) if what else prefix(run)}"


def tags(run: str) -> list[dict[str, str]]:
    """The tag in the form that most services take."""
    return [{"Key": TAG, "Value": run}]


def tag_map(run: str) -> dict[str, str]:
    """The tag in the form that the others take."""
    return {TAG: run}


def kms_tags(run: str) -> list[dict[str, str]]:
    """The tag as KMS takes it."""
    return [{"TagKey": TAG, "TagValue": run}]
