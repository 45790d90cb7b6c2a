"""The benchmark of decoding measures every source, and what it decodes is an event."""

import pytest

from benchmarks import decode
from stream_detector.events.sources import SOURCES


def test_x20_every_source_has_its_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "ROUND_S", 0.001)
    figures = decode.measure(1)["us_per_event"]
    assert list(figures) == ["own", *SOURCES]
    for name, figure in figures.items():
        assert figure["us"] > 0 and figure.get("events", 1) == 1, name
