"""X32: one message for one cause. What would break it: many at once, one after the other over hours, a channel that
cannot change its messages, ends that come as a storm, a source that is silent, a restart between any two steps."""

import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from stream_detector.events.source_census import SourceCensus
from stream_detector.notify.config import Route
from stream_detector.notify.links import verify
from stream_detector.notify.message import Delivered
from stream_detector.notify.stages.silent_sources import missed_of
from stream_detector.notify.state.slotted_store import Slot, SlottedStore
from tests.unit.notify.absent import Watching, came, census, minutes, missed, silence
from tests.unit.notify.living import NOW_S, only
from tests.unit.notify.subjects import CONFIG, slow

SLACK = only("slack", rate_limit_count=1000)
NAMES = [f"job-{number:02}" for number in range(40)]


def test_x32_the_first_three_are_sent_one_by_one_and_the_fourth_within_an_hour_begins_one_message() -> None:
    notifier = Watching(SLACK)
    for number, name in enumerate(NAMES[:6]):
        notifier.take(missed(name, minutes(10 * number))).after(600)
    assert notifier.titles("slack") == [
        "Warning: Missed run of job-00",
        "Warning: Missed run of job-01",
        "Warning: Missed run of job-02",
        "🟠 4 missed runs of jenkins",
    ]
    assert (
        notifier.reasons("slack")[-1] == "one message for the missed runs of jenkins, 6 so far; it is sent again at 10"
    )


def test_x32_many_at_once_are_three_messages_and_one_and_it_is_sent_again_at_10_30_and_100() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:5])).after(10)
    assert notifier.titles("slack")[3:] == ["🟠 5 missed runs of jenkins"]
    for name in NAMES[5:35]:
        notifier.take(missed(name, minutes(5))).after(61)
    assert notifier.titles("slack")[4:] == ["🟠 10 missed runs of jenkins", "🟠 30 missed runs of jenkins"]
    assert "job-29" in notifier.got("slack")[-1] or "more on the dashboard" in notifier.got("slack")[-1]
    notifier.take(*(missed(f"more-{number}", minutes(50)) for number in range(70))).after(61)
    assert notifier.titles("slack")[6:] == ["🟠 105 missed runs of jenkins"]


def test_x32_runs_that_are_missed_more_than_an_hour_apart_are_sent_one_by_one() -> None:
    notifier = Watching(SLACK)
    for number, name in enumerate(NAMES[:6]):
        notifier.take(missed(name, minutes(61 * number))).after(61 * 60)
    assert len(notifier.titles("slack")) == 6 and not any("missed runs" in one for one in notifier.titles("slack"))


def test_x32_sources_do_not_share_a_message_and_one_without_a_name_counts_as_one() -> None:
    notifier = Watching(SLACK)
    for name in NAMES[:3]:
        notifier.take(missed(name), missed(f"{name}-gh", source="github"), missed(f"{name}-plain", source=None))
    notifier.after(10)
    assert len(notifier.titles("slack")) == 9 and not any("missed runs" in one for one in notifier.titles("slack"))
    notifier.take(missed("a", source="github"), missed("b", source=None)).after(10)
    assert sorted(notifier.titles("slack")[9:]) == ["🟠 4 missed runs of github", "🟠 4 missed runs of kafka"]


def test_x32_the_ends_of_a_joined_message_are_one_message_when_the_last_of_it_has_ended() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:8])).after(10)
    assert len(notifier.sent) == 4
    for number, name in enumerate(NAMES[:8]):
        notifier.take(came(name, minutes(30 + number))).after(61)
    notifier.after(61)
    assert notifier.titles("slack")[4:] == [
        "Resolved: Missed run of job-00",
        "Resolved: Missed run of job-01",
        "Resolved: Missed run of job-02",
        "✅ Resolved: 5 missed runs of jenkins",
    ]
    assert notifier.got("slack")[-1].count("✅ Resolved: Missed run of job-0") == 5
    notifier.after(86_400)
    assert len(notifier.sent) == 8
    # The next morning is a new story.
    notifier.take(missed("job-04", minutes(1440))).after(10)
    assert notifier.titles("slack")[8:] == ["Warning: Missed run of job-04"]


def test_x32_a_part_of_the_ends_is_no_message_where_a_message_cannot_be_changed() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:8])).after(10)
    notifier.take(came("job-06", minutes(30)), came("job-07", minutes(30))).after(61).after(14_400)
    assert len(notifier.sent) == 4
    assert "its end is sent with that of the other missed runs of jenkins" in notifier.reasons("slack")


