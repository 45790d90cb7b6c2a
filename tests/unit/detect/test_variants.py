"""X21: variants keep their own baselines; what was there before them goes on; failures of people's branches."""

import random
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from stream_detector.detect import Baseline, Config, WorkflowBaseline, profile_rules
from stream_detector.detect.baseline_buffer import BaselineBuffer
from stream_detector.detect.replay import Baselines, Replayer
from stream_detector.detect.variant_state import LEAST, MOST, VariantState
from stream_detector.detect.variants import ends_of
from stream_detector.events import Action, Anomaly, Completion, Profile
from stream_detector.events.variant import BRANCH, DEFAULT_BRANCH, PULL_REQUEST, SCHEDULE, workflow_key
from tests.events_made import NOON, completion

PLAIN, DEFAULT = workflow_key("build"), workflow_key("build", DEFAULT_BRANCH)


def run_of(number: int, hour: float, variant: str | None, *, failed: bool = False, **given: object) -> Completion:
    at, status = NOON + timedelta(hours=hour), "failure" if failed else "success"
    return completion(f"e{number}", "build", finished_at=at, status=status, variant=variant, **given)


def applied(replayer: Replayer, events: Iterable[Completion]) -> list[Anomaly]:
    return [one for event in events for one in replayer.apply(event).anomalies]


def runs(count: int, variant: str | None, first: int = 0, *, failed: bool = False) -> Iterator[Completion]:
    """One an hour."""
    return (run_of(number, number, variant, failed=failed) for number in range(first, first + count))


@pytest.mark.parametrize("profile", ["robust", "classic"])
def test_x21_a_nightly_that_fails_among_good_pushes_is_found(profile: Profile) -> None:
    replayer, found = Replayer(Config(profile)), []
    for number in range(70):
        is_nightly = number % 10 == 9
        variant = SCHEDULE if is_nightly else DEFAULT_BRANCH
        found += applied(replayer, [run_of(number, number, variant, failed=is_nightly and number > 35)])
    streaks = [one for one in found if one.anomaly_type == "ConsecutiveFailures" and one.state != "resolved"]
    assert [one.severity for one in streaks] == ["warning"]
    assert {one.variant for one in found} == {SCHEDULE} and {one.entity_id for one in found} == {"build"}


def test_x21_an_event_without_a_variant_has_the_state_that_it_always_had() -> None:
    replayer = Replayer(Config())
    applied(replayer, runs(40, None))
    (packed,) = [baseline.pack() for baseline in replayer.baselines.values()]
    alone = Baseline.new(PLAIN)
    assert isinstance(alone, WorkflowBaseline) and alone.variant_state is None
    assert replayer.baselines.keys() == {PLAIN}
    alone.fill(packed)
    assert alone.pack() == packed


def test_x21_the_first_default_branch_takes_over_with_its_open_incident() -> None:
    replayer = Replayer(Config())
    opened = applied(replayer, runs(3, None, failed=True))
    assert [one.state for one in opened] == ["opened"]
    more = applied(replayer, runs(2, DEFAULT_BRANCH, first=3, failed=True))
    assert [(one.state, one.severity, one.incident_id) for one in more] == [
        ("ongoing", "critical", opened[0].incident_id)
    ]
    assert replayer.baselines.keys() == {DEFAULT}
    ended = applied(replayer, [run_of(9, 9, DEFAULT_BRANCH)])
    assert [(one.state, one.incident_id, one.variant) for one in ended] == [
        ("resolved", opened[0].incident_id, DEFAULT_BRANCH)
    ]


def test_x20_of_two_baselines_after_a_rename_the_one_that_gives_way_ends_its_incidents() -> None:
    former, kept = Replayer(Config()), Replayer(Config())
    opened = applied(former, runs(3, SCHEDULE, failed=True))
    applied(kept, [replace(one, workflow_id="new") for one in runs(3, SCHEDULE, first=3)])
    key = workflow_key("new", SCHEDULE)
    ends = ends_of(former.baselines[workflow_key("build", SCHEDULE)], kept.baselines[key], NOON, Config())
    assert [(one.state, one.incident_id, one.entity_id, one.variant) for one in ends] == [
        ("resolved", opened[0].incident_id, "new", SCHEDULE)
    ]
    assert "was renamed" in ends[0].description


