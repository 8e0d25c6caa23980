"""The check of a SAM template: expanded, then cfn-lint."""

import os
import subprocess
import sys

import pytest
from running import HERE, TESTS

STACK = HERE / "stack" / "template.yaml"


def lint(path):
    """Runs the command; returns its exit status and what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "simulated_aws.cloudformation.lint", str(path)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    return ended.returncode, ended.stdout


@pytest.fixture
def broken(tmp_path):
    """Copies the stack's template with one text replaced by another."""

    def replace(old, new):
        text = STACK.read_text()
        assert old in text
        (tmp_path / "template.yaml").write_text(text.replace(old, new))
        for definition in STACK.parent.glob("*.asl.json"):
            (tmp_path / definition.name).write_text(definition.read_text())
        return tmp_path / "template.yaml"

    return replace


def test_a_good_template_passes():
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/validate-cfn-lint.html"""
    assert lint(STACK) == (0, f"{STACK}: 30 resources, nothing found\n")


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("Timeout: 60", "Timeout: 9999", "9999"),
        ("!Ref Greeting", "!Ref Grating", "Grating"),
        ("Action: sqs:SendMessage", "Action: sqs:SendMesage", "sendmesage"),
        ("Default: hello", "Default: HELLO", "small letters"),
        ("DefinitionUri: workflow.asl.json", "DefinitionUri: absent.asl.json", "absent.asl.json"),
    ],
)
def test_a_mistake_that_shows_only_after_the_expansion_is_found(broken, old, new, finding):
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/validate-cfn-lint.html"""
    status, printed = lint(broken(old, new))
    assert status != 0
    assert finding in printed
