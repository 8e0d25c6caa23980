"""Runs `sam local invoke` as in the README: one function, one event, one container."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from world import REGION, World

ROOT = Path(__file__).parents[2]

# Placeholders in the README's command line.
FUNCTION, EVENT, VARIABLES = "ResolveShareFunction", "events/tag-change-image.json", "variables.json"


class Sam:
    """The SAM CLI with its own base image, for a simulated AWS."""

    def __init__(self, invoke: str, built: Path, image: str, scratch: Path, world: World):
        self._invoke = shlex.split(invoke)
        self._scratch = scratch
        self._world = world
        # A user relies on SAM's defaults for these: the artifacts, its own files, and Lambda's image.
        self._further = ["--template", str(built / "template.yaml"), "--layer-cache-basedir", str(scratch / "layers")]
        self._further += ["--skip-pull-image", "--invoke-image", image]

    def invoke(self, function: str, event: Path) -> Any:
        """The answer of the function, which has its role's credentials and its variables in Lambda."""
        configuration = self._world.function(function)
        logical_id = self.logical_id(function)
        variables = self._scratch / "variables.json"
        variables.write_text(json.dumps({logical_id: configuration["Environment"]["Variables"]}))
        given = {FUNCTION: logical_id, EVENT: str(event), VARIABLES: str(variables)}
        assert set(given) <= set(self._invoke), f"the documented command line does not say {' '.join(given)}"
        command = [given.get(word, word) for word in self._invoke]
        credentials = self._world.credentials(configuration["Role"], configuration["FunctionName"])
        environment = {**os.environ, **{name.upper(): value for name, value in credentials.items()}}
        environment["AWS_DEFAULT_REGION"] = REGION
        ended = subprocess.run(
            [*command, *self._further], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert ended.returncode == 0, f"{shlex.join(command)}\n{ended.stdout}{ended.stderr}"
        lines = [line for line in ended.stdout.splitlines() if line.strip()]
        assert len(lines) == 1, f"{shlex.join(command)} answered\n{ended.stdout}{ended.stderr}"
        print(f"  {logical_id} in a container, with {event.name}", file=sys.__stderr__, flush=True)
        return json.loads(lines[0])

    @staticmethod
    def logical_id(function: str) -> str:
        """`share-image` is `ShareImageFunction` in the template."""
        return "".join(word.capitalize() for word in function.split("-")) + "Function"
