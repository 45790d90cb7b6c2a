"""From a record's bytes to a validated value, or `RefusedError` and nothing else; of several values all of them in it.

An event passes, in this order:
1. size and presence of the value,
2. the envelope, where headers or a frame name one; a source's own format becomes an event of ours (`sources/`),
3. one msgspec decode: types, limits, unknown fields left aside,
4. what no type says: text that can be stored, nesting, times, decimals.

What does not fit in step 3 is tried once more with its times and numbers as the contract writes them (`written`).

Cost of a 264-byte completion, all steps: 1.0 us on one core (CPython 3.11), 0.54 us of it msgspec.
"""

from codecs import BOM_UTF8
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from decimal import Decimal
from typing import Final, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from stream_detector.events.action import EDITS, Action
from stream_detector.events.anomaly import Anomaly
from stream_detector.events.checks import (
    check_decimal,
    check_not_future,
    check_plausible,
    check_record_time,
    check_storable,
    exact_decimal,
    invalid_value,
)
from stream_detector.events.completion import Completion
from stream_detector.events.detector_settings import DetectorSettings
from stream_detector.events.documents import BACKSLASH, MAX_BYTES, SHALLOW_BYTES, check_document
from stream_detector.events.excerpt import MAX_EXCERPT, mask_secrets
from stream_detector.events.headers import Headers, UnreadableHeaders
from stream_detector.events.inputs import INPUTS, Event, Kind
from stream_detector.events.notification import Notification
from stream_detector.events.reasons import refusal_for
from stream_detector.events.refused import RefusedError
from stream_detector.events.run_part import RunPart
from stream_detector.events.run_summary import RunSummary
from stream_detector.events.score import Score, WrittenScore
from stream_detector.events.score_run import ScoreRun
from stream_detector.events.sources import ENVELOPES
from stream_detector.events.start import Start, decode_start, is_start
from stream_detector.events.times import EARLIEST, FUTURE_MS, LATEST, LATEST_MS, epoch_ms
from stream_detector.events.unfold import only_event
from stream_detector.events.variant import has_key
from stream_detector.events.written import in_own_form

_T = TypeVar("_T")
_UTC: Final = UTC
"""A name of this module: a compiled function finds it in 2 ns, and that of an uncompiled one in 40."""


_COMPLETION_TYPE: Final = INPUTS["completion"].cloudevents_type
_SCORE_TYPE: Final = INPUTS["score"].cloudevents_type
_SCORE_RUN_TYPE: Final = INPUTS["score_run"].cloudevents_type
_completion: Final = msgspec.json.Decoder(Completion).decode
_score = msgspec.json.Decoder(WrittenScore).decode
_score_run = msgspec.json.Decoder(ScoreRun).decode
_action = msgspec.json.Decoder(Action).decode

_anomaly = msgspec.json.Decoder(Anomaly).decode
_run_summary = msgspec.json.Decoder(RunSummary).decode
_run_part = msgspec.json.Decoder(RunPart).decode
_notification = msgspec.json.Decoder(Notification).decode
_detector_settings = msgspec.json.Decoder(DetectorSettings).decode


def is_backfill(headers: Headers) -> bool:
    """The producer says: learn from it, never alert (header `mode: backfill`)."""
    return any(name == "mode" and value == b"backfill" for name, value in headers)


def decode_completion(value: bytes | None, headers: Headers, record_ms: int) -> Completion | Start:
    """The execution that has ended, or begun. `record_ms` is the record's timestamp.

    Before 2000 that is not believed, and allows any time.
    """
    event: Completion | Start = _read(value, headers, _completion, _COMPLETION_TYPE)
    if type(event) is Start:
        return _checked_start(event, record_ms)
    assert type(event) is Completion
    if record_ms > LATEST_MS:
        check_record_time(record_ms)
    started, finished = event.started_at, event.finished_at
    if not EARLIEST <= started <= finished < LATEST:
        check_plausible("started_at", started)
        check_plausible("finished_at", finished)
        raise invalid_value("end_before_start", "$.finished_at is before started_at; send the later time as the end")
    if epoch_ms(finished) >= record_ms + FUTURE_MS:  # a millisecond early: the exact look takes twice as long
        check_not_future("finished_at", finished, record_ms, started)
    if event.variant is not None:
        _check_variant(event.workflow_id, event.variant)
    if event.excerpt is not None:
        event = msgspec.structs.replace(event, excerpt=mask_secrets(event.excerpt)[-MAX_EXCERPT:])
    if started.tzinfo is not _UTC or finished.tzinfo is not _UTC:
        return msgspec.structs.replace(
            event, started_at=started.astimezone(_UTC), finished_at=finished.astimezone(_UTC)
        )
    return event


