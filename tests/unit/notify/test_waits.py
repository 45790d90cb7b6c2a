"""X13: no answer of an outside server silences a channel beyond 15 min, and none of it goes unreported."""

import logging
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_detector.notify.channels.http import asked_wait_s
from stream_detector.notify.message import LONGEST_WAIT_S, Message, Refused, Result, RetryAfter
from stream_detector.notify.policy import due_deliveries
from stream_detector.notify.stages.deliver import Deliverer
from stream_detector.notify.stages.retry import GIVE_UP_AFTER_S, wait_before_retry_s
from stream_detector.notify.state.keys import keys_of, read, write
from stream_detector.notify.state.state_models import Due
from tests.unit.notify.living import OK, Notifier, only
from tests.unit.notify.subjects import slow
from tests.unit.notify.test_deliver import Answers, Clock, Doing, delivery, ok
from tests.unit.notify.test_self_monitoring import Failing, titles

DAYS = RetryAfter(99_999_999.0, "Slack answered 429")
NUMBERS = st.one_of(
    st.floats(), st.integers(), st.text(max_size=40), st.sampled_from(["NaN", "1e999", "-0", "٣", "1_0"])
)


@given(NUMBERS.map(str), NUMBERS.map(str), NUMBERS.map(str), st.text(max_size=200))
def test_x13_any_headers_and_any_body_give_a_wait_within_15_min(a: str, b: str, c: str, body: str) -> None:
    headers = {"Retry-After": a, "X-RateLimit-Reset": b, "x-ratelimit-reset-after": c}
    asked_s = asked_wait_s(headers, body)
    assert asked_s >= 0 and 0 <= RetryAfter(asked_s, "busy").after_s <= LONGEST_WAIT_S


@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner), max_leaves=9
    )
)
def test_x13_any_retry_after_in_a_body_is_read_or_ignored(value: object) -> None:
    for body in ({"retry_after": value}, {"parameters": {"retry_after": value}}, value):
        assert asked_wait_s({}, msgspec.json.encode(body, enc_hook=str).decode()) >= 0


NOW = datetime(2026, 1, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body", "asked_s"),
    [
        ({"retry-after": " 30 "}, "", 30.0),
        ({"Retry-After": "1.5"}, "", 1.5),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, "", 90.0),
        ({"Retry-After": "Sun Nov  6 08:49:37 1994"}, "", 0.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 +99999999"}, "", 0.0),
        ({"Retry-After": "soon", "X-RateLimit-Reset-After": "4.5"}, "", 4.5),
        ({"X-RateLimit-Reset": f"{NOW.timestamp() + 60:.3f}"}, "", 60.0),
        ({"X-RateLimit-Reset": f"{(NOW.timestamp() + 60) * 1000:.0f}"}, "", 60.0),
        ({"X-RateLimit-Reset": "1"}, "", 1.0),
        ({"X-RateLimit-Reset": "1000000000"}, "", 0.0),
        ({}, '{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}', 64.57),
        ({}, '{"ok":false,"error_code":429,"parameters":{"retry_after":14}}', 14.0),
        ({}, '{"retry_after": true}', 0.0),
        ({}, '{"retry_after": 1' + "0" * 400 + "}", 0.0),
        ({}, "[" * 100_000, 0.0),
        ({"Retry-After": "0"}, '{"retry_after": 3}', 3.0),
    ],
)
def test_x13_what_providers_send_is_understood(headers: dict[str, str], body: str, asked_s: float) -> None:
    given = {"Date": format_datetime(NOW, usegmt=True), **headers}
    assert asked_wait_s(given, body) == pytest.approx(asked_s, abs=0.001)


def test_x13_a_date_counts_from_the_providers_own_clock() -> None:
    """A worker whose clock is an hour behind would wait an hour longer, one an hour ahead not at all."""
    wrong = NOW - timedelta(hours=1)
    headers = {"Date": format_datetime(wrong, usegmt=True)}
    headers["Retry-After"] = format_datetime(wrong + timedelta(seconds=40), usegmt=True)
    assert asked_wait_s(headers) == 40.0


@pytest.mark.parametrize("asked_s", [math.nan, -math.inf, -1.0, -0.0])
def test_x13_what_is_no_wait_is_none(asked_s: float) -> None:
    assert RetryAfter(asked_s, "busy") == RetryAfter(0.0, "busy")


