"""Which permissions of the stack's roles were used, and which were missing: written down for whoever compares them.

`SIMULATED_AWS_PERMISSION_RECORD` names a folder; each simulated AWS appends to a file of its own in it, a line for each
fact that is new, so that any number of them can write at once. Without it nothing is written.

A line is tab-separated: `used`, the role's logical id, the name of its policy, the statement (its Sid, or its place),
the action, and the place of the resource among those that the statement names; or `denied`, the role, the action and the
resource; or `admitted`, a rule, the action and the function or queue whose own policy let the rule in. AWS's own policies
name the resource that was used. The first line, `of`, is the fingerprint of what was deployed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html is what AWS has for this.
"""

import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

FOLDER = "SIMULATED_AWS_PERMISSION_RECORD"

_lock = threading.Lock()
_file: TextIO | None = None
_seen: set[tuple[str, ...]] = set()
_logical_ids: dict[str, str] = {}


def start(fingerprint: str, logical_ids: dict[str, str]) -> None:
    """Begins to write, if the environment says where. `logical_ids` are those of the stack's resources, by their names."""
    global _file
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    _logical_ids.update(logical_ids)
    _file = open(Path(folder) / f"{os.getpid()}.txt", "a", buffering=1)
    _note("of", fingerprint)


def used(role_name: str, policy: str, statement: str, action: str, resource: str) -> None:
    """The statement allowed the action, on the resource that it names at this place."""
    if _file is not None and role_name in _logical_ids:
        _note("used", _logical_ids[role_name], policy, statement, action, resource)


def denied(role_name: str, action: str, resource: str) -> None:
    """The role's policies do not allow the action, or deny it."""
    if _file is not None and role_name in _logical_ids:
        _note("denied", _logical_ids[role_name], action, resource)


def admitted(rule_name: str, action: str, resource: str) -> None:
    """The resource's own policy let a rule do this."""
    name = resource.rsplit(":", 1)[-1]
    if _file is not None and name in _logical_ids:
        _note("admitted", _logical_ids.get(rule_name, rule_name), action, _logical_ids[name])


def _note(*fact: str) -> None:
    if fact in _seen:
        return
    with _lock:
        if fact not in _seen and _file is not None:
            _seen.add(fact)
            _file.write("\t".join(fact) + "\n")


def fingerprint(template: Path, functions: Iterable[Path]) -> str:
    """Changes with the template, the workflows beside it, and the functions' binaries, which are known by size and time."""
    digest = hashlib.sha256()
    for file in [template, *sorted(template.parent.glob("workflows/*"))]:
        digest.update(file.read_bytes())
    for binary in sorted(functions):
        status = binary.stat()
        digest.update(f"{binary.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
