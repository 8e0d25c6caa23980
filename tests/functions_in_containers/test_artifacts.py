"""The output of `sam build`: for each function one small program built for Lambda, and no other file."""

import os
import zipfile
from pathlib import Path

import pytest
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[2]

# The limit of a zipped upload: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LIMIT = 50 * 2**20
# Lambda unpacks the program before a cold start. An artifact ten times as large would mean a broken build.
ENOUGH = LIMIT // 5

# https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html (e_machine)
MACHINES = {"x86_64": 62, "arm64": 183}


def functions(template: Path) -> dict[str, dict]:
    resources = yaml_parse(template.read_text())["Resources"]
    return {name: one for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"}


@pytest.fixture(scope="module")
def artifacts(built: Path) -> dict[str, Path]:
    """The folder of each function, as the built template names it."""
    return {
        name: built / one["Properties"]["CodeUri"] for name, one in functions(built / "template.yaml").items()
    }


def test_each_function_of_the_template_has_an_artifact_of_its_own(artifacts: dict[str, Path]):
    assert set(artifacts) == set(functions(ROOT / "template.yaml"))
    assert len(set(artifacts.values())) == len(artifacts) == 7
    programs = {(folder / "bootstrap").read_bytes() for folder in artifacts.values()}
    assert len(programs) == len(artifacts), "two functions have the same program"


def test_an_artifact_holds_the_program_and_nothing_else(artifacts: dict[str, Path]):
    for name, folder in artifacts.items():
        assert [path.name for path in folder.rglob("*")] == ["bootstrap"], name
        assert os.access(folder / "bootstrap", os.X_OK), name


def test_a_program_is_built_for_the_configured_architecture(artifacts: dict[str, Path]):
    for name, folder in artifacts.items():
        head = (folder / "bootstrap").read_bytes()[:20]
        assert head[:4] == b"\x7fELF", name
        assert int.from_bytes(head[18:20], "little") == MACHINES[os.environ["AMI_SHARE_ARCHITECTURE"]], name


def test_an_artifact_is_small(artifacts: dict[str, Path], scratch: Path):
    rows = []
    for name, folder in sorted(artifacts.items()):
        zipped = scratch / f"{name}.zip"
        with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(folder / "bootstrap", "bootstrap")
        rows.append((name, (folder / "bootstrap").stat().st_size, zipped.stat().st_size))
        zipped.unlink()
    lines = [f"{'artifact':26} {'unzipped':>10} {'zipped':>10}"]
    lines += [f"{name:26} {size / 1e6:>7.1f} MB {zipped / 1e6:>7.1f} MB" for name, size, zipped in rows]
    (scratch / "sizes.txt").write_text("\n".join(lines) + "\n")
    assert all(zipped < ENOUGH for _, _, zipped in rows), "\n".join(lines)