def test_x32_where_a_message_can_be_changed_it_is_brought_up_to_date() -> None:
    channels = {"slack_bot": True}
    notifier = Watching(replace(CONFIG, channels=channels, rate_limit_count=1000, group_interval_s=60.0))
    named = Delivered("ok", reference="C1 17.1")
    for number, name in enumerate(NAMES[:7]):
        notifier.take(missed(name, minutes(number))).after(61, named)
    titles = notifier.titles("slack_bot")
    assert titles[3:] == [f"🟠 {many} missed runs of jenkins" for many in (4, 5, 6, 7)]
    changed = [one.message.reference for one in notifier.sent]
    assert changed == ["", "", "", "", "C1 17.1", "C1 17.1", "C1 17.1"]
    last = notifier.sent[-1].message.text
    assert [f"Missed run of job-0{number}" in last for number in range(7)] == [False] * 3 + [True] * 4
    for name in NAMES[3:7]:
        notifier.take(came(name, minutes(60)))
    notifier.after(61, named)
    assert notifier.titles("slack_bot")[-1] == "✅ Resolved: 4 missed runs of jenkins"


def test_x32_the_inbox_has_them_joined_too() -> None:
    notifier = Watching(only("inbox")).take(*(missed(name) for name in NAMES[:12])).after(10)
    assert notifier.inbox() == [
        "Warning: Missed run of job-00",
        "Warning: Missed run of job-01",
        "Warning: Missed run of job-02",
        "🟠 12 missed runs of jenkins",
    ]
    for name in NAMES[:12]:
        notifier.take(came(name, minutes(30)))
    notifier.after(61).after(61)
    assert sorted(notifier.inbox()[4:]) == [
        *(f"Resolved: Missed run of job-0{number}" for number in range(3)),
        "✅ Resolved: 9 missed runs of jenkins",
    ]


def test_x32_a_silent_source_is_one_message_and_its_end_another() -> None:
    notifier = Watching(replace(CONFIG, channels={"inbox": True, "slack": True, "email": True}))
    notifier.take(*(missed(name, minutes(number / 10)) for number, name in enumerate(NAMES[:21])))
    notifier.after(2).know(census(absent=21)).after(10)
    assert notifier.titles("slack") == [
        "🔕 No events from jenkins since 11:30 UTC: 21 of 40 scheduled workflows did not come"
    ]
    assert len(notifier.titles("email")) == len(notifier.inbox()) == 1
    assert "Missing: job-00, job-01, job-02, job-03, job-04 and 16 more." in notifier.got("slack")[0]
    notifier.take(missed("job-30", minutes(20))).after(1200)  # more of it is no news
    assert len(notifier.sent) == 2
    for number, name in enumerate(NAMES[:15]):
        notifier.take(came(name, minutes(60 + number))).after(5)
    notifier.know(census(absent=6, newest_min=75)).after(61).after(14_400)
    assert notifier.titles("slack")[1:] == ["✅ Events come from jenkins again"]
    assert len(notifier.sent) == 4 and len(notifier.inbox()) == 2


@pytest.mark.parametrize(
    ("scheduled", "absent", "newest_min"),
    [(40, 19, -30), (4, 4, -30), (40, 30, 10), (0, 0, -30)],
    ids=["less than half", "less than five", "an event has come since", "no schedule is known"],
)
def test_x32_what_is_no_silence(scheduled: int, absent: int, newest_min: float) -> None:
    notifier = Watching(SLACK).take(*(missed(name, minutes(number / 10)) for number, name in enumerate(NAMES[:absent])))
    notifier.after(2).know(census(scheduled=scheduled, absent=absent, newest_min=newest_min)).after(10)
    assert not any("No events" in one for one in notifier.titles("slack"))


def test_x32_a_census_that_comes_late_or_from_several_partitions_makes_one_message() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:12])).after(60)
    assert len(notifier.sent) == 4  # without a census nobody knows that it is the source
    notifier.know(census(0, 10, 6), census(1, 10, 6)).after(60)
    assert notifier.titles("slack")[4:] == [
        "🔕 No events from jenkins since 11:30 UTC: 12 of 20 scheduled workflows did not come"
    ]
    for name in NAMES[:12]:
        notifier.take(came(name, minutes(90)))
    notifier.know(census(0, 10, 0, newest_min=90)).after(61).after(14_400)
    assert notifier.titles("slack")[5:] == ["✅ Events come from jenkins again"]