def test_x21_no_other_variant_inherits_and_what_was_learned_is_kept_for_the_default_branch() -> None:
    replayer, twin = Replayer(Config()), Replayer(Config())
    applied(replayer, runs(40, None))
    applied(twin, runs(40, None))
    applied(replayer, [run_of(50 + n, 40, variant) for n, variant in enumerate((SCHEDULE, PULL_REQUEST, "tag"))])
    new = replayer.baselines[workflow_key("build", SCHEDULE)]
    assert isinstance(new, WorkflowBaseline) and new.level.n == 1
    assert replayer.baselines[PLAIN].pack() == twin.baselines[PLAIN].pack()
    applied(replayer, [run_of(60, 41, DEFAULT_BRANCH)])
    applied(twin, [run_of(60, 41, None)])
    taken, wanted = replayer.baselines[DEFAULT], twin.baselines[PLAIN]
    assert isinstance(taken, WorkflowBaseline) and isinstance(wanted, WorkflowBaseline)
    assert taken.level.n == wanted.level.n == 41
    assert taken.named_baselines() == wanted.named_baselines()


def test_x21_runs_without_a_variant_that_come_later_have_a_key_of_their_own_that_nobody_takes() -> None:
    replayer = Replayer(Config())
    applied(replayer, [run_of(0, 0, None), run_of(1, 1, DEFAULT_BRANCH), run_of(2, 2, None)])
    applied(replayer, runs(5, DEFAULT_BRANCH, first=3))
    assert replayer.baselines.keys() == {PLAIN, DEFAULT}


def test_x21_without_a_default_branch_the_former_key_retires_after_35_days_and_its_incidents_end() -> None:
    replayer = Replayer(Config())
    opened = applied(replayer, runs(3, None, failed=True))
    day = 24
    assert not applied(replayer, [run_of(10, 5, SCHEDULE), run_of(11, 34 * day, SCHEDULE)])
    assert PLAIN in replayer.baselines
    ended = applied(replayer, [run_of(12, 36 * day, SCHEDULE)])
    assert [(one.state, one.end_reason, one.incident_id) for one in ended] == [
        ("resolved", "retired", opened[0].incident_id)
    ]
    assert ended[0].variant is None and ended[0].execution_id is None
    assert replayer.baselines.keys() == {workflow_key("build", SCHEDULE)}
    applied(replayer, [run_of(13, 37 * day, DEFAULT_BRANCH)])
    new = replayer.baselines[DEFAULT]
    assert isinstance(new, WorkflowBaseline) and new.streak == 0, "there is nothing to take over"


def test_x21_a_rare_workflow_keeps_its_state_for_the_default_branch() -> None:
    """A quarterly one: the first execution with a variant comes long after the last one without."""
    replayer = Replayer(Config())
    applied(replayer, [run_of(0, 0, None), run_of(1, 90 * 24, PULL_REQUEST), run_of(2, 91 * 24, DEFAULT_BRANCH)])
    assert PLAIN not in replayer.baselines
    taken = replayer.baselines[DEFAULT]
    assert isinstance(taken, WorkflowBaseline) and len(taken.ids) == 16


def test_x21_runs_without_a_variant_keep_their_key_from_retiring() -> None:
    replayer = Replayer(Config())
    for day in range(0, 120, 10):
        applied(replayer, [run_of(day, day * 24, None), run_of(1000 + day, day * 24 + 1, SCHEDULE)])
    assert PLAIN in replayer.baselines


def test_x21_an_action_on_the_workflow_is_about_all_of_its_variants() -> None:
    replayer = Replayer(Config())
    events = [run_of(n, n, variant) for n, variant in enumerate((None, SCHEDULE, PULL_REQUEST))]
    applied(replayer, [*events, completion("o", "builder", variant=SCHEDULE)])
    replayer.apply(Action(action_id="a", kind="relearn", by="sam", at=NOON, entity=PLAIN))
    counts = {key: baseline.newest_ms for key, baseline in replayer.baselines.items()}
    assert {key for key, newest_ms in counts.items() if newest_ms} == {workflow_key("builder", SCHEDULE)}
    assert len(counts) == 4


