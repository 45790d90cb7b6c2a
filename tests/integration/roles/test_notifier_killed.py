"""kill -9 of the notifier between any two of its effects: nobody misses a message, at most one is sent twice."""

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from stream_detector.events.encode import encode
from stream_detector.kafka.end_offsets import EndOffsets, read_topic, total_lag
from stream_detector.kafka.topics import NOTIFICATIONS, owner_partition
from tests.drills.stage import Play
from tests.events_made import anomaly, uuid
from tests.servers.installation import wait_until
from tests.servers.slack import SlackServer, slack

__all__ = ["slack"]

EACH, MANY = 6, 40
LONG = "x" * 9_000
"""So long a description that the state of a few messages needs more than one batch, hence a journal."""
POINTS = [
    "decided", "alerts-acked:2", "journal-acked", "changelog-half", "changelog-acked:2", "committed:2", "submitted:2",
    "answered:2", "settled:2",
]  # fmt: skip
"""Decided; outcomes acknowledged; state written in part, and whole; committed; handed to a channel; answered by the
provider; the answer noted, and its outcome not yet appended."""
NEED_MANY = {"journal-acked", "changelog-half"}
SOME = ["decided", "journal-acked", "changelog-half", "answered:2"]
"""Where a message has gone and nobody knows it yet, or state is written in part; `make drills` kills at each point."""


@pytest.fixture
def broker(tansu: Any) -> Any:
    """The embedded one alone: what is tested lies on our side of it."""
    return tansu


@pytest.mark.parametrize("points", [SOME, pytest.param(POINTS, marks=pytest.mark.drill)], ids=["some", "all"])
async def test_a_message_is_sent_once_wherever_the_notifier_is_killed(
    play: Play, producer: Any, slack: SlackServer, points: list[str]
) -> None:
    play.settings = replace(
        play.settings, slack_webhook_url=slack.url, rate_limit_count=100_000, group_by="none", group_wait_s=0.0
    )
    names: list[str] = []

    async def publish(place: int) -> None:
        new = [f"{place} {number}" for number in range(MANY if points[place] in NEED_MANY else EACH)]
        names.extend(new)
        for name in new:
            value = encode(anomaly(name, entity_id=name, description=LONG, severity="critical"))
            await producer.send_and_wait(
                play.settings.topic("alerts"),
                value,
                key=name.encode(),
                partition=owner_partition(name, play.settings.partitions),
            )

    ends_of_life = [0]
    for place, point in enumerate(points):
        await publish(place)
        role = play.start("notifier", fault_point=point)
        await wait_until(lambda role=role: not role.alive, f"the kill at {point}")
        assert role.killed, f"{point}: {role.child.last_lines(5)}"
        ends_of_life.append(len(slack.accepted))
    standing = play.start("notifier")
    async with EndOffsets(play.settings) as ends:

        async def done() -> bool:
            assert standing.alive, standing.child.last_lines(5)
            notified = {one for text in _texts(slack) for one in text}
            return notified >= set(map(uuid, names)) and not total_lag(await ends.lags(), "notifier")

        await wait_until(done, "every message")
    notified = [one for text in _texts(slack) for one in text]
    assert set(notified) == set(map(uuid, names)) and len(notified) == len(slack.accepted)
    for point, first, end in zip(points, ends_of_life, ends_of_life[1:], strict=False):
        again = [name for name in notified[first:end] if name in notified[end:]]
        assert len(again) <= 1, f"after the kill at {point} {len(again)} messages were sent again"
    assert len(notified[ends_of_life[-1] :]) == len(set(notified[ends_of_life[-1] :])), "nobody was killed after that"
    outcomes = Counter[str]()
    async for record in read_topic(play.settings, NOTIFICATIONS):
        one = json.loads(record.value)
        outcomes[one["id"]] += one["channel"] == "slack" and one["outcome"] == "delivered"
    assert sum(count > 0 for count in outcomes.values()) == len(names)


def _texts(server: SlackServer) -> list[list[str]]:
    return [re.findall(r"/anomalies/([0-9a-f-]{36})", payload["text"]) for payload in server.accepted]


async def test_a_retry_that_is_due_survives_a_kill(play: Play, producer: Any, slack: SlackServer) -> None:
    play.settings = replace(play.settings, slack_webhook_url=slack.url, group_by="none", group_wait_s=0.0)
    slack.answer_next(429, "rate_limited", {"Retry-After": "4"})
    value = encode(anomaly("a", severity="critical"))
    await producer.send_and_wait(play.settings.topic("alerts"), value, key=b"a", partition=0)
    first = play.start("notifier")

    async def retrying() -> bool:
        said = [json.loads(record.value) async for record in read_topic(play.settings, NOTIFICATIONS)]
        return any(one["outcome"] == "retrying" and "try 2 in 4 s" in one["reason"] for one in said)

    await wait_until(retrying, "the answer to be noted")
    await asyncio.to_thread(first.kill)
    play.start("notifier")
    await wait_until(lambda: slack.accepted, "the message")
    assert slack.requests == 2 and len(slack.accepted) == 1


@pytest.mark.drill  # `make test` has tests/unit/roles/test_written_outcomes.py
@pytest.mark.parametrize("what", ["records", "a tick"])
async def test_x13_a_notifier_that_dies_at_the_same_place_at_each_start_writes_nothing_twice(
    play: Play, producer: Any, slack: SlackServer, what: str
) -> None:
    """It dies once its outcomes are acknowledged and before the state has them: while it decides about records, or, of
    a group wait, where no record comes any more."""
    by_records = what == "records"
    changes = {
        "session_timeout_s": 6.0,
        "rate_limit_count": 1,
        "group_by": "none",
        "group_wait_s": 0.0 if by_records else 3.0,
    }
    play.settings = replace(play.settings, slack_webhook_url=slack.url, **changes)
    for name in ("a", "b", "c"):
        value = encode(anomaly(name, entity_id=name, severity="critical"))
        await producer.send_and_wait(play.settings.topic("alerts"), value, key=name.encode(), partition=0)

    async def written() -> list[str]:
        return [json.loads(record.value)["id"] async for record in read_topic(play.settings, NOTIFICATIONS)]

    counts = []
    for place in range(3):
        first = ":2" if by_records else ":3"
        role = play.start("notifier", fault_point="alerts-acked" + (first if not place else ":1"))
        await wait_until(lambda role=role: not role.alive, f"end {place + 1}")
        assert role.killed, role.child.last_lines(5)
        counts.append(len(await written()))
    assert counts[0] > 0 and set(counts) == {counts[0]}
    standing = play.start("notifier")
    await wait_until(lambda: slack.accepted, "the message")
    async with EndOffsets(play.settings) as ends:

        async def done() -> bool:
            assert standing.alive, standing.child.last_lines(5)
            return not total_lag(await ends.lags(), "notifier") and len(await written()) > counts[0]

        await wait_until(done, "what is left")
    found = await written()
    assert len(found) == len(set(found))