def _checked_start(event: Start, record_ms: int) -> Start:
    check_record_time(record_ms)
    started, queued = event.started_at, event.queued_at
    check_plausible("started_at", started)
    check_not_future("started_at", started, record_ms)
    if queued is not None:
        check_plausible("queued_at", queued)
        if queued > started:
            raise invalid_value(
                "end_before_start",
                "$.started_at is before queued_at; send the later time as the start, or no queued_at",
            )
        queued = queued.astimezone(_UTC)
    if event.variant is not None:
        _check_variant(event.workflow_id, event.variant)
    return msgspec.structs.replace(event, started_at=started.astimezone(_UTC), queued_at=queued)


def _check_variant(workflow_id: str, variant: str) -> None:
    if not has_key(workflow_id, variant):
        raise invalid_value(
            "too_long", "$.variant: too long together with workflow_id; shorten it, or write it in ASCII"
        )


def decode_score(value: bytes | None, headers: Headers, record_ms: int) -> Score:
    """The score, its decimals exactly as published."""
    read = _read(value, headers, _score, _SCORE_TYPE)
    check_plausible("scored_at", read.scored_at)
    check_record_time(record_ms)
    check_not_future("scored_at", read.scored_at, record_ms)
    score = exact_decimal("score", bytes(read.score))
    previous: Decimal | UnsetType | None = UNSET
    if read.previous_score is not UNSET:
        raw = bytes(read.previous_score)
        previous = None if raw == b"null" else exact_decimal("previous_score", raw)
    return Score(
        entity_id=read.entity_id,
        entity_name=read.entity_name,
        score=score,
        scored_at=read.scored_at.astimezone(_UTC),
        entity_type=read.entity_type,
        previous_score=previous,
        run_id=read.run_id,
        labels=read.labels,
        url=read.url,
    )


def decode_score_run(value: bytes | None, headers: Headers, record_ms: int) -> ScoreRun:
    """Where a scoring run stands."""
    event = _read(value, headers, _score_run, _SCORE_RUN_TYPE)
    check_plausible("at", event.at)
    check_record_time(record_ms)
    check_not_future("at", event.at, record_ms)
    return event if event.at.tzinfo is _UTC else msgspec.structs.replace(event, at=event.at.astimezone(_UTC))


def decode_action(value: bytes | None, headers: Headers, record_ms: int) -> Action:
    """What a person decided. All but a silence by matchers name what they are about."""
    event = _read(value, headers, _action, "stream_detector.action.v1")
    check_plausible("at", event.at)
    check_record_time(record_ms)
    check_not_future("at", event.at, record_ms)
    if not event.entity and not (event.kind == "silence" and event.matchers):
        raise invalid_value("missing_field", "$.entity is missing; send a state key such as workflow:nightly")
    if event.kind in EDITS and (event.anomaly_id is None or (event.anomaly is None) != (event.kind == EDITS[-1])):
        raise invalid_value("missing_field", f"$.anomaly_id or $.anomaly does not belong to {event.kind}")
    until = event.until
    if until is not None:
        check_plausible("until", until)
        until = until.astimezone(_UTC)
    return msgspec.structs.replace(event, at=event.at.astimezone(_UTC), until=until)


def decode_anomaly(value: bytes | None) -> Anomaly:
    """The anomaly; values of a later version are kept unchanged (`events/anomaly.py`)."""
    anomaly = _read_own(value, _anomaly)
    check_plausible("detected_at", anomaly.detected_at)
    check_storable("attempt", anomaly.attempt)
    return anomaly


def decode_run_summary(value: bytes | None) -> RunSummary:
    """The result of a scoring run."""
    summary = _read_own(value, _run_summary)
    check_plausible("ended_at", summary.ended_at)
    if summary.started_at is not None:
        check_plausible("started_at", summary.started_at)
    for name in ("scored", "failures", "expected", "anomaly_count", "part", "parts", "revision", "follow_up"):
        check_storable(name, getattr(summary, name))
    for number, each in enumerate(summary.anomalies):
        for name in ("previous", "current", "delta", "threshold"):
            check_decimal(f"anomalies[{number}].{name}", getattr(each, name))
    return summary


