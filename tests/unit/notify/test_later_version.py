"""X12: an anomaly with a type, severity, state, profile or kind of a later version is sent and shown as it is."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stream_detector.events import Affected, Anomaly, Metrics
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.notify.config import Route
from stream_detector.notify.rendering.words import type_words
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.notify.stages.render import message_about
from tests.events_made import NOON, action
from tests.servers.slack import problem_with
from tests.unit.notify.living import Notifier, only
from tests.unit.notify.subjects import CONFIG, slow

LATER: dict[str, dict[str, Any]] = {
    "type": {"anomaly_type": "QueueGrowth"},
    "severity": {"severity": "fatal"},
    "state": {"state": "snoozed"},
    "profile": {"profile": "seasonal"},
    "kind": {"entity_kind": "queue", "affected_entities": [Affected("host", "h1")]},
    "all": {"anomaly_type": "QueueGrowth", "severity": "fatal", "state": "snoozed", "profile": "seasonal"},
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("what", LATER)
def test_x12_every_channel_shows_it(what: str, channel: str) -> None:
    message = message_about(channel, slow(**LATER[what]), CONFIG, "m", note="new", at_s=1.0)
    whole = message.title + message.text + message.html + json.dumps(message.blocks, ensure_ascii=False)
    if what in ("type", "all"):
        assert "Queue growth in " in whole and "QueueGrowth" in whole
    if what in ("severity", "all"):
        assert "Fatal: " in whole and "fatal" in whole
    if what in ("state", "all"):
        assert "snoozed" in whole
    assert message.severity == slow(**LATER[what]).severity
    if message.blocks:
        assert problem_with({"text": message.text, "blocks": message.blocks}) == ""


@pytest.mark.parametrize("what", LATER)
@pytest.mark.parametrize("route", [Route(name="r"), Route(name="r", group_by=GROUP_BY, repeat_interval_s=600.0)])
def test_x12_it_passes_the_whole_policy(what: str, route: Route) -> None:
    """Opened, grouped with one that is known, held back, reminded of, ended; and the state is read again."""
    route = replace(route, rate_limit_count=2, rate_limit_window_s=1_000.0)
    notifier = Notifier(replace(CONFIG, routes=(route,)))
    notifier.take(slow("known", entity_id="known"), _later("a", what), _later("b", what)).after(1)
    for number in range(8):
        notifier.take(_later(f"more {number}", what, entity_id=f"w{number}")).after(300)
    notifier.take(_later("end", what, incident="a", state="resolved")).after(2_000).after(20_000)
    delivered = {one.anomaly_id for one in notifier.outcomes if one.channel == "slack" and one.outcome == "delivered"}
    assert {slow("known").id, _later("a", what).id, _later("b", what).id} <= delivered
    assert not [key for key in notifier.state if key.startswith(("due:", "held:", "pooled:"))]


def _later(name: str, what: str, **given: Any) -> Anomaly:
    return slow(name, **(LATER[what] | {"entity_id": name, "labels": {"image": "base:9"}} | given))


def test_x12_an_unknown_severity_reaches_every_threshold() -> None:
    notifier = Notifier(only("slack", severity="critical")).take(slow("a", severity="fatal")).deliver()
    assert len(notifier.sent) == 1
    notifier.take(slow("b", incident="a", state="ongoing", severity="critical")).deliver()
    assert notifier.reasons("slack")[-1] == "goes on, no more severe than before (fatal)"


@pytest.mark.parametrize(("kind", "outcome"), [("queue", "delivered"), ("score", "suppressed")])
def test_x12_a_silence_of_a_score_does_not_match_another_kind_of_the_same_id(kind: str, outcome: str) -> None:
    silence = action("s", "silence", entity="score:orders", until=NOON + timedelta(hours=1))
    notifier = Notifier(only("slack")).take(silence)
    notifier.take(slow("a", entity_kind=kind, entity_id="orders")).deliver()
    assert [one.outcome for one in notifier.outcomes if one.channel == "slack"] == [outcome]


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-320, 0.0])
@pytest.mark.parametrize("unit", ["s", "ratio", "points", "runs", "", "\n", "u" * 10_000])
def test_x12_a_number_of_any_size_in_any_unit_is_sent(value: float, unit: str) -> None:
    metrics = Metrics(
        current_value=value,
        baseline_value=value,
        deviation=value,
        z_score=value,
        confidence=0.5,
        unit=unit,
        direction="sideways",
        threshold=value,
    )
    notifier = Notifier().take(slow("a", anomaly_type="QueueGrowth", metrics=metrics, duration_s=abs(value)))
    notifier.after(300)
    assert {one.outcome for one in notifier.outcomes if one.channel in ("slack", "email")} == {"delivered"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PatternDeviation", "Pattern deviation"),
        ("QueueGrowth", "Queue growth"),
        ("queue_growth", "Queue growth"),
        ("queue_growth_IO", "Queue growth IO"),
        ("Li\u202edo\r\n", "Lido"),
    ],
)
def test_x12_an_unknown_type_is_made_readable(name: str, words: str) -> None:
    assert type_words(name) == words


BLANK = " ", "\t\n", "\u200b", "_"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("blank", BLANK)
def test_x12_a_blank_word_is_shown_as_unknown(blank: str, channel: str) -> None:
    found = slow(anomaly_type=blank, severity=blank, entity_name=blank.replace("_", " "))
    message = message_about(channel, found, CONFIG, "m", at_s=1.0)
    whole = message.title + message.text + message.html + json.dumps(message.blocks, ensure_ascii=False)
    assert "Unknown type in " in whole
    assert blank == "_" or "Unknown: " in message.text
    assert message.title.strip() and ":  in" not in whole
    if message.blocks:
        assert problem_with({"text": message.text, "blocks": message.blocks}) == ""


@pytest.mark.parametrize("channel", CHANNELS)
def test_x12_long_steps_are_cut_and_none_is_left_out_of_a_text(channel: str) -> None:
    found = slow(investigation_steps=[f"{number}: " + "x" * 10_000 for number in range(200)])
    message = message_about(channel, found, CONFIG, "m")
    whole = message.text + message.html + json.dumps(message.blocks)
    assert "x" * 990 in whole or channel.startswith("slack") or channel == "apprise"
    assert "x" * 1_001 not in whole and len(whole) < 2 * 200 * 1_100
    if channel in ("inbox", "email", "webhook"):
        assert all(f"{number}: x" in message.text for number in range(200))
