"""docs/assumptions.md, the checks of `tests/sandbox` and the code say the same: every belief has its check or a reason why it has none."""

import ast
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from sandbox import answers, caller, command, events, images, patterns, rights
from sandbox.findings import CHECKS
from sandbox.unchecked import UNCHECKED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "assumptions.md").read_text()
POINTS = ("Why unsure", "Stands in", "If it is wrong", "Check")

assert command.main  # It registers the checks.


@dataclass
class Section:
    """One belief as the page has it."""

    id: str
    belief: str
    points: dict[str, str] = field(default_factory=dict)


def sections():
    found = []
    for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        part = re.split(r"^## ", part, flags=re.MULTILINE)[0]
        heading, belief, *lines = [line for line in part.splitlines() if line]
        section = Section(heading.strip("`"), belief)
        for line in lines:
            point = re.fullmatch(r"- \*\*([\w ]+)\*\*: (.+)", line)
            assert point, f"{section.id}: {line}"
            section.points[point[1]] = point[2]
        found.append(section)
    return found


SECTIONS = sections()


def test_every_belief_has_its_check_or_a_reason_why_there_is_none():
    checked = {check.id: check.belief for check in CHECKS}
    unchecked = {one.id: one.belief for one in UNCHECKED}
    assert not checked.keys() & unchecked.keys()
    assert {section.id: section.belief for section in SECTIONS} == checked | unchecked
    assert len({check.id for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.id)
def test_every_section_has_all_points(section):
    assert tuple(section.points) == POINTS
    needs = {one.id: one.needs for one in UNCHECKED}.get(section.id)
    if needs is not None:
        assert section.points["Check"] == f"none: needs {needs}"
        return
    (check,) = [check for check in CHECKS if check.id == section.id]
    module = check.run.__module__.replace(".", "/")
    assert section.points["Check"] == f"`tests/{module}.py::{check.run.__name__}`"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.id)
def test_every_place_that_is_named_is_there(section):
    named = re.findall(r"`([^`]+)`(?: and `([^`]+)`)?(?: \(((?:`[^`]+`(?:, )?)+)\))?", section.points["Stands in"])
    places = [([file for file in files if file], re.findall(r"`([^`]+)`", symbols)) for *files, symbols in named]
    places = [(files, symbols) for files, symbols in places if (ROOT / files[0]).exists()]
    assert places
    for files, symbols in places:
        for file in files:
            text = (ROOT / file).read_text()
            for symbol in symbols:
                assert re.search(rf"(?<!\w){re.escape(symbol)}(?!\w)", text), f"{file} has no {symbol}"
    for word in re.findall(r"`([^`]+/[^`]+)`", section.points["Stands in"]):
        assert (ROOT / word).exists(), word


def test_the_codes_are_those_that_the_functions_know():
    source = (ROOT / "shared/aws/src/error.rs").read_text()
    arms = re.findall(r'((?:"[\w.]+"\s*\|?\s*)+)=> \{?\s*Self::(\w+)', source)
    known = {fault: set(re.findall(r'"([\w.]+)"', codes)) for codes, fault in arms}
    assert answers.REJECTED == known["Rejected"]
    assert answers.DENIED <= known["Denied"]
    assert answers.MISSING <= known["Missing"] | known["Unavailable"]


def test_the_conditions_that_are_checked_are_those_of_the_template_and_of_the_readme():
    """As text: the template writes them in one line each."""

    class Here:
        partition, region, id = "aws", "eu-west-1", "111122223333"

        def arn(self, service, resource):
            return f"arn:aws:{service}:{self.region}:{self.id}:{resource}"

    here = Here()

    class Fixture:
        account, run = here, "00000000"

        def name(self, what):
            return what

    template, readme = (ROOT / "template.yaml").read_text(), (ROOT / "docs" / "security.md").read_text()
    for statement in caller.statements(Fixture()):
        for operator, condition in statement.get("Condition", {}).items():
            ((key, wanted),) = condition.items()
            if key == "aws:TagKeys":
                assert f'"{operator}": {{ "aws:TagKeys": "{wanted}"' in readme
                continue
            values = {here.id: "!Ref AWS::AccountId", "true": '"true"', "false": '"false"'}
            value = json.dumps(wanted) if isinstance(wanted, list) else values.get(wanted, wanted)
            quoted = f'"{operator}"' if operator == "Null" else operator
            assert f"{quoted}: {{ {key}: {value} }}" in template, condition


def test_the_denial_of_logs_that_is_checked_is_that_of_each_function():
    template = (ROOT / "template.yaml").read_text()
    denial = f"Effect: Deny\n *Action: \\[{', '.join(caller.LOGGING)}\\]\n *NotResource: !Sub arn:.*:log-group:/aws/lambda/.*:\\*\n"
    assert len(re.findall(denial, template)) == template.count("Type: AWS::Serverless::Function\n") > 0


def test_the_pattern_of_failures_that_is_checked_is_that_of_the_template():
    (alternatives,) = re.findall(r"\$or:\n((?: +- .*\n)+)", (ROOT / "template.yaml").read_text())
    assert yaml.safe_load(alternatives) == patterns.FAILURES


def test_a_key_is_tried_for_as_long_as_its_new_tag_may_take_to_count():
    """https://docs.aws.amazon.com/kms/latest/developerguide/abac.html"""
    workflow = (ROOT / "workflows" / "share.asl.json").read_text()
    steps = [step for step in states(json.loads(workflow)) if "ExtendKeyPolicyFunctionArn" in json.dumps(step.get("Parameters"))]
    assert len(steps) == workflow.count("${ExtendKeyPolicyFunctionArn}") == 2
    for step in steps:
        (retry,) = [one for one in step["Retry"] if "NotReady" in one["ErrorEquals"]]
        assert retry["BackoffRate"] == 1 and "JitterStrategy" not in retry
        assert 300 < retry["IntervalSeconds"] * retry["MaxAttempts"] <= rights.TAG_WITHIN_SECONDS


def states(definition):
    """All states, those within a Map too."""
    for state in definition["States"].values():
        yield state
        yield from states(state["ItemProcessor"]) if "ItemProcessor" in state else ()


def test_every_check_cites_its_page_of_aws():
    """Every check has the page that documents the call, or that says nothing of the case."""
    for check in CHECKS:
        assert "https://docs.aws.amazon.com/" in (check.run.__doc__ or ""), check.id


def test_every_check_is_registered_by_the_command():
    modules = {check.run.__module__ for check in CHECKS}
    assert {images.__name__, rights.__name__, events.__name__} <= modules
    for file in (ROOT / "tests/sandbox").glob("*.py"):
        decorated = any(
            isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "check"
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
        )
        assert not decorated or f"sandbox.{file.stem}" in modules, file.name
