"""What a changelog record holds."""

import pytest

from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.changelog_record import SOURCES, StateFormatError


def decoded(value: bytes) -> tuple[int, dict[str, int], bytes]:
    return changelog_record.epoch_of(value), changelog_record.positions_of(value), changelog_record.payload_of(value)


def test_what_is_written_is_read():
    positions = {name: 1 << (40 + number) for number, name in enumerate(SOURCES)}
    value = changelog_record.encode_header(0xFFFFFFFF, positions) + b"payload"
    assert decoded(value) == (0xFFFFFFFF, positions, b"payload")
    assert changelog_record.header_of(value) + b"payload" == value
    assert not changelog_record.is_deleted(value)


def test_a_deleted_key_is_a_header_without_payload():
    value = changelog_record.encode_header(7, {"scores": 3})
    assert changelog_record.is_deleted(value)
    assert decoded(value) == (7, {"scores": 3}, b"")


def test_a_newer_version_is_refused_by_name():
    with pytest.raises(StateFormatError, match="version 2; this program knows version 1"):
        changelog_record.epoch_of(b"\x02" + changelog_record.encode_header(1, {})[1:])


def test_the_index_of_a_source_never_changes():
    """Stored values refer to it."""
    assert SOURCES[:7] == (
        "workflow-completions", "scores", "score-runs", "rekeyed", "run-parts", "operator-actions", "notifier-in",
    )  # fmt: skip