def test_x21_an_action_on_an_incident_is_about_the_variant_that_has_it() -> None:
    replayer = Replayer(Config())
    (opened,) = applied(replayer, [run_of(9, 0, DEFAULT_BRANCH), *runs(3, SCHEDULE, first=1, failed=True)])
    action = Action(action_id="a", kind="expected", by="sam", at=NOON, entity=PLAIN, incident_id=opened.incident_id)
    replayer.apply(action)
    counts = {key: baseline.feedbacks for key, baseline in replayer.baselines.items()}
    assert counts == {DEFAULT: 0, workflow_key("build", SCHEDULE): 1}


def test_x21_an_action_on_a_workflow_that_has_not_run_is_kept_for_its_first_run() -> None:
    baselines = Baselines()
    action = Action(action_id="a", kind="not_an_anomaly", by="sam", at=NOON, entity=PLAIN)
    assert baselines.apply(action, Config()).kind == "applied" and baselines[PLAIN].feedbacks == 1


def test_x21_a_backfill_retires_nothing() -> None:
    baselines = Baselines()
    for number, (day, variant) in enumerate([(0, None), (1, SCHEDULE), (50, SCHEDULE)]):
        baselines.apply(run_of(number, day * 24, variant), Config(), backfill=True)
    assert baselines.keys() == {PLAIN, workflow_key("build", SCHEDULE)}


def test_x21_a_year_ahead_is_corrected_in_a_variant_by_its_next_three_executions() -> None:
    baselines, now_ms = Baselines(), int(NOON.timestamp() * 1000)
    year_ms = 365 * 86_400_000
    baselines.apply(run_of(0, 365 * 24, SCHEDULE), Config(), now_ms + year_ms)
    for number in range(1, 5):
        baselines.apply(run_of(number, number / 60, SCHEDULE), Config(), now_ms + number * 60_000)
    (baseline,) = baselines.values()
    assert isinstance(baseline, WorkflowBaseline) and baseline.variant_state is not None
    assert baseline.newest_ms == now_ms + 4 * 60_000 and baseline.variant_state.since_ms <= now_ms + 3 * 60_000


def test_x24_an_anomaly_has_the_last_lines_of_its_execution() -> None:
    excerpt = "\n".join(f"line {number}" for number in range(500))
    replayer = Replayer(Config())
    last = run_of(3, 3, None, failed=True, excerpt=excerpt)
    (opened,) = applied(replayer, [*runs(2, None, failed=True), last])
    assert opened.excerpt is not None and opened.excerpt.endswith("line 499") and len(opened.excerpt) <= 1000
    assert [one.excerpt for one in applied(replayer, [run_of(4, 4, None, excerpt=excerpt)])] == [None]


def test_x21_a_profile_rule_that_names_the_workflow_holds_for_its_variants() -> None:
    replayer = Replayer(Config("robust", profile_rules=profile_rules("build -> classic")))
    applied(replayer, runs(5, SCHEDULE))
    assert all(isinstance(one, WorkflowBaseline) and one.has_executions for one in replayer.baselines.values())


def test_x21_variant_by_sets_the_variant_of_plain_events_and_of_their_anomalies() -> None:
    replayer = Replayer(Config(variant_by=("trigger",)))
    events = [run_of(n, n, None, failed=True, labels={"trigger": "nightly"}) for n in range(3)]
    (one,) = applied(replayer, [*events, run_of(9, 9, None)])
    assert one.variant == "nightly"
    assert replayer.baselines.keys() == {workflow_key("build", "nightly"), PLAIN}


@pytest.mark.parametrize("variant", [SCHEDULE, PULL_REQUEST, DEFAULT_BRANCH])
@pytest.mark.parametrize("profile", ["robust", "classic"])
def test_x21_what_is_packed_of_a_variant_is_what_is_read(profile: Profile, variant: str) -> None:
    replayer, buffer, key = Replayer(Config(profile)), BaselineBuffer(), workflow_key("build", variant)
    for number in range(60):
        applied(replayer, [run_of(number, number, variant, failed=number % 3 == 0, labels={"branch": f"b{number}"})])
        baseline = replayer.baselines[key]
        assert Baseline.unpack(key, baseline.pack()).pack() == baseline.pack()
        assert buffer.open(key, baseline.pack()).pack() == baseline.pack()
        buffer.open(PLAIN, Baseline.new(PLAIN).pack())
    assert isinstance(baseline, WorkflowBaseline) and baseline.variant_state is not None
    assert len(baseline.variant_state.branches) == (4 * MOST if variant == PULL_REQUEST else 0)
    baseline.clear()
    assert baseline.variant_state.since_ms == 0


