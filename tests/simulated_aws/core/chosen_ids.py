"""Gives new resources the ids that a test chose instead of random ones. AWS has no such feature.

The documents in `events/` name an image, its snapshots and keys, an organization and its accounts. A function that gets
such a document finds these resources only if they have exactly those ids. `SIMULATED_AWS_IDS` lists the ids for the next
resources of each kind, in the order of creation; later resources get random ids:

    {"ami": ["ami-0abcdef1234567890"], "key": ["1234abcd-12ab-34cd-56ef-1234567890ab"], "account": ["111122223333"]}

Nothing else about them changes. A kind is a prefix of EC2's ids, or `key`, `organization`, `root`, `ou` or `account`. A
new organization takes the first account id (its management account) and the first OU id (its root, which does not keep
it). AWS managed keys take key ids too.
"""

import json
import os
import threading
from collections.abc import Callable
from typing import Any

import moto.ec2.utils
import moto.kms.models
import moto.organizations.utils

# The functions that make ids, with the kind of each. EC2 has one function for all kinds; its argument is the prefix.
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
    """Wraps the functions that make ids. Without the variable it changes nothing."""
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
