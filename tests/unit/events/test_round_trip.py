"""encode and decode are each other's inverse."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from stream_detector.events import Completion, Resource, Score, ScoreRun, Step
from stream_detector.events import examples as e
from stream_detector.events.completion import Status
from stream_detector.events.decode import (
    decode_action,
    decode_anomaly,
    decode_completion,
    decode_notification,
    decode_run_part,
    decode_run_summary,
    decode_score,
    decode_score_run,
)
from stream_detector.events.encode import encode
from stream_detector.events.run_part import EntityMembership, RunPart

_FAR_MS = 4_102_444_800_000
ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.none() | ids
statuses: st.SearchStrategy[Status] = st.sampled_from(
    ["success", "failure", "error", "timeout", "cancellation", "skip"]
)
seconds = st.floats(0, 1e12)
labels = st.dictionaries(ids, ids, max_size=4)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))
numbers = st.decimals(-(10**12), 10**12, places=4)

_LAST = datetime(2099, 12, 31, 23, tzinfo=UTC)


def _completion(took: timedelta, started_at: datetime, **fields: Any) -> Completion:
    return Completion(started_at=started_at, finished_at=max(started_at, min(started_at + took, _LAST)), **fields)


completions = st.builds(
    _completion,
    st.timedeltas(timedelta(), timedelta(days=2)),
    execution_id=ids,
    workflow_id=ids,
    status=statuses,
    started_at=instants,
    workflow_name=names,
    duration_s=st.none() | seconds,
    attempt=st.integers(1, 1_000_000),
    steps=st.lists(st.builds(Step, ids, st.none() | statuses, st.none() | seconds), max_size=4),
    resources=st.dictionaries(ids, st.builds(Resource, seconds, st.none() | st.floats(0.1, 1e12), names), max_size=3),
    labels=labels,
    url=st.none() | st.just("https://example.org/1"),
)
scores = st.builds(
    Score,
    entity_id=ids,
    entity_name=ids,
    score=numbers,
    scored_at=instants,
    entity_type=names,
    previous_score=st.just(UNSET) | st.none() | numbers,
    run_id=names,
    labels=labels,
)
score_runs = st.builds(
    ScoreRun,
    run_id=ids,
    status=st.sampled_from(["started", "completed", "failed"]),
    at=instants,
    expected=st.none() | st.integers(0, 1000),
    error=names,
)


@given(completions)
def test_completion(event: Completion) -> None:
    assert decode_completion(encode(event), (), _FAR_MS) == event


@given(scores)
def test_score(event: Score) -> None:
    again = decode_score(encode(event), (), _FAR_MS)
    assert again == event
    assert str(again.score) == str(event.score)


@given(score_runs)
def test_score_run(event: ScoreRun) -> None:
    assert decode_score_run(encode(event), (), _FAR_MS) == event


def test_what_we_write_ourselves() -> None:
    assert decode_anomaly(encode(e.ANOMALY)) == e.ANOMALY
    assert decode_run_summary(encode(e.RUN_SUMMARY)) == e.RUN_SUMMARY
    assert decode_notification(encode(e.NOTIFICATION)) == e.NOTIFICATION
    assert decode_action(encode(e.ACTION), (), _FAR_MS) == e.ACTION
    part = RunPart(run_id="r", kind="scored", at=e.ACTION.at, entity_id="lido", entity_name="Lido", anomaly=e.ANOMALY)
    assert decode_run_part(encode(part)) == part
    membership = EntityMembership(run_id="r", entities={"lido": "Lido"}, failed=["aave"])
    part = RunPart(run_id="roster~dao", kind="roster", at=e.ACTION.at, entity_type="dao", membership=membership)
    assert decode_run_part(encode(part)) == part


@pytest.mark.parametrize("text", ["5.80", "0", "-0.1", "1000000000000", "0.00000001"])
def test_decimals_are_written_as_numbers_with_their_digits(text: str) -> None:
    event = Score(entity_id="a", entity_name="a", score=Decimal(text), scored_at=e.ACTION.at)
    assert decode_score(encode(event), (), _FAR_MS).score.as_tuple() == Decimal(text).as_tuple()
