"""X9: what was published long after it happened is one message a channel and hour; what waited for us is sent.

The record alone decides: its timestamp less the event's own time.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from stream_detector.events import Anomaly, RunSummary
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.stages.old_events import EVERY_S, LONGEST_S, LULL_S
from tests.events_made import action, score_change, uuid
from tests.servers.slack import problem_with
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import BALANCER, CONFIG, ENDED, LIDO, run_of, slow

PUBLISHED = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ROUTED = NotifyConfig(
    channels={"inbox": True, "slack": True, "email": True}, base_url="https://gvs.example.org", rate_limit_count=5
)


def at(name: str, happened: datetime, published: datetime | None = PUBLISHED, **given: Any) -> Anomaly:
    values = {"incident": name, "detected_at": happened, "published_at": published, "entity_name": name}
    return slow(name, **(values | given))


def notifier(config: NotifyConfig = ROUTED) -> Notifier:
    one = Notifier(config)
    one.now_s = PUBLISHED.timestamp() + 2
    return one


def history(count: int) -> list[Anomaly]:
    """`count` anomalies of 1 September to 20 November."""
    first = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
    step = (datetime(2026, 11, 20, 8, 0, tzinfo=UTC) - first) / (count - 1)
    return [at(f"h{n}", first + n * step, severity=("warning", "critical")[n % 4 == 0]) for n in range(count)]


def test_x9_a_history_that_is_published_now_is_one_message_a_channel() -> None:
    one = notifier().take(*history(312)).after(LULL_S)
    shown = "from=2026-09-01T08:00:00Z&to=2026-11-20T08:00:01Z&severity=critical,warning&state=opened"
    sent = [each.message for each in one.sent]
    assert [(each.channel, each.severity) for each in sent] == [("slack", "info"), ("email", "info")]
    for text in (*one.got("slack"), *one.got("email")):
        assert text.startswith("🔵 312 anomalies of 1 Sep to 20 Nov, published only now; not sent one by one\n")
        assert "78 critical, 234 warning, between 2026-09-01 08:00 UTC and 2026-11-20 08:00 UTC" in text
        assert f"Dashboard: https://gvs.example.org/anomalies?{shown}" in text.replace("amp;", "")
    slack = one.sent[0].message
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == ""
    assert shown.replace("&", "&amp;") + "|View dashboard" in str(slack.blocks)
    assert one.counts("inbox") == {"suppressed": 312, "delivered": 1}, "the inbox, too"
    reasons = {each.reason for each in one.outcomes if each.outcome == "suppressed"}
    assert any(reason.startswith("published 90 d 1 h after it happened, more than 1 d") for reason in reasons)
    assert one.after(EVERY_S).after(EVERY_S).after(EVERY_S).sent == one.sent[:2]
    assert not [key for key in one.state if key.startswith("old:")]


def test_x9_while_it_comes_there_is_one_message_an_hour_and_one_at_the_end() -> None:
    one, events = notifier(), history(2_000)
    for number, event in enumerate(events):
        one.take(event)
        if number % 5 == 0:
            one.after(20)  # 2.2 hours in all
    one.after(EVERY_S)
    counted = [int(text.split()[1].replace(",", "")) for text in one.got("slack")]
    assert len(counted) == 4 and sum(counted) == 2_000
    assert LONGEST_S < EVERY_S and counted[0] < 200


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=23, minutes=59), DAY, timedelta(hours=-5)])
def test_x9_what_was_published_within_a_day_is_sent(late: timedelta) -> None:
    one = notifier().take(at("a", PUBLISHED - late)).deliver()
    assert len(one.sent) == 2, "also of a producer whose clock is hours behind or ahead"


def test_x9_one_second_over_a_day_is_counted() -> None:
    one = notifier().take(at("a", PUBLISHED - DAY - timedelta(seconds=1))).after(LULL_S)
    assert one.got("slack")[0].startswith("🔵 1 anomaly of 29 Nov, published only now; not sent one by one")


@pytest.mark.parametrize("away_days", [1.5, 12, 30])
def test_x9_what_is_old_because_we_were_away_is_sent_with_a_digest_above_the_limit(away_days: float) -> None:
    one = notifier()
    one.now_s += away_days * 86_400
    for number in range(8):
        one.take(at(f"a{number}", PUBLISHED - timedelta(minutes=number)))
    one.deliver().after(3_600)
    assert [sent.message.state for sent in one.sent if sent.message.channel == "slack"] == ["opened"] * 5 + ["digest"]
    assert "2026-11-30 09:00 UTC" in one.got("slack")[0], "it says when it happened"
    assert one.got("slack")[5].count("2026-11-30 08:5") == 3
    assert one.counts("inbox") == {"delivered": 8}


@pytest.mark.parametrize("published", [None, PUBLISHED - 89 * DAY])
def test_x9_where_the_record_has_no_time_or_the_events_own_it_cannot_be_known(published: datetime | None) -> None:
    """An older detector names none; a producer that stamps records with the event's time is documented."""
    one = notifier().take(at("a", PUBLISHED - 89 * DAY, published)).deliver()
    assert len(one.sent) == 2


def test_x9_it_can_be_switched_off_and_the_limit_is_a_setting() -> None:
    old = at("a", PUBLISHED - 2 * DAY)
    assert len(notifier(replace(ROUTED, max_age_s=0.0)).take(old).deliver().sent) == 2
    assert len(notifier(replace(ROUTED, max_age_s=3 * 86_400.0)).take(old).deliver().sent) == 2
    assert notifier(replace(ROUTED, max_age_s=3_600.0)).take(old).deliver().sent == []


