"""The profile is chosen for an installation, and for workflows by their id or label."""

import pytest

from stream_detector.detect import Config, profile_rules, step
from tests.unit.detect.events_of import HUNDRED_TEN, feed, run, runs, workflow

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
    assert Config(profile_rules=RULES).for_execution(run(0, workflow_id=workflow_id, labels=labels)).profile == profile


def test_step_judges_by_the_profile_of_the_workflow():
    config = Config(profile_rules=profile_rules("nightly->classic"))
    baseline = workflow()
    feed(baseline, runs(HUNDRED_TEN), config)
    assert {one.profile for one in step(baseline, run(50, 121.0), config).anomalies} == {"classic"}


def test_without_rules_the_configuration_is_the_same_object():
    config = Config()
    assert config.for_execution(run(0)) is config
    assert profile_rules("") == profile_rules(" , ") == ()


@pytest.mark.parametrize("text", ["nightly", "nightly -> best", "-> classic", "team= -> classic", "=core -> robust"])
def test_a_rule_that_cannot_be_read_says_its_form(text):
    with pytest.raises(ValueError, match="PATTERN -> PROFILE"):
        profile_rules(text)