def test_x21_a_wrong_clock_is_corrected_in_what_a_variant_keeps_too() -> None:
    state = VariantState()
    state.note(None, False, 5_000)
    state.rewind(3_000)
    assert state.since_ms == 3_000


# -- people's branches -------------------------------------------------------------------------------------------------


def history(seed: int, count: int, fails: float, outage: range = range(0)) -> Iterator[Completion]:
    """Pull requests of 30 branches: who has broken a branch needs some attempts to mend it."""
    draw, broken = random.Random(seed), set[int]()
    for number in range(count):
        branch = draw.randrange(30)
        failed = draw.random() < (0.5 if branch in broken else fails)
        (broken.add if failed else broken.discard)(branch)
        labels = {"branch": f"topic-{branch}-{number // 200}"}
        yield run_of(number, number / 10, PULL_REQUEST, failed=failed or number in outage, labels=labels)


def failures(found: Iterable[Anomaly]) -> list[Anomaly]:
    types = "ConsecutiveFailures", "SpikeInFailures"
    return [one for one in found if one.anomaly_type in types and one.state != "resolved"]


@pytest.mark.parametrize("fails", [0.1, 0.3])
@pytest.mark.parametrize("profile", ["robust", "classic"])
def test_x21_the_failures_of_peoples_branches_are_info(profile: Profile, fails: float) -> None:
    """Figures of more of them: docs/detection.md."""
    loud = [
        one
        for seed in range(3)
        for one in failures(applied(Replayer(Config(profile)), history(seed, 400, fails)))
        if one.severity != "info"
    ]
    assert loud == []


@pytest.mark.parametrize("profile", ["robust", "classic"])
@pytest.mark.parametrize("fails", [0.1, 0.25])
def test_x21_a_broken_image_shows_in_several_branches_that_fail_in_a_row(profile: Profile, fails: float) -> None:
    outage = range(300, 330)
    for seed in range(3):
        found = failures(applied(Replayer(Config(profile)), history(seed, 330, fails, outage)))
        loud = [one for one in found if one.severity != "info"]
        assert loud and all(one.detected_at >= NOON + timedelta(hours=30) for one in loud)
        streaks = [one.severity for one in loud if one.anomaly_type == "ConsecutiveFailures"]
        assert streaks[0] == "warning" and "different branches" in loud[0].description + "".join(loud[0].gates)
        assert streaks.count("warning") <= 2 and ("critical" in streaks or fails > 0.1)


@pytest.mark.parametrize("variant", [PULL_REQUEST, BRANCH])
def test_x21_three_pull_requests_that_fail_once_each_are_info(variant: str) -> None:
    events = [run_of(n, n, variant, failed=60 <= n < 63, labels={"branch": f"topic-{n % 9}"}) for n in range(100)]
    found = applied(Replayer(Config()), events)
    assert found and {one.severity for one in found} == {"info"}
    assert LEAST > 3


def test_x21_what_was_compared_of_branches_can_be_explained() -> None:
    baselines, explained = Baselines(), list[str]()
    for number in range(8):
        event = run_of(number, number, PULL_REQUEST, failed=True, labels={"branch": f"topic-{number}"})
        baselines.apply(event, Config(), explain=explained)
    assert any("different branches" in line for line in explained)


def test_x21_one_branch_that_fails_however_often_is_info() -> None:
    events = [
        run_of(n, n, PULL_REQUEST, failed=n >= 60, labels={"branch": "mine" if n >= 60 else f"b{n}"}) for n in range(90)
    ]
    found = failures(applied(Replayer(Config()), events))
    assert found and {one.severity for one in found} == {"info"}


def test_x21_without_a_branch_label_nothing_is_known_of_branches() -> None:
    found = failures(applied(Replayer(Config()), runs(40, PULL_REQUEST, failed=True)))
    assert found and {one.severity for one in found} == {"info"}


def test_x21_the_default_branch_and_schedules_are_judged_as_ever() -> None:
    for variant in (DEFAULT_BRANCH, SCHEDULE, "anything"):
        found = failures(applied(Replayer(Config()), runs(5, variant, failed=True)))
        assert [one.severity for one in found] == ["warning", "critical"]
