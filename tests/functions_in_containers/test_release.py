"""The archive of `.ci/package`, as a user downloads it: see docs/releasing.md.

Reads the environment: AMI_SHARE_BUILT, the folder of the output of `sam build`, as in the archive, and
AMI_SHARE_RELEASE, the folder of the release.
"""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from samcli.yamlhelper import yaml_parse

RELEASE = Path(os.environ["AMI_SHARE_RELEASE"])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of the unpacked archive."""
    folder = tmp_path_factory.mktemp("unpacked")
    (archive,) = RELEASE.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / os.environ["AMI_SHARE_BUILT"] / "template.yaml"


def local_paths(template: Path) -> dict[str, Path]:
    """The files that the template refers to, by resource."""
    resources = yaml_parse(template.read_text())["Resources"]
    paths = {name: one.get("Properties", {}) for name, one in resources.items()}
    paths = {name: one.get("CodeUri") or one.get("DefinitionUri") for name, one in paths.items()}
    return {name: template.parent / path for name, path in paths.items() if path}


def test_everything_that_the_template_takes_from_files_is_in_the_archive(template: Path):
    paths = local_paths(template)
    assert {"ResolveShareFunction", "ShareWorkflow", "ReviewWorkflow"} <= set(paths)
    assert {name for name, path in paths.items() if not path.exists()} == set()


def test_each_bill_of_materials_names_the_digest_of_the_program_in_the_archive(template: Path):
    programs = {hashlib.sha256(path.read_bytes()).hexdigest() for path in template.parent.glob("*/bootstrap")}
    bills = [json.loads(path.read_text()) for path in RELEASE.glob("*.cdx.json")]
    assert len(bills) == 7
    assert {bill["metadata"]["component"]["hashes"][0]["content"] for bill in bills} == programs


def test_the_digests_are_those_of_the_files():
    (sums,) = RELEASE.glob("SHA256SUMS-*")
    lines = [line.split("  ", 1) for line in sums.read_text().splitlines()]
    assert {name for _, name in lines} == {path.name for path in RELEASE.iterdir()} - {sums.name}
    for digest, name in lines:
        assert hashlib.sha256((RELEASE / name).read_bytes()).hexdigest() == digest, name