def decode_run_part(value: bytes | None, record_ms: int = -1) -> RunPart:
    """What one score, or one run event, means for its run."""
    part = _read_own(value, _run_part)
    check_record_time(record_ms)
    check_plausible("at", part.at)
    if part.published_at is not None:
        check_plausible("published_at", part.published_at)
    if part.anomaly is not None:
        check_plausible("anomaly.detected_at", part.anomaly.detected_at)
    for name in ("expected", "revision"):
        check_storable(name, getattr(part, name))
    return part


def decode_notification(value: bytes | None) -> Notification:
    """What became of a message."""
    return _read_own(value, _notification)


def decode_detector_settings(value: bytes | None) -> DetectorSettings:
    """The settings that judge, or a question or an answer about them."""
    return _read_own(value, _detector_settings)


def _read_own(value: bytes | None, decode: Callable[[bytes], _T]) -> _T:
    """Of topics that we write ourselves: no envelope and no limit of size, but the writer may be of a later version."""
    if value is None:
        raise RefusedError("decode", "null_value", "the record has no value")
    try:
        event = decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, value) from None
    if len(value) > SHALLOW_BYTES or BACKSLASH in value or not value.isascii():
        check_document(value)
    return event


def _read(value: bytes | None, headers: Headers, decode: Callable[[bytes], _T], own_type: str) -> _T:
    if value is None or len(value) > MAX_BYTES:
        raise _unfit(value, headers)
    if headers:
        value = _opened(value, headers, own_type)
    try:
        event = decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event, value = _read_foreign(value, headers, decode, own_type)
    if len(value) > SHALLOW_BYTES or BACKSLASH in value or not value.isascii():
        check_document(value)
    return event


def _unfit(value: bytes | None, headers: Headers) -> RefusedError:
    if isinstance(headers, UnreadableHeaders):
        return headers.refusal
    if value is None:
        return RefusedError("decode", "null_value", "the record has no value; send the event as its value")
    return RefusedError("decode", "too_large", f"{len(value)} bytes; send at most {MAX_BYTES}")


def _opened(value: bytes, headers: Headers, own_type: str) -> bytes:
    if isinstance(headers, UnreadableHeaders):
        raise headers.refusal
    for envelope in ENVELOPES:
        if envelope.is_announced(headers):
            return envelope.open(value, headers, own_type)
    return value


def _read_foreign(value: bytes, headers: Headers, decode: Callable[[bytes], _T], own_type: str) -> tuple[_T, bytes]:
    """What is not the bare event may still be one in an envelope that no header names, or in a source's own format.

    Or it is a start of an execution; or its times and numbers are written as other programs write them.
    """
    if own_type == _COMPLETION_TYPE:
        decode = cast(Callable[[bytes], _T], _end_or_start)
        if is_start(value):
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return decode(value), value
    inner = only_event(value.removeprefix(BOM_UTF8), headers, own_type)
    try:
        return decode(inner), inner
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        own = in_own_form(inner, own_type)
        if own is None:
            raise refusal_for(error, inner, own_type) from None
    try:
        return decode(own), inner
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_for(error, own, own_type) from None


def _end_or_start(value: bytes) -> Completion | Start:
    return decode_start(value) if is_start(value) else _completion(value)


DECODERS: dict[Kind, Callable[[bytes, Headers, int], Event]] = {
    "completion": decode_completion,
    "start": decode_completion,
    "score": decode_score,
    "score_run": decode_score_run,
}
"""By the kind of input: (value, headers, the record's timestamp) -> the event. Raises `RefusedError`."""


def decode_received(kind: Kind, value: bytes, headers: Headers, now_ms: int) -> Event:
    """The event of an HTTP request or of a line of a file: it is published now, so it has no start as its timestamp.

    Args:
        now_ms: when it was received; before 2000 it may have any time.

    Raises `RefusedError`, also for an execution that ends more than 10 minutes after that.
    """
    event = DECODERS[kind](value, headers, now_ms)
    if isinstance(event, Completion):
        check_not_future("finished_at", event.finished_at, now_ms)
    return event
