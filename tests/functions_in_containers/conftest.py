"""The fixtures, from what the Rust test prepared.

Reads the environment:
- AMI_SHARE_BUILT: the folder of what `sam build` made, with its template.
- AMI_SHARE_INVOKE: the command line of docs/local.md for one function in a container.
- AMI_SHARE_ENDPOINT: a simulated AWS that containers can reach.
- AMI_SHARE_REFERENCE: an equal one, in which Lambda runs the functions.
- AMI_SHARE_SCRATCH: a folder for these tests.
"""

import os
import uuid
from pathlib import Path

import pytest

import base_image
import engine
from sam import Sam
from world import World

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built() -> Path:
    """What `sam build` made."""
    return Path(os.environ["AMI_SHARE_BUILT"])


@pytest.fixture(scope="session")
def scratch() -> Path:
    folder = Path(os.environ["AMI_SHARE_SCRATCH"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def image(scratch: Path):
    """A base image for this run alone, so that concurrent runs do not conflict; it is removed at the end."""
    client, name = engine.client(), f"ami-share-test-{uuid.uuid4().hex[:12]}"
    base_image.make(client, name, scratch / "base-image")
    yield name
    base_image.remove(client, name)


@pytest.fixture(scope="session")
def world() -> World:
    """The simulated AWS that the functions in containers call."""
    return _furnished(os.environ["AMI_SHARE_ENDPOINT"])


@pytest.fixture(scope="session")
def reference() -> World:
    """The simulated AWS whose own Lambda runs the functions."""
    return _furnished(os.environ["AMI_SHARE_REFERENCE"])


@pytest.fixture(scope="session")
def sam(built: Path, image: str, scratch: Path, world: World) -> Sam:
    return Sam(os.environ["AMI_SHARE_INVOKE"], built, image, scratch, world)


def _furnished(endpoint: str) -> World:
    world = World(endpoint)
    world.furnish()
    return world