def test_x9_what_happens_amid_a_history_is_sent_at_once() -> None:
    one = notifier()
    for event in history(50):
        one.take(event)
    one.take(at("now", PUBLISHED)).deliver()
    assert one.got("slack")[0].startswith("🔴 Critical: Performance degradation in now")


def test_x9_only_what_would_have_been_sent_is_counted() -> None:
    route = Route(name="p", match={"name": ("h8",)}, channels=("email",))
    one = notifier(replace(ROUTED, severity="critical", routes=(route,)))
    one.take(action("1", "silence", entity="workflow:w", until=PUBLISHED + DAY), *history(40))
    one.take(at("s", PUBLISHED - 9 * DAY, entity_id="w")).after(LULL_S)
    assert one.got("slack")[0].startswith("🔵 9 anomalies of 1 Sep to ")
    assert one.got("email")[0].startswith("🔵 10 anomalies of ")


def test_x9_an_incident_of_a_history_has_no_end_to_send_and_its_rise_now_is_sent() -> None:
    old = at("a", PUBLISHED - 9 * DAY, severity="warning")
    end = at("e", PUBLISHED - 8 * DAY, incident="a", state="resolved", severity="info", duration_s=60.0)
    one = notifier().take(old, end).after(LULL_S)
    assert one.got("slack")[0].startswith("🔵 1 anomaly") and "its opening was not sent here" in one.reasons("slack")
    worse = at("w", PUBLISHED, incident="b", state="ongoing", severity="critical")
    one.take(at("b", PUBLISHED - 9 * DAY, incident="b", severity="warning"), worse).deliver()
    assert one.got("slack")[-1].startswith("🔴 Critical: Performance degradation in w")


def test_x9_w36_what_goes_on_in_a_history_is_no_further_opening() -> None:
    openings = [at(f"o{n}", PUBLISHED - (9 - n) * DAY, severity="warning") for n in range(3)]
    worse = [replace_of(one, f"w{one.id}", state="ongoing", severity="critical") for one in openings]
    ends = [replace_of(one, f"e{one.id}", state="resolved", severity="info", duration_s=60.0) for one in openings]
    one = notifier().take(*openings, *worse, *ends).after(LULL_S)
    for channel in ("slack", "email"):
        (text,) = one.got(channel)
        assert "3 anomalies of 21 Nov to 23 Nov" in text and "3 warning, between" in text and "critical" not in text
    assert any("only openings are counted" in reason for reason in one.reasons("slack"))
    assert notifier().take(*worse).after(LULL_S).sent == []


def replace_of(opened: Anomaly, name: str, **given: Any) -> Anomaly:
    return msgspec.structs.replace(opened, id=uuid(name), **given)


def test_x9_the_link_covers_a_run_from_its_start_and_a_minute_from_its_beginning() -> None:
    started = run_of(LIDO, published_after_s=9 * 86_400.0, started_at=ENDED - timedelta(minutes=20))
    window = run_of(
        LIDO, run_id="window~~2026-01-22T00:05Z", published_after_s=9 * 86_400.0, ended_at=ENDED + timedelta(seconds=59)
    )
    for run, first in ((started, "2026-01-21T23:45:00Z"), (window, "2026-01-22T00:05:00Z")):
        assert f"from={first}&to=" in notifier().take(run).after(LULL_S).got("email")[0]


def test_x9_the_end_of_what_was_sent_is_sent_however_late_it_was_published() -> None:
    one = notifier().take(at("a", PUBLISHED - 3 * DAY, PUBLISHED - 3 * DAY)).deliver()
    end = at("e", PUBLISHED - 2 * DAY, incident="a", state="resolved", severity="info", duration_s=60.0)
    assert one.take(end).deliver().got("slack")[-1].startswith("✅ Resolved")


def old_run(run_id: str, after_s: float | None) -> RunSummary:
    return msgspec.structs.replace(run_of(LIDO, BALANCER, run_id=run_id), published_after_s=after_s)


def test_x9_runs_of_a_history_are_counted_with_all_their_score_changes() -> None:
    one = notifier(replace(CONFIG, channels={"inbox": True, "slack": True, "email": True}))
    one.take(*(old_run(f"r{n}", 312 * 86_400.0) for n in range(20))).after(LULL_S)
    assert one.got("slack")[0].startswith("🔵 40 anomalies of 22 Jan, published only now")
    assert not [key for key in one.state if key.startswith("part:")]
    for after_s in (None, 60.0):
        assert len(one.take(old_run(f"now {after_s}", after_s)).deliver().got("slack")) == (2 if after_s is None else 3)


def test_x9_the_inbox_counts_each_score_change_of_a_history() -> None:
    changed = [score_change(f"s{n}", detected_at=PUBLISHED - 9 * DAY, published_at=PUBLISHED) for n in range(30)]
    one = notifier().take(*changed).after(LULL_S)
    assert one.counts("inbox") == {"suppressed": 30, "delivered": 1} and one.got("slack") == []


def test_x9_counting_twice_after_a_crash_is_counting_once() -> None:
    first, second = notifier(), notifier()
    events = history(20)
    first.take(*events, *events).after(LULL_S).after(EVERY_S)
    second.take(*events).after(LULL_S).after(EVERY_S)
    assert first.got("slack") == second.got("slack") and len(first.got("slack")) == 1
