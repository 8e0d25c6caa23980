"""`python3 tests/sandbox`: installs the pinned boto3 into a virtual environment under `target/`, once, and runs the checks.

Nothing but Python 3.11 with `venv` is needed before that.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"


def _refuse(reason: str) -> None:
    """Ends with the status for `nothing was run`."""
    print(f"refused: {reason}", file=sys.stderr)
    sys.exit(2)


def _python() -> Path:
    """The environment's Python. Changed pins get an environment of their own."""
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    environment = HERE.parents[1] / "target" / "sandbox" / f"venv-{pins}"
    python, finished = environment / "bin" / "python", environment / "installed"
    if not finished.exists():
        print(f"installing boto3 in {environment} (first run only)", file=sys.stderr)
        if subprocess.run([sys.executable, "-m", "venv", "--clear", environment]).returncode != 0:
            _refuse("Python's `venv` is missing or broken; on Debian and Ubuntu, `apt install python3-venv` brings it")
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
        if subprocess.run([python, *install, REQUIREMENTS]).returncode != 0:
            _refuse("boto3 could not be installed; pip says above why")
        finished.touch()
    return python


if __name__ == "__main__" and not __package__:
    if sys.version_info < (3, 11):
        _refuse("Python 3.11 or newer is needed; this one is %d.%d" % sys.version_info[:2])
    sys.path.insert(0, str(HERE.parent))
    from sandbox import arguments

    arguments.parse(sys.argv[1:])  # It ends here at `--help`, before anything is installed.
    python = _python()
    os.environ["PYTHONPATH"] = str(HERE.parent)
    os.execv(python, [str(python), "-m", "sandbox", *sys.argv[1:]])
elif __name__ == "__main__":
    from sandbox.command import main

    sys.exit(main(sys.argv[1:]))
