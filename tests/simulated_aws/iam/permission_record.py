"""Records which permissions of the stack's roles were used and which were missing, for `unused_permissions`.

`SIMULATED_AWS_PERMISSION_RECORD` names a folder. Each simulated AWS appends a line for each new fact to its own file there,
so that several can write at once. Without the variable nothing is written.

A line is tab-separated: `used`, the role's logical id, the name of its policy, the statement (its Sid, or its index),
the action, and the index of the resource in the statement; or `denied`, the role, the action and the resource; or
`allowed_by_resource`, a rule, the action and the function or queue whose own policy allowed the rule. For AWS managed
policies the line has the resource itself. The first line, `of`, is the fingerprint of the deployed stack.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html is the similar feature of AWS.
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
    """Begins to write, if the variable is set. `logical_ids` are the logical ids of the stack's resources by name."""
    global _file
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    _logical_ids.update(logical_ids)
    _file = open(Path(folder) / f"{os.getpid()}.txt", "a", buffering=1)
    _note("of", fingerprint)


def used(role_name: str, policy: str, statement: str, action: str, resource: str) -> None:
    """Records that the statement allowed the action on the resource at this index."""
    if _file is not None and role_name in _logical_ids:
        _note("used", _logical_ids[role_name], policy, statement, action, resource)


def denied(role_name: str, action: str, resource: str) -> None:
    """Records that the role's policies do not allow the action, or deny it."""
    if _file is not None and role_name in _logical_ids:
        _note("denied", _logical_ids[role_name], action, resource)


def allowed_by_resource(rule_name: str, action: str, resource: str) -> None:
    """Records that the resource's own policy allowed a rule this action."""
    name = resource.rsplit(":", 1)[-1]
    if _file is not None and name in _logical_ids:
        _note("allowed_by_resource", _logical_ids.get(rule_name, rule_name), action, _logical_ids[name])


def _note(*fact: str) -> None:
    if fact in _seen:
        return
    with _lock:
        if fact not in _seen and _file is not None:
            _seen.add(fact)
            _file.write("\t".join(fact) + "\n")


def fingerprint(template: Path, functions: Iterable[Path]) -> str:
    """A hash of the template, the workflows beside it, and the size and time of the functions' binaries."""
    digest = hashlib.sha256()
    for file in [template, *sorted(template.parent.glob("workflows/*"))]:
        digest.update(file.read_bytes())
    for binary in sorted(functions):
        status = binary.stat()
        digest.update(f"{binary.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
