"""What the command line prints of anomalies: a line each, whatever their names hold."""

import pytest

from stream_detector.cli import queries

HOSTILE = "Li\u202edo\n2026-01-01 00:00 UTC  critical  x\x1b[2J\u2028y\x9b1m"


def test_an_anomaly_is_one_line_that_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "id": "6f1f7d3e-52c2-5f0a-9a41-000000000001",
        "detected_at": "2026-01-22T00:05:00Z",
        "severity": "warning",
        "entity_name": HOSTILE,
        "anomaly_type": HOSTILE,
        "description": HOSTILE,
    }
    queries._lines([found, found])
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 2 and all(line.isprintable() for line in printed.splitlines())