def test_x32_after_the_silence_a_missed_run_is_news_again() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:6]))
    notifier.know(census(scheduled=6, absent=6)).after(10)
    notifier.take(came("job-00", minutes(30))).know(census(scheduled=6, absent=5, newest_min=30)).after(61)
    assert notifier.titles("slack")[1:] == ["✅ Events come from jenkins again"]
    assert "Still missing: job-01, job-02, job-03, job-04, job-05." in notifier.got("slack")[1]
    notifier.take(missed("job-05", minutes(25), id="late alert", incident="another")).after(10)
    assert len(notifier.sent) == 2  # it was due while nothing came
    notifier.take(missed("job-00", minutes(90), id="news", incident="news")).after(10)
    assert notifier.titles("slack")[2:] == ["Warning: Missed run of job-00"]


def test_x32_a_run_that_came_late_ends_the_silence_before_a_census_does() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:6]))
    notifier.know(census(scheduled=6, absent=6)).after(10)
    notifier.take(came("job-00", minutes(30))).after(10)
    assert notifier.titles("slack")[1:] == ["✅ Events come from jenkins again"]
    notifier.know(census(scheduled=6, absent=5)).after(10)  # one from before it changes nothing
    assert len(notifier.sent) == 2


def test_x32_one_that_was_missed_for_days_does_not_hide_a_silence() -> None:
    notifier = Watching(SLACK).take(missed("old", minutes(-3000))).after(10)
    notifier.take(*(missed(name) for name in NAMES[:6]))
    one = census(scheduled=10, absent=7)
    count = replace_count(one, first_due_min=-3000)
    notifier.know(count).after(10)
    assert notifier.titles("slack")[1:] == [
        "🔕 No events from jenkins since 11:30 UTC: 6 of 10 scheduled workflows did not come"
    ]


def replace_count(one: SourceCensus, first_due_min: float) -> SourceCensus:
    count = msgspec.structs.replace(one.sources["jenkins"], first_due_ms=int(1000 * (NOW_S + 60 * first_due_min)))
    return msgspec.structs.replace(one, sources={"jenkins": count})


def test_x32_a_restart_between_any_two_steps_sends_the_same_messages() -> None:
    def steps(notifier: Watching) -> list[Callable[[], object]]:
        return [
            lambda: notifier.take(*(missed(name) for name in NAMES[:4])),
            lambda: notifier.after(10),
            lambda: notifier.take(*(missed(name, minutes(1)) for name in NAMES[4:8])),
            lambda: notifier.know(census(scheduled=10, absent=8)),
            lambda: notifier.after(10),
            lambda: notifier.take(came("job-01", minutes(30))),
            lambda: notifier.know(census(scheduled=10, absent=7, newest_min=30)),
            lambda: notifier.after(61),
        ]

    whole = Watching(SLACK)
    for step in steps(whole):
        step()
    expected = [one.message.id for one in whole.sent]
    assert len(expected) == 6
    for place in range(8):
        first = Watching(SLACK)
        for step in steps(first)[:place]:
            step()
        heir = Watching(SLACK)
        heir.state, heir.now_s, heir.sent = SlottedStore(slots_of(first)), first.now_s, first.sent
        if place:  # what was read and not committed is read again
            again = [one for at, one in enumerate(steps(heir)) if at < place and at in (0, 2, 5)]
            for step in again:
                step()
        for step in steps(heir)[place:]:
            step()
        assert [one.message.id for one in heir.sent] == expected, place


def slots_of(notifier: Watching) -> dict[str, Slot]:
    kept: dict[str, Slot] = {}
    copy = SlottedStore({}, keep=lambda name, slot: kept.__setitem__(name, slot))
    for key, value in notifier.state.items():
        copy[key] = value
    return kept


