"""Every type of anomaly has a rule, and every rule has what the registry says of it."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import stream_detector.detect.rules as rules
from stream_detector.detect import ScoreBaseline, WorkflowBaseline
from stream_detector.detect.rules import registry, shared
from stream_detector.detect.rules.registry import RULES
from stream_detector.events import Resource
from stream_detector.events.anomaly_types import CLOCK_RULES, TYPES
from tests.unit.detect.events_of import CLASSIC, feed, found, run, workflow

FOLDER = Path(rules.__file__).parent
NO_RULES = {"__init__", "branch_failures", "missing_entity", "registry", "shared", "timing"}
"""Not a type's own file: a sub-rule of PatternDeviation, and what several rules share."""


def test_each_type_has_one_rule_in_the_file_of_its_name() -> None:
    assert {rule.anomaly_type: rule.name for rule in RULES.values()} == {name: one.rule for name, one in TYPES.items()}
    assert {path.stem for path in FOLDER.glob("*.py")} - NO_RULES - set(CLOCK_RULES) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_its_type_in_its_own_name(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text("utf-8")
    types = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)} & set(TYPES)
    assert RULES[name].anomaly_type in types, "or the registry names another type"
    assert name == import_module(f"{rules.__name__}.{name}").NAME


@pytest.mark.parametrize("name", RULES)
def test_the_state_that_a_rule_judges_by_is_part_of_a_baseline(name: str) -> None:
    workflows, scores = WorkflowBaseline("workflow:nightly"), ScoreBaseline("score:lido")
    for part in RULES[name].state:
        assert hasattr(workflows, part) or hasattr(scores, part)


def test_a_rule_that_judges_executions_itself_is_called() -> None:
    judges = [rule.judge for rule in RULES.values() if rule.judge is not None]
    assert list(shared._JUDGES) == judges and judges
    assert shared.ALWAYS is any(rule.judges_all for rule in RULES.values())


def test_the_first_step_of_a_rule_comes_first() -> None:
    full = run(0, resources={"memory": Resource(3.9, 4.0, "GiB")})
    (one,) = found(feed(workflow(), [full], CLASSIC))
    first_step = registry.RULES[one.detector].first_step
    assert first_step is not None
    assert one.investigation_steps[0] == "See what filled memory in this execution, and whether its limit still fits"
