"""Remembers what EC2, KMS and AWS Organizations held before each write, and lets one read see such a past state.

A past state has images with their tags, states and launch permissions, snapshots with theirs, keys with policy, tags and KMS
grants, and an organization's accounts and OUs. Roles, instances and all else are always as they are now. Nothing is
remembered unless a test asks for a lag.

AWS documents that a read may be older than the last write:
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
https://docs.aws.amazon.com/organizations/latest/APIReference/Welcome.html
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.kms.models import kms_backends
from moto.organizations.models import organizations_backends

from simulated_aws.core import atomicity

_MOST_STATES = 100
_MISSING = object()

# An object's own dictionary, and what it held.
_Held = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class PastState:
    """What a service held before a write, and what that write said."""

    moment: float
    write: str
    held: list[_Held]


_states: dict[str, deque[PastState]] = defaultdict(lambda: deque(maxlen=_MOST_STATES))
_lock = threading.Lock()

# Whether a test asks for the state of a service before this write.
_is_wanted: Callable[[str, str], bool] = lambda _service, _write: False


def watch(is_wanted: Callable[[str, str], bool]) -> None:
    """Remembers the state of a service before each write that is wanted, given its service and its text."""
    global _is_wanted
    _is_wanted = is_wanted


def is_remembered(service: str, write: str) -> bool:
    """Whether the state before this write has to be remembered."""
    return service in _HOLDERS and _is_wanted(service, write)


def before_write(service: str, write: str) -> None:
    """Remembers what the service holds now. `write` is the text of the request, or the id of the resource."""
    if is_remembered(service, write):
        with atomicity.alone(), _lock:
            _states[service].append(PastState(time.monotonic(), write, list(_HOLDERS[service]())))


def forget_last(service: str) -> None:
    """Forgets the last state: the write was refused."""
    with _lock:
        if _states[service]:
            _states[service].pop()


def states(service: str, since: float, about: str) -> list[PastState]:
    """The states before each write since a moment whose text contains `about`, the oldest first."""
    with _lock:
        return [one for one in _states[service] if one.moment >= since and about in one.write]


@contextmanager
def seeing(state: PastState) -> Iterator[None]:
    """Restores the state for the block, in which no other call is served.

    What changes meanwhile without a call, such as an image that becomes available, stays changed.
    """
    with atomicity.alone():
        now = [{name: own.get(name, _MISSING) for name in held} for own, held in state.held]
        for own, held in state.held:
            own.update(held)
        try:
            yield
        finally:
            for (own, held), present in zip(state.held, now, strict=True):
                for name, value in present.items():
                    if own.get(name) is not held[name]:
                        continue
                    if value is _MISSING:
                        del own[name]
                    else:
                        own[name] = value


def _ec2() -> Iterator[_Held]:
    for backend in _backends(ec2_backends):
        own = backend.__dict__
        tags = defaultdict(dict, {resource: dict(tags) for resource, tags in list(own["tags"].items())})
        yield own, _copied(own, ("amis", "deleted_amis", "snapshots")) | {"tags": tags}
        for resource in [*backend.amis.values(), *backend.snapshots.values()]:
            yield resource.__dict__, _copied(resource.__dict__)


def _kms() -> Iterator[_Held]:
    for backend in _backends(kms_backends):
        yield backend.__dict__, _copied(backend.__dict__, ("keys",))
        tags = {arn: dict(tags) for arn, tags in list(backend.tagger.tags.items())}
        yield backend.tagger.__dict__, {"tags": tags}
        for key in backend.keys.values():
            yield key.__dict__, _copied(key.__dict__)


def _organizations() -> Iterator[_Held]:
    for backend in _backends(organizations_backends):
        yield backend.__dict__, _copied(backend.__dict__, ("accounts", "ou", "admins"))
        for one in [*backend.accounts, *backend.ou]:
            yield one.__dict__, _copied(one.__dict__)


_HOLDERS: dict[str, Callable[[], Iterator[_Held]]] = {"ec2": _ec2, "kms": _kms, "organizations": _organizations}


def _backends(by_account: Any) -> Iterator[Any]:
    for by_region in list(by_account.values()):
        yield from list(by_region.values())


def _copied(own: dict[str, Any], names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The attributes, with copies of their containers."""
    chosen = {name: own[name] for name in names} if names is not None else dict(own)
    return {name: value.copy() if isinstance(value, (list, dict, set)) else value for name, value in chosen.items()}