def test_x32_routes_silences_and_labels_go_by_the_source() -> None:
    routes = (
        Route(name="ci", match={"source": ("jenkins",)}, channels=("email",), rate_limit_count=100),
        Route(name="team", match={"build": ("1951",)}, channels=("slack",), rate_limit_count=100),
    )
    notifier = Watching(only("slack", "email", routes=routes))
    notifier.take(*(missed(name) for name in NAMES[:5]), *(missed(f"{n}-gh", source="github") for n in NAMES[:3]))
    notifier.after(10)
    assert len(notifier.titles("email")) == 4 and len(notifier.titles("slack")) == 3
    notifier.take(silence(matchers={"source": "jenkins"})).take(missed("job-09")).know(census(scheduled=9, absent=6))
    notifier.after(10)
    assert "🔕" in notifier.titles("email")[-1]  # five runs of it were missed before anybody silenced it
    quiet = Watching(only("slack", "email", routes=routes)).take(silence(matchers={"source": "jenkins"}))
    quiet.take(*(missed(name) for name in NAMES[:6])).know(census(scheduled=9, absent=6)).after(10)
    assert quiet.sent == []


def test_x32_a_route_for_critical_alone_gets_the_silent_source_and_no_single_run() -> None:
    pager = (Route(name="pager", match={"severity": ("critical",)}, channels=("email",), threshold="critical"),)
    for routes, gets in ((pager, ["email"]), ((), ["email", "slack"])):
        config = replace(only("slack", "email"), routes=routes, severity="critical")
        notifier = Watching(config).take(*(missed(name) for name in NAMES[:6])).after(10)
        assert notifier.sent == []
        notifier.know(census(scheduled=9, absent=6)).after(10)
        assert sorted(one.message.channel for one in notifier.sent) == gets
        notifier.know(census(scheduled=9, absent=6, newest_min=20)).after(10)
        assert sorted(one.message.channel for one in notifier.sent[len(gets) :]) == gets


def test_x32_a_joined_message_is_reminded_of_until_somebody_takes_it_and_a_silent_source_stops_that() -> None:
    routes = (Route(name="all", repeat_interval_s=3600.0, rate_limit_count=1000),)
    notifier = Watching(only("slack", routes=routes)).take(*(missed(name) for name in NAMES[:5])).after(10)
    notifier.after(3600)
    reminders = [one for one in notifier.titles("slack") if "Still going on" in one]
    assert len(reminders) == 4 and "2 of 2 missed runs of jenkins are ongoing" in " ".join(reminders)
    notifier.know(census(scheduled=9, absent=5)).after(10)
    sent = len(notifier.sent)
    notifier.after(3600).after(3600)
    assert len(notifier.sent) == sent


def test_x32_the_rate_limit_holds_joined_messages_and_not_the_silent_source() -> None:
    notifier = Watching(only("slack", rate_limit_count=2)).take(*(missed(name) for name in NAMES[:6])).after(10)
    assert len(notifier.sent) == 2 and notifier.counts("slack")["held"] == 4
    notifier.know(census(scheduled=9, absent=6)).after(10)
    assert "🔕" in notifier.titles("slack")[-1]


def test_x32_other_anomalies_of_the_same_moment_go_their_own_way() -> None:
    config = only("slack", rate_limit_count=100, group_by=("build",), group_wait_s=2.0, group_interval_s=60.0)
    notifier = Watching(config).take(
        *(slow(f"s{number}", entity_id=f"s{number}", labels={"build": "1951"}) for number in range(2)),
        *(missed(name) for name in NAMES[:4]),
    )
    notifier.after(3).after(10)
    assert notifier.titles("slack")[:4] == [
        "🔴 2 anomalies with build=1951",
        *(f"Warning: Missed run of job-0{number}" for number in range(3)),
    ]
    assert notifier.titles("slack")[4:] == ["🟠 4 missed runs of jenkins"]


def test_x32_one_click_silences_the_source_of_a_joined_message_also_one_without_a_name() -> None:
    config = only("email", rate_limit_count=100, link_key=b"k" * 32)
    for source in ("jenkins", None):
        notifier = Watching(config).take(*(missed(name, source=source) for name in NAMES[:4])).after(10)
        (token,) = re.findall(r"Silence source=\w+ for 24 h: \S+/links/(\S+)", notifier.got("email")[3])
        link = verify(config.link_key, token, notifier.now_s)
        assert link.matchers == {"source": source or "kafka"}
        notifier.take(silence(matchers=link.matchers), missed("job-09", source=source)).after(61)
        assert len(notifier.sent) == 4


def test_x32_a_workflow_that_was_retired_is_no_longer_missed_of_its_source() -> None:
    notifier = Watching(SLACK).take(*(missed(name) for name in NAMES[:5])).after(10)
    notifier.take(silence(action_id="r", kind="retire", entity="workflow:job-04", until=None, at=minutes(5)))
    assert [run.name for run in missed_of(notifier.state, "jenkins")] == NAMES[:4]
