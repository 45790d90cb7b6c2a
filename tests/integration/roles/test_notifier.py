"""Detector and notifier on a real broker: runs that end, runs that never do, scores without a run, a dead channel."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stream_detector.detect.runs import run_part_of, window_run_id
from stream_detector.events import Score
from stream_detector.events.encode import encode
from stream_detector.kafka.dlq import read_dead_letters, retry
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import (
    ALERTS,
    NOTIFICATIONS,
    RUN_PARTS,
    RUN_SUMMARIES,
    SCORE_RUNS,
    SCORES,
    owner_partition,
)
from tests.drills.harms import DEFECTIVE_FOR
from tests.drills.stage import Play
from tests.events_made import anomaly
from tests.servers.installation import wait_until
from tests.servers.slack import SlackServer, slack
from tests.servers.smtp import MailServer, mail_server
from tests.unit.detect.events_of import entity, feed, score

__all__ = ["mail_server", "slack"]
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


@pytest.fixture
def broker(tansu: Any) -> Any:
    """The embedded one alone: what is tested lies on our side of it."""
    return tansu


@pytest.fixture
async def put(play: Play, producer: Any) -> Any:
    """Publishes one value, as JSON where it is a dict, as late as it says."""

    async def send(topic: str, key: str, value: Any, *, ago_s: float = 0.0) -> None:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        stamp_ms = round((time.time() - ago_s) * 1000)
        place = owner_partition(key, play.settings.partitions)
        name = play.settings.topic(topic)
        await producer.send_and_wait(name, raw, key=key.encode(), partition=place, timestamp_ms=stamp_ms)

    return send


async def read(play: Play, topic: str) -> list[dict[str, Any]]:
    return [json.loads(record.value) async for record in read_topic(play.settings, topic)]


def a_run(run_id: str, status: str, minutes: float, expected: int) -> dict[str, Any]:
    at = (START + timedelta(minutes=minutes)).isoformat()
    return {"run_id": run_id, "status": status, "at": at, "expected": expected}


def a_score(name: str, run_id: str, value: float, minutes: float) -> dict[str, Any]:
    at = (START + timedelta(minutes=minutes)).isoformat()
    return {"entity_id": name.lower(), "entity_name": name, "score": value, "scored_at": at, "run_id": run_id}


async def test_s25_s27_s28_a_run_is_reported_at_its_end_and_a_failing_provider_fails_no_run(
    play: Play, put: Any, slack: SlackServer, mail_server: MailServer
) -> None:
    play.settings = replace(
        play.settings,
        slack_webhook_url=slack.url,
        smtp_url=mail_server.url,
        email_from="a@example.org",
        email_to="b@example.org",
    )
    slack.answer_next(500, "no")
    mail_server.answer_next("451 later")
    for role in ("detector", "notifier"):
        play.start(role)
    for run_id, values, minutes in (("first", (7.5, 5.0), 0.0), ("second", (5.8, 5.8), 30.0)):
        await put(SCORE_RUNS, run_id, a_run(run_id, "started", minutes, 2))
        for name, value in zip(("Lido", "Balancer"), values, strict=True):
            await put(SCORES, name.lower(), a_score(name, run_id, value, minutes + 1))
        if run_id == "first":
            await put(SCORE_RUNS, run_id, a_run(run_id, "completed", minutes + 5, 2))

    async def found(count: int) -> bool:
        return len(await read(play, ALERTS)) == count

    await wait_until(lambda: found(2), "S25: both changes on `alerts` before the run ends")
    assert slack.requests == 0 and mail_server.sessions == 0, "S25: messages go at the end of the run"
    await put(SCORE_RUNS, "second", a_run("second", "completed", 35, 2))
    await wait_until(lambda: slack.accepted and mail_server.mails, "S27: both messages, at the second try")
    assert len(slack.accepted) == len(mail_server.mails) == 1 and slack.requests == 2
    assert [line for line in slack.accepted[0]["text"].splitlines() if line.startswith("•")] == [
        "• Lido: 7.5 → 5.8 (-1.7) ⬇️",
        "• Balancer: 5.0 → 5.8 (+0.8) ⬆️",
    ]
    summaries = {one["run_id"]: one for one in await read(play, RUN_SUMMARIES)}
    counts = {name: (one["status"], one["scored"], one["anomaly_count"]) for name, one in summaries.items()}
    assert counts == {"first": ("completed", 2, 0), "second": ("completed", 2, 2)}, "S28"


def part(run_id: str, name: str) -> bytes:
    """What the detector says of a score of a run that it found to have changed."""
    given: dict[str, Any] = {"entity_id": name.lower(), "entity_name": name}
    changed = score("5.8", 1, run_id=run_id, **given)
    made = run_part_of(changed, feed(entity(), [score("7.5", run_id="q", **given), changed])[1], failed=False)
    assert made is not None and made.anomaly is not None
    return encode(made)


async def test_a_run_that_never_ends_is_reported_after_15_minutes_and_scores_without_one_after_a_minute(
    play: Play, put: Any, slack: SlackServer
) -> None:
    """The embedded broker stamps nothing, so the detector goes by how long it has read nothing of a run; here by a
    clock that is 60 times as fast."""
    play.settings = replace(play.settings, slack_webhook_url=slack.url, rate_limit_count=50)
    window = window_run_id(
        Score(entity_id="x", entity_name="X", score=score("1").score, scored_at=START, entity_type="dao")
    )
    began_s = time.monotonic()
    for name, ago_s in (("Old", 9_999.0), ("Dated", -9_999.0)):  # whatever stamped them
        await put(RUN_PARTS, f"run of {name}", part(f"run of {name}", name), ago_s=ago_s)
    for name in ("Lone", "Lorn"):
        await put(RUN_PARTS, window, part(window, name))
    play.start("detector", change="fast-run-clock")
    play.start("notifier")
    await wait_until(lambda: slack.accepted, "the minute without a run")
    await wait_until(lambda: len(slack.accepted) == 3, "the runs that never ended")
    assert time.monotonic() - began_s > 15
    first, *texts = [payload["text"] for payload in slack.accepted]
    assert "• Lone: 7.5 → 5.8 (-1.7) ⬇️\n• Lorn: 7.5 → 5.8 (-1.7) ⬇️" in first
    for name, text in zip(("Dated", "Old"), sorted(texts), strict=True):
        assert "did not end within 15 m" in text and f"{name}: 7.5 → 5.8 (-1.7) ⚠️ SIGNIFICANT CHANGE" in text
    summaries = {one["run_id"]: one["status"] for one in await read(play, RUN_SUMMARIES)}
    assert summaries == {window: "completed", "run of Old": "timed_out", "run of Dated": "timed_out"}


async def test_w31_a_dead_channel_delays_nobody_is_reported_once_elsewhere_and_loses_nothing(
    play: Play, put: Any, slack: SlackServer, mail_server: MailServer
) -> None:
    play.settings = replace(
        play.settings,
        slack_webhook_url=slack.url,
        smtp_url=mail_server.url,
        email_from="a@example.org",
        email_to="b@example.org",
        rate_limit_count=50,
        group_by="none",
        group_wait_s=0.0,
    )
    names = [f"w{number}" for number in range(7)]
    for _ in range(5):
        slack.answer_next(500, "no")
    for name in names:
        await put(ALERTS, name, encode(anomaly(name, entity_id=name, entity_name=name, severity="critical")))
    notifier = play.start("notifier")
    await wait_until(lambda: len(mail_server.mails) == len(names) + 1, "every mail, and the notice about Slack")
    assert slack.accepted == [] and slack.requests == 5, "it rests"
    notices = [str(mail["Subject"]) for mail in mail_server.mails if "does not deliver" in str(mail["Subject"])]
    assert notices == ["GVS: 🔕 Channel slack does not deliver"]
    await wait_until(lambda: len(slack.accepted) == len(names), "every message, once Slack is back")
    notified = {payload["blocks"][0]["text"]["text"].rpartition(" ")[2] for payload in slack.accepted}
    assert notified == set(names)

    async def settled() -> bool:
        said = await read(play, NOTIFICATIONS)
        back = [one["title"] for one in said if one["channel"] == "inbox" and "Channel slack" in one["title"]]
        return sorted(back) == ["✅ Channel slack delivers again", "🔕 Channel slack does not deliver"]

    await wait_until(settled, "the inbox to know that it is back")
    assert notifier.alive and len(slack.accepted) == len(names)


async def test_a_record_that_the_policy_cannot_process_is_on_dead_letters_and_stops_nothing(
    play: Play, put: Any, slack: SlackServer
) -> None:
    play.settings = replace(play.settings, slack_webhook_url=slack.url, group_by="")
    notifier = play.start("notifier", change="defective-policy")
    for name in ("first", DEFECTIVE_FOR, "second"):
        found = anomaly(name, severity="critical", entity_id=name, entity_name=name)
        await put(ALERTS, name, encode(found))
    await wait_until(lambda: len(slack.accepted) == 2, "the messages before and after the defect")
    assert notifier.alive and not any(DEFECTIVE_FOR in json.dumps(one) for one in slack.accepted)
    await play.drained("notifier")
    (letter,) = [each async for each in read_dead_letters(play.settings)]
    assert json.loads(letter.value or b"")["entity_id"] == DEFECTIVE_FOR
    assert (letter.why.topic, letter.why.reason) == (ALERTS, "step_failed")
    assert "stream-detector-origin" not in dict(letter.why.headers), "of the copy on `notifier-in` alone"
    # Nothing of the decision was kept, so a version without the defect processes the record when it is retried.
    notifier.stop()
    play.start("notifier")
    await retry(play.settings, letter)
    await wait_until(lambda: len(slack.accepted) == 3, "the message of the record that was retried")
    assert DEFECTIVE_FOR in json.dumps(slack.accepted[2])