def test_x13_the_limit_is_in_the_reason() -> None:
    assert RetryAfter(900.0, "Slack answered 429; it asked for a pause of 99,999,999 s, limited to 15 min") == DAYS
    assert "more than 300 years" in RetryAfter(math.inf, "busy").reason
    assert RetryAfter(900.0, "busy").reason == "busy"


def test_x13_a_message_never_waits_for_longer_whoever_asks() -> None:
    waits = [wait_before_retry_s(str(n), "slack", tries, 899.0) for n in range(50) for tries in (1, 9, 10_000)]
    assert max(waits) == LONGEST_WAIT_S and min(waits) == 899.0


def test_x13_a_message_is_asked_again_every_15_min_until_it_is_given_up() -> None:
    notifier = Failing(only("slack"))
    notifier.answer = DAYS
    notifier.take(slow("a")).deliver()
    for _ in range(4 * 24 + 1):
        notifier.after(LONGEST_WAIT_S)
    assert notifier.counts("slack") == {"retrying": 96, "failed": 1}
    assert notifier.reasons("slack")[-1].startswith(f"given up after 97 tries in {GIVE_UP_AFTER_S:.0f} s")


def test_x13_a_channel_that_asks_for_days_is_reported_at_once_and_once() -> None:
    notifier = Failing().take(slow("a"))
    notifier.answer = DAYS
    notifier.deliver()
    assert titles(notifier, "inbox") == ["🔕 Channel slack does not deliver"]
    assert titles(notifier, "email") == ["GVS: 🔕 Channel slack does not deliver"]
    assert "Its last answer: Slack answered 429; it asked for a pause of 99,999,999 s" in notifier.got("email")[1]
    for _ in range(8):
        notifier.after(LONGEST_WAIT_S)
    assert len(titles(notifier, "inbox")) == 1
    notifier.answer = OK
    notifier.after(LONGEST_WAIT_S)
    assert titles(notifier, "inbox")[1:] == ["✅ Channel slack delivers again"]


def test_x13_shorter_pauses_are_reported_when_they_add_up_to_15_min() -> None:
    notifier = Failing().take(slow("a"))
    notifier.answer = RetryAfter(300.0, "Slack answered 429")
    notifier.deliver().after(300)
    assert titles(notifier, "inbox") == []
    notifier.after(300)
    assert titles(notifier, "inbox") == ["🔕 Channel slack does not deliver"]


def test_x13_a_single_short_pause_is_nobodys_news() -> None:
    notifier = Failing().take(slow("a"))
    notifier.answer = RetryAfter(60.0, "Slack answered 429")
    notifier.deliver()
    notifier.answer = OK
    notifier.after(60)
    assert titles(notifier, "inbox") == [] and notifier.got("slack")


def test_x13_a_channel_that_rests_is_no_way_to_report_another() -> None:
    notifier = Notifier(only("slack", "email", "inbox"))
    notifier.take(slow("a")).deliver(DAYS)
    notices = [one for one in notifier.outcomes if "ourselves" in one.reason]
    assert len(notices) >= 2, "both rest, and the inbox has both"


def test_x13_a_wait_in_the_state_that_another_clock_set_counts_for_nothing() -> None:
    """An earlier version kept any wait; and a clock may be set back."""
    notifier = Notifier(only("slack")).take(slow("a"))
    (key,) = keys_of(notifier.state, "due:")
    entry = read(notifier.state, key, Due)
    assert entry is not None
    for wait_s, due in ((1.0, False), (900.0, False), (901.0, True), (86_000.0, True)):
        write(notifier.state, key, msgspec.structs.replace(entry, tries=1, next_at_s=notifier.now_s + wait_s))
        assert bool(due_deliveries(notifier.state, notifier.now_s, notifier.config)) == due


async def test_x13_a_channel_rests_for_15_min_at_most_and_the_log_has_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, answers, results = Clock(), Answers(), list[Result]([DAYS] * 3 + [Refused("404"), DAYS])

    async def do(message: Message) -> Result:
        return results.pop(0)

    deliverer = Deliverer({"c": Doing(do), "other": Doing(ok)}, answers, clock=clock)
    with caplog.at_level(logging.INFO):
        for number in range(1, 6):
            assert deliverer.submit(delivery("1"))
            await answers.wait_for(number)
            if number != 4:
                assert not deliverer.submit(delivery("2"))
            clock.now_s += LONGEST_WAIT_S
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" ")[0] for line in lines] == ["nothing", "c", "nothing"]
    assert lines[0] == f"nothing is sent to c for 900 s: {DAYS.reason}. Then one message tries it again"
    await deliverer.stop()
