"""The profile is chosen for an installation, and for workflows by their id or label."""

from decimal import Decimal

import pytest

from stream_detector.detect import Config, ScoreRule, profile_rules, score_threshold_rules, step
from stream_detector.timing_rules import OFF, expect_rules, max_duration_rules
from tests.unit.detect.events_of import HUNDRED_TEN, feed, run, runs, score, workflow

RULES = profile_rules("night* -> classic, team=core,[x]-? -> robust".replace("core,", "core -> classic, "))


@pytest.mark.parametrize(
    ("workflow_id", "labels", "profile"),
    [
        ("nightly", {}, "classic"),
        ("weekly", {}, "robust"),
        ("weekly", {"team": "core"}, "classic"),
        ("weekly", {"team": "apps"}, "robust"),
        ("x-1", {"team": "core"}, "classic"),
        ("x-1", {}, "robust"),
    ],
)
def test_the_first_rule_that_matches_holds(workflow_id, labels, profile):
    config = Config(profile_rules=RULES)
    assert config.for_execution(run(0, workflow_id=workflow_id, labels=labels)).profile == profile
    assert config.for_key(workflow_id, labels).profile == profile


def test_step_judges_by_the_profile_of_the_workflow():
    config = Config(profile_rules=profile_rules("nightly->classic"))
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN), config)
    assert {one.profile for one in step(baseline, run(50, 121.0), config).anomalies} == {"classic"}


def test_without_rules_the_configuration_is_the_same_object():
    config = Config()
    assert config.for_execution(run(0)) is config.for_key("x", {}) is config
    assert profile_rules("") == profile_rules(" , ") == ()


@pytest.mark.parametrize("text", ["nightly", "nightly -> best", "-> classic", "team= -> classic", "=core -> robust"])
def test_a_rule_that_cannot_be_read_says_its_form(text):
    with pytest.raises(ValueError, match="PATTERN -> PROFILE"):
        profile_rules(text)


@pytest.mark.parametrize(
    ("entity_id", "entity_type", "expected"),
    [
        ("lido", "dao", ScoreRule(Decimal("0.05"), relative=True)),
        ("lido", "poll", ScoreRule(Decimal("1.0"))),
        ("fund-7", "dao", ScoreRule(Decimal("0.05"), relative=True)),
        ("fund-7", None, ScoreRule(Decimal("2"))),
        ("lido", None, ScoreRule(Decimal("0.5"))),
        ("lido", "daos", ScoreRule(Decimal("0.5"))),
    ],
)
def test_s01_the_first_threshold_rule_that_matches_holds(entity_id, entity_type, expected):
    rules = score_threshold_rules("type=dao -> 5 %, type = poll->1.0 , fund-* -> 2")
    assert Config(score_rules=rules).score_rule(score("5", entity_id=entity_id, entity_type=entity_type)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "dao",
        "type=dao ->",
        "type= -> 1",
        "kind=dao -> 1",
        "-> 1",
        "dao -> 0",
        "dao -> -1",
        "dao -> nan",
        "dao -> 5 % %",
    ],
)
def test_s09_a_threshold_rule_that_cannot_be_read_names_its_form(text):
    with pytest.raises(ValueError, match="type=PATTERN -> THRESHOLD"):
        score_threshold_rules(text)


@pytest.mark.parametrize(
    ("clock", "profile", "has_clock"),
    [
        ("auto", "robust", True),
        ("auto", "classic", False),
        ("on", "classic", True),
        ("off", "robust", False),
    ],
)
def test_x30_the_clock_is_off_in_classic_unless_it_is_turned_on(clock, profile, has_clock):
    assert Config(profile, clock=clock).has_clock is has_clock
    other = "classic" if profile == "robust" else "robust"
    config = Config(other, profile_rules=profile_rules(f"nightly -> {profile}"), clock=clock)
    assert config.for_execution(run(0, workflow_id="nightly")).has_clock is has_clock


def test_a_clock_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="auto, on or off"):
        Config(clock="maybe")


def test_x30_the_first_limit_that_matches_holds():
    config = Config(max_duration_rules=max_duration_rules("night* -> 90 min, team=core -> off"))
    assert config.max_duration_s(run(0, workflow_id="nightly", labels={"team": "core"})) == 5400.0
    assert config.max_duration_s(run(0, workflow_id="weekly", labels={"team": "core"})) == 0.0
    assert config.max_duration_s(run(0, workflow_id="weekly")) is None


def test_x31_the_first_expectation_that_matches_holds():
    config = Config(expect_rules=expect_rules("nightly -> every 24h, team=core -> off"))
    assert config.expectation("nightly", {"team": "core"}).interval_s == 86_400
    assert config.expectation("weekly", {"team": "core"}) is OFF
    assert config.expectation("weekly", {}) is None
