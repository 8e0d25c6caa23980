"""`python -m simulated_aws.cloudformation.lint TEMPLATE…`: expands SAM templates and runs cfn-lint on the result.

cfn-lint itself does not expand SAM, so it never checks the roles, rules and permissions that SAM adds.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/validate-cfn-lint.html
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from simulated_aws.cloudformation import parameters, template


def main() -> int:
    """Exit status: 0 without findings, 1 if a template cannot be expanded, otherwise that of cfn-lint."""
    parser = argparse.ArgumentParser(prog="python -m simulated_aws.cloudformation.lint", description=__doc__.splitlines()[0])
    parser.add_argument("templates", nargs="+", type=Path)
    return max(lint(path) for path in parser.parse_args().templates)


def lint(path: Path) -> int:
    """Lints one template, with the defaults of its parameters, and prints the findings."""
    try:
        # A default that the template itself would not accept is a finding too.
        values = parameters.resolve(template.read(path).get("Parameters", {}), {})
        expanded = template.expand(path, values)
    except (parameters.ParameterError, template.TemplateError) as error:
        print(f"{path}: {error}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.stem}.expanded.json"
        file.write_text(json.dumps(expanded, indent=2))
        found = subprocess.run(
            [Path(sys.executable).parent / "cfn-lint", "--template", str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    print(found.stdout.replace(str(file), f"{path} (expanded)"), end="")
    if found.returncode == 0:
        print(f"{path}: {len(expanded['Resources'])} resources, nothing found")
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
