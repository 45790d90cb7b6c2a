"""The routes file: what it may say, and which way things go by it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.configure import notify_config
from stream_detector.notify.routes import RoutesError, read_routes
from stream_detector.settings import Settings, SettingsError
from tests.events_made import action, uuid
from tests.unit.notify.living import Notifier, only
from tests.unit.notify.subjects import BALANCER, CONFIG, LIDO, run_of, slow

ROOT = Path(__file__).parents[3]
THREE = """
[[route]]
name = "payments"
match = { team = "payments", severity = ["warning", "critical"] }
channels = ["slack"]
continue = true

[[route]]
name = "nightly"
match = { workflow = "night*", environment = "prod" }
channels = ["email"]
threshold = "critical"
rate_limit = { count = 1, window_s = 60 }

[[route]]
name = "scores"
match = { kind = "score" }
channels = []
"""


def config_of(text: str, base: NotifyConfig = CONFIG) -> NotifyConfig:
    return replace(base, routes=read_routes(text, base.fallback))


def test_what_a_route_leaves_out_is_that_of_the_settings() -> None:
    base = replace(CONFIG, group_by=("build",), group_wait_s=7.0, group_interval_s=70.0, rate_limit_count=9)
    first, second = config_of(
        '[[route]]\nname = "a"\n[[route]]\nname = "b"\ngroup_by = []\ngroup_wait_s = 0\ngroup_interval_s = 0', base
    ).routes
    assert (first.group_by, first.group_wait_s, first.group_interval_s) == (("build",), 7.0, 70.0)
    assert (second.group_by, second.group_wait_s, second.group_interval_s) == ((), 0.0, 0.0)
    assert first.rate_limit_count == second.rate_limit_count == 9


def went(notifier: Notifier) -> list[str]:
    return [one.message.channel for one in notifier.sent]


def labelled(name: str = "a", **labels: str) -> Any:
    return slow(name, labels=labels)


def test_what_no_route_matches_goes_by_the_settings() -> None:
    assert went(Notifier(config_of(THREE)).take(labelled(team="web")).deliver()) == ["slack", "email"]


def test_the_first_route_that_matches_takes_it_and_says_so() -> None:
    notifier = Notifier(config_of(THREE)).take(labelled(environment="prod")).deliver()
    assert went(notifier) == ["email"]
    assert notifier.reasons("slack") == ["no route that takes it leads to slack"]
    assert notifier.reasons("email")[0].startswith("critical reaches the threshold critical of route nightly; ")


def test_continue_asks_the_routes_after_it_too() -> None:
    assert went(Notifier(config_of(THREE)).take(labelled(team="payments")).deliver()) == ["slack", "email"]
    both = Notifier(config_of(THREE)).take(labelled(team="payments", environment="prod")).deliver()
    assert went(both) == ["slack", "email"]
    assert "of route payments" in both.reasons("slack")[0] and "of route nightly" in both.reasons("email")[0]


def test_a_routes_threshold_and_limit_are_its_own() -> None:
    notifier = Notifier(config_of(THREE))
    notifier.take(slow("w", severity="warning", labels={"environment": "prod"})).deliver()
    assert notifier.reasons("email") == ["warning is below the threshold critical of route nightly"]
    notifier.take(*(labelled(str(n), environment="prod") for n in range(3)), *(slow(f"x{n}") for n in range(2)))
    assert went(notifier.deliver()).count("email") == 1 + 2
    assert notifier.counts("email")["held"] == 2
    notifier.after(60)
    assert notifier.sent[-1].message.state == "digest"


def test_the_inbox_gets_everything_whatever_the_routes_say() -> None:
    notifier = Notifier(config_of('[[route]]\nname = "none"\nchannels = []')).take(slow("a")).deliver()
    assert notifier.sent == [] and notifier.counts("inbox") == {"delivered": 1}


def test_a_run_goes_by_what_a_run_has() -> None:
    assert went(Notifier(config_of(THREE)).take(run_of(LIDO, BALANCER)).deliver()) == []
    only_critical = '[[route]]\nname = "c"\nmatch = { severity = "critical", type = "SignificantScoreChange" }\n'
    only_critical += 'channels = ["email"]'
    assert went(Notifier(config_of(only_critical)).take(run_of(LIDO)).deliver()) == ["email"]


def test_an_end_goes_the_way_of_its_opening_also_when_the_routes_have_changed() -> None:
    end = slow("end", incident="i", state="resolved", severity="info", duration_s=1.0)
    notifier = Notifier(config_of('[[route]]\nname = "r"\nmatch = { severity = "critical" }\nchannels = ["slack"]'))
    notifier.take(slow("open", incident="i")).deliver()
    notifier.config = config_of('[[route]]\nname = "other"\nchannels = ["email"]')
    notifier.take(end).deliver()
    assert [(one.message.channel, one.message.anomaly_id) for one in notifier.sent] == [
        ("slack", uuid("open")),
        ("slack", uuid("end")),
    ]


def test_a_silence_by_workflow() -> None:
    notifier = Notifier(only("slack")).take(action("1", "silence", entity="", matchers={"workflow": "nightly"}))
    assert notifier.take(slow("a")).deliver().sent == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[route]", "at line 1"),
        ("[[route]]", "missing required field `name` - at `route 1`"),
        ('[[route]]\nname = "Big Name"', "matching regex"),
        ('[[route]]\nname = "a"\nchanels = []', "unknown field `chanels` - at `route 1`"),
        ('[[routes]]\nname = "a"', "unknown field `routes`"),
        ('[[route]]\nname = "a"\n[[route]]\nname = "a"', "route 1 (a): the name is used"),
        ('[[route]]\nname = "a"\nchannels = ["fax"]', "unknown channel 'fax'; known: slack, slack_bot"),
        ('[[route]]\nname = "a"\nchannels = ["inbox"]', "unknown channel 'inbox'"),
        ('[[route]]\nname = "a"\nmatch = { type = "Spike" }', "unknown type 'Spike'; known: SpikeInFailures"),
        ('[[route]]\nname = "a"\nmatch = { severity = "high" }', "unknown severity 'high'"),
        ('[[route]]\nname = "a"\nmatch = { team = 3 }', "route 1.match"),
        ('[[route]]\nname = "a"\nthreshold = "high"', "route 1.threshold"),
        ('[[route]]\nname = "a"\ngroup_wait_s = -1', "route 1.group_wait_s"),
        ('[[route]]\nname = "a"\ngroup_wait_s = nan', "route 1"),
        ('[[route]]\nname = "a"\nrate_limit = { count = 0 }', "route 1.rate_limit.count"),
        ('[[route]]\nname = "a"\ngroup_by = [""]', "group_by: an empty name"),
        ('[[route]]\nname = "a"\ngroup_wait_s = 30\ngroup_interval_s = 20', "must not be less than group_wait_s"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(text: str, words: str) -> None:
    with pytest.raises(RoutesError, match=re.escape(words)):
        config_of(text)


def test_a_fault_in_the_file_stops_the_start_with_the_settings_name(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    for make, words in (
        (lambda: None, "cannot be read: No such file"),
        (lambda: file.write_bytes(b"\xff"), "it is not UTF-8 text"),
        (lambda: file.write_text("x = 1"), "unknown field `x`"),
    ):
        make()
        with pytest.raises(SettingsError, match=f"STREAM_DETECTOR_ROUTES_FILE=.*{words}"):
            notify_config(Settings(routes_file=str(file)))
    file.write_text(THREE)
    assert [one.name for one in notify_config(Settings(routes_file=str(file))).routes] == [
        "payments",
        "nightly",
        "scores",
    ]


def test_what_a_route_leaves_out_are_the_settings() -> None:
    base = replace(CONFIG, severity="info", rate_limit_count=7, rate_limit_window_s=70.0)
    (one,) = config_of('[[route]]\nname = "a"', base).routes
    assert (one.threshold, one.rate_limit_count, one.rate_limit_window_s, one.own_limit) == ("info", 7, 70.0, False)


def test_the_schema_takes_the_examples_and_refuses_what_the_type_does() -> None:
    import tomllib

    schema = json.loads((ROOT / "schemas" / "routes.v1.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(tomllib.loads(THREE))
    for bad in ({"route": [{"name": "a", "channels": ["fax"]}]}, {"route": [{}]}, {"x": 1}):
        assert not validator.is_valid(bad)


def test_every_example_of_the_page_can_be_used() -> None:
    page = (ROOT / "docs" / "notifications.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        assert config_of(example).routes
