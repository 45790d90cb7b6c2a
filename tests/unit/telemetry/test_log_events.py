"""Each log event: one documented line, its metric, and nothing from an event that could break the line."""

import json
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from stream_detector.telemetry import log_events
from stream_detector.telemetry.log_events import EventRefused, LogEvent, MessageDone, RoleStarting, ServiceUnavailable
from stream_detector.telemetry.logs import start_logging

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")
ALL = LogEvent.__subclasses__()
SAMPLES = {str: "a", int: 1, float: 1.5, "str": "a", "int": 1, "float": 1.5}


@pytest.fixture(autouse=True)
def _logging_as_before():
    root, ours = logging.getLogger(), logging.getLogger("stream_detector")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.mark.parametrize("event", ALL, ids=lambda kind: kind.__name__)
def test_each_event_is_documented_with_its_level(event):
    row = re.search(rf"^\| `{event.__name__}` \| (\w+) \|", PAGE, re.MULTILINE)
    assert row, f"{event.__name__} is missing in docs/metrics.md"
    assert row[1] == logging.getLevelName(event.level).lower()


def test_the_page_names_no_event_that_does_not_exist():
    section = PAGE.partition("## Log lines")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == {kind.__name__ for kind in ALL}


@pytest.mark.parametrize("event", ALL, ids=lambda kind: kind.__name__)
def test_each_line_can_be_written_and_names_only_its_own_fields(event, caplog):
    sample = event(**{one.name: SAMPLES[one.type] for one in fields(event)})
    with caplog.at_level(logging.DEBUG, "stream_detector"):
        sample.emit()
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    assert "{" not in caplog.records[0].getMessage()


def test_hostile_text_stays_on_one_line_and_is_cut(caplog):
    hostile = "x\n23:59:59Z detector ERROR forged\x1b[2J\u2028" + "y" * 1000
    with caplog.at_level(logging.WARNING, "stream_detector"):
        EventRefused("scores", 0, 7, "not_json", hostile).emit()
    line = caplog.records[0].getMessage()
    assert "\\x0a23:59:59Z" in line and "\\x1b" in line and "\\x2028" in line
    assert line.isprintable() and len(line) < 700


def test_the_password_of_an_address_is_never_shown(caplog):
    with caplog.at_level(logging.WARNING, "stream_detector"):
        ServiceUnavailable("PostgreSQL", "postgresql://ann:pa/ss@w0rd@db:5432/x", "refused", 1.0).emit()
        ServiceUnavailable("PostgreSQL", "postgresql://ann:s3cret@db:5432/x", "refused", 1.0).emit()
    assert "s3cret" not in caplog.text and "w0rd" not in caplog.text
    assert "db:5432" in caplog.text


def test_refused_events_and_messages_are_counted():
    def counted(name, **labels):
        return REGISTRY.get_sample_value(name, labels) or 0

    refused = counted("stream_detector_dead_letters_total", reason="no_zone")
    failed = counted("stream_detector_notifications_total", channel="email", outcome="failed")
    EventRefused("scores", 0, 7, "no_zone", "scored_at has no zone").emit()
    MessageDone("m", "email", "failed", "550").emit()
    assert counted("stream_detector_dead_letters_total", reason="no_zone") == refused + 1
    assert counted("stream_detector_notifications_total", channel="email", outcome="failed") == failed + 1


def test_json_lines_keep_a_field_called_message_apart_from_the_line(capsys):
    start_logging("detector", form="json")
    EventRefused("scores", 0, 7, "no_zone", "why").emit()
    (line,) = capsys.readouterr().err.splitlines()
    shown = json.loads(line)
    assert shown["message"].startswith("rejected scores-0@7")
    assert shown["fields"]["message"] == "why"
    assert (shown["level"], shown["event"]) == ("warning", "EventRefused")
    assert shown["at"].endswith("Z")


def test_json_lines_keep_the_key_happening_with_its_former_names_for_one_release(capsys):
    start_logging("detector", form="json")
    EventRefused("scores", 0, 7, "no_zone", "why").emit()
    ServiceUnavailable("Kafka", "h:1", "refused", 1.0).emit()
    logging.getLogger("aiokafka").warning("gone")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["EventRefused", "ServiceUnavailable", "aiokafka"]
    assert [line["happening"] for line in lines] == ["EventRefused", "ServiceAway", "aiokafka"]


def test_text_lines_of_libraries_stay_one_line(capsys):
    start_logging("recorder")
    logging.getLogger("aiokafka").warning("bad %s", "a\nb")
    RoleStarting("recorder", "1", "h:1").emit()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("bad a\\nb") and "recorder" in lines[1]


def test_no_module_but_telemetry_logs():
    package = Path(log_events.__file__).parents[1]
    call = re.compile(r"\b(_?log|_?logger|logging)\.(debug|info|warning|error|exception|critical|log)\(")
    for module in package.rglob("*.py"):
        if module.relative_to(package).parts[0] != "telemetry":
            assert not call.search(module.read_text("utf-8")), f"{module} logs by itself; use a log event"
