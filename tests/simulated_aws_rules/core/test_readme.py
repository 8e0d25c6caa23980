"""The README of the simulated AWS: a rule of this project, not of AWS."""

import re

from running import TESTS

PACKAGE = TESTS / "simulated_aws"


def test_the_readme_lists_every_module_in_its_folder():
    listed, folder = set(), ""
    for cells in re.findall(r"^\| (?:`(\w+)/`)? ?\| `(\w+)` \|", (PACKAGE / "README.md").read_text(), re.MULTILINE):
        folder = cells[0] or folder
        listed.add(f"{folder}/{cells[1]}.py")
    assert listed == {str(file.relative_to(PACKAGE)) for file in PACKAGE.glob("*/[!_]*.py")}
