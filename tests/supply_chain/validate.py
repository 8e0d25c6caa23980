"""Checks that a bill of materials is valid CycloneDX 1.5, by the schema that CycloneDX publishes.

https://cyclonedx.org/docs/1.5/json/
"""

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(file: Path) -> int:
    """Exit status: 0 if the file is valid, else 1, after printing what is wrong."""
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(file.read_text())
    if error:
        print(f"{file}: {error}")
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
