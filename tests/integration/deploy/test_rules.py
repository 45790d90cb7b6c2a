"""The alert rules, run by Prometheus's own tool."""

import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.prometheus
FOLDER = Path(__file__).parents[3] / "deploy" / "prometheus"


def _promtool(*arguments):
    return subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


def test_rules_fire_and_keep_still_as_described():
    done = _promtool("test", "rules", "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_configuration_are_valid():
    done = _promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_shown_firing_and_keeping_still():
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    shown = {True: set(), False: set()}
    for test in yaml.safe_load((FOLDER / "rules_test.yml").read_text("utf-8"))["tests"]:
        for case in test["alert_rule_test"]:
            shown[bool(case["exp_alerts"])].add(case["alertname"])
    assert shown[True] == shown[False] == names
