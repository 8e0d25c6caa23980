"""Gives what is made the ids that a test has chosen, in place of random ones: AWS has no such thing.

The documents in `events/` name an image, its snapshots and keys, an organization and its accounts. A function that is
invoked with them finds these only where somebody made things with just those ids. `SIMULATED_AWS_IDS` says which ids the
next things get, in the order in which they are made; whatever is made after them gets a random id as before:

    {"ami": ["ami-0abcdef1234567890"], "key": ["1234abcd-12ab-34cd-56ef-1234567890ab"], "account": ["111122223333"]}

Everything else about them is as AWS would have made it. Kinds are the prefixes of EC2's ids, and `key`, `organization`,
`root`, `ou` and `account`. With an organization come the first account, which is the management account, and the first
OU, which is the root and does not keep the id; the keys that AWS manages are keys too.
"""

import json
import os
import threading
from collections.abc import Callable
from typing import Any

import moto.ec2.utils
import moto.kms.models
import moto.organizations.utils

# What makes ids, and of which kind. EC2 has one maker for all its kinds, which is told the prefix.
MAKERS: list[tuple[Any, str, str | None]] = [
    (moto.ec2.utils, "random_id", None),
    (moto.kms.models, "generate_key_id", "key"),
    (moto.organizations.utils, "make_random_org_id", "organization"),
    (moto.organizations.utils, "make_random_root_id", "root"),
    (moto.organizations.utils, "make_random_ou_id", "ou"),
    (moto.organizations.utils, "make_random_account_id", "account"),
]

_LOCK = threading.Lock()


def install() -> None:
    """Wraps what makes the ids. Without the variable nothing changes."""
    chosen: dict[str, list[str]] = json.loads(os.environ.get("SIMULATED_AWS_IDS", "{}"))
    for module, name, kind in MAKERS:
        setattr(module, name, _choosing(chosen, getattr(module, name), kind))


def _choosing(chosen: dict[str, list[str]], make: Callable[..., str], kind: str | None) -> Callable[..., str]:
    def call(*args: Any, **kwargs: Any) -> str:
        wanted = kind or kwargs.get("prefix") or (args[0] if args else "")
        with _LOCK:
            next_ones = chosen.get(wanted)
            if next_ones:
                return next_ones.pop(0)
        return make(*args, **kwargs)

    return call
