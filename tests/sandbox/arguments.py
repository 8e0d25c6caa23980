"""The command's arguments. Nothing that has to be installed is imported here, so that `--help` installs nothing."""

import argparse
import shlex
from pathlib import Path

from sandbox import naming

RESULTS = Path(__file__).resolve().parents[2] / "target" / "sandbox"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Ends the program at `--help`, and on a misspelt argument."""
    parser = argparse.ArgumentParser(
        prog="python3 tests/sandbox",
        description="Checks on a sandbox account what ami-share believes about AWS (docs/assumptions.md).",
    )
    parser.add_argument("--account", required=True, help="the sandbox account's id: a guard against the wrong credentials")
    parser.add_argument("--region", required=True, help="where to check; a Region that has your images")
    parser.add_argument("--profile", help="the profile of the AWS configuration that has the credentials")
    parser.add_argument("--second-profile", help="the profile of another account, for the beliefs that need two")
    parser.add_argument("--yes", action="store_true", help="run the checks; without it the command only shows the plan")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="ID,ID", help="check these beliefs only")
    parser.add_argument("--clean", metavar="RUN", help="check nothing; remove what this earlier run left behind")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies all waiting times: 1 is usual")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder that gets the report")
    given = parser.parse_args(arguments)
    if given.clean and not naming.RUN.fullmatch(given.clean):
        parser.error("a run is named by 8 digits and letters from a to f")
    return given


def cleaning(given: argparse.Namespace, run: str) -> str:
    """The command that removes what a run left behind, with the same credentials."""
    profile = ["--profile", given.profile] if given.profile else []
    words = ["python3", "tests/sandbox", "--account", given.account, "--region", given.region, *profile, "--clean", run]
    return shlex.join(words)
