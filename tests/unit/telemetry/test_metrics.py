"""Every metric is documented, has the stated name and cannot grow without bound."""

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from stream_detector.events.refused import Reason
from stream_detector.events.sources import LEFT_OUT
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.telemetry import metrics

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")
OURS = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)}


def _exposed(metric):
    (family,) = metric.describe()
    return family.name + ("_total" if family.type == "counter" else "")


BOUNDED = {
    "source": "topics, or the systems whose payloads are read",
    "field": "places that our readers name",
    "outcome": "a closed list",
    "type": "the anomaly types",
    "severity": "three",
    "topic": "topics",
    "partition": "partitions",
    "reason": "the refusal reasons",
    "table": "our tables",
    "channel": "our channels",
}


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_metric_is_documented_with_its_labels(name):
    row = re.search(rf"^\| `{_exposed(OURS[name])}` \| (.*?) \|", PAGE, re.MULTILINE)
    assert row, f"{_exposed(OURS[name])} is missing in docs/metrics.md"
    assert set(re.findall(r"`(\w+)`", row[1])) - {"le"} == set(OURS[name]._labelnames)


def test_the_page_names_no_metric_that_does_not_exist():
    known = {_exposed(metric) for metric in OURS.values()}
    assert set(re.findall(r"`(stream_detector_\w+)`", PAGE)) == known


@pytest.mark.parametrize("name", sorted(OURS))
def test_names_begin_alike_and_labels_hold_nothing_from_events(name):
    assert _exposed(OURS[name]).startswith("stream_detector_")
    assert set(OURS[name]._labelnames) <= set(BOUNDED)


def test_dead_letters_of_every_reason_stand_at_zero_from_the_start():
    reasons = {sample.labels["reason"] for family in metrics.DEAD_LETTERS.collect() for sample in family.samples}
    assert set(get_args(Reason)) <= reasons


def test_details_that_were_left_out_are_counted_once():
    labels = {"source": "github", "field": "$.somewhere"}
    LEFT_OUT["github", "$.somewhere"] += 2
    for more in (0, 0, 3):
        LEFT_OUT["github", "$.somewhere"] += more
        name = "stream_detector_source_details_left_out_total"
        assert REGISTRY.get_sample_value(name, labels) == 2 + more
    del LEFT_OUT["github", "$.somewhere"]


def test_failures_of_every_channel_stand_at_zero_from_the_start():
    metrics.start_notifications(CHANNELS)
    for channel in CHANNELS:
        labels = {"channel": channel, "outcome": "failed"}
        assert REGISTRY.get_sample_value("stream_detector_notifications_total", labels) is not None
