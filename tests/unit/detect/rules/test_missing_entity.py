"""PatternDeviation, sub-rule missing: an entity that the last run of its kind had and this one has not."""

from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest

from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.detect.rules import missing_entity
from stream_detector.detect.rules.missing_entity import (
    KINDS,
    MAX_TOKEN_CHARACTERS,
    MOST_TYPES,
    Memberships,
    apply_membership,
    membership_parts,
)
from stream_detector.detect.runs import MOST_MEMBERS, Entity, Run, apply_part
from stream_detector.events import RunPart, ScoreRun
from stream_detector.events.decode import decode_run_part
from stream_detector.events.encode import encode
from stream_detector.events.times import epoch_ms
from tests.unit.detect.events_of import CLASSIC, START, score

NOW = epoch_ms(START)
DAY_MS = 86_400_000


def entity(run_id: str, entity_id: str, of: str | None = "dao", **more) -> RunPart:
    given = {"kind": "scored", "at": START, "entity_name": entity_id.upper()} | more
    return RunPart(run_id=run_id, entity_id=entity_id, entity_type=of, **given)


def ending(run_id: str, minute: float = 0, status: str = "completed", **more) -> RunPart:
    return RunPart(run_id=run_id, kind=f"run_{status}", at=START + timedelta(minutes=minute), **more)  # type: ignore[arg-type]


def gathered(run_id: str, *parts: RunPart) -> Run:
    run = Run.new(run_id)
    for one in parts:
        apply_part(run, one, NOW)
    return run


def parts_of(run_id: str, entities: str, minute: float, *more: RunPart) -> list[RunPart]:
    """The memberships of a run of these entities, as they come off the topic."""
    parts = [entity(run_id, one) for one in entities]
    run = Run.unpack(gathered(run_id, *parts, *more, ending(run_id, minute)).pack())
    return [decode_run_part(encode(part)) for part in membership_parts(run, NOW)]


@dataclass
class Runs:
    """Memberships of every type, each packed after each run, as between two checkpoints."""

    memberships: dict[str, bytes] = field(default_factory=dict)

    def missing(self, *parts: RunPart, at: int = NOW):
        found = []
        for part in parts:
            packed = self.memberships.get(part.run_id)
            known = Memberships.unpack(packed) if packed else Memberships()
            found += apply_membership(known, part, at, "robust")
            self.memberships[part.run_id] = known.pack()
        return found

    def names(self, *parts: RunPart) -> str:
        return "".join(one.entity_id for one in self.missing(*parts))


def test_an_entity_that_the_run_before_had_is_told_once_with_its_evidence():
    runs = Runs()
    assert runs.missing(*parts_of("r1", "abcd", 0)) == []
    (one,) = runs.missing(*parts_of("r2", "abd", 60))
    assert (one.anomaly_type, one.severity, one.state, one.detector) == (
        "PatternDeviation",
        "info",
        "opened",
        "pattern_deviation",
    )
    assert (one.entity_id, one.entity_name, one.entity_kind, one.run_id) == ("c", "C", "score", "r2")
    assert (one.id, one.detected_at) == (one.incident_id, START + timedelta(minutes=60))
    assert one.description == "C is missing from run r2; run r1 had it"
    assert (one.metrics.current_value, one.metrics.baseline_value, one.metrics.deviation) == (0.0, 1.0, -1.0)
    assert (one.metrics.confidence, one.metrics.unit, one.metrics.direction) == (
        pytest.approx(0.285, abs=1e-3),
        "scores",
        "down",
    )
    assert [(item.kind, item.id) for item in one.affected_entities] == [("entity", "c"), ("run", "r2"), ("run", "r1")]
    assert one.gates == [
        "run r2 has completed, and r1 is the last run of its kind before it",
        "3 of the 4 entities of run r1 are here, half of them or more",
    ]
    assert one.investigation_steps == [
        "See why run r2 of 2026-01-01 01:00 UTC has no score of C: run r1 of 2026-01-01 00:00 UTC had one",
        "Where C was taken out on purpose there is nothing to do: it is reported only once",
    ]
    assert runs.missing(*parts_of("r3", "abd", 120)) == []
    assert runs.names(*parts_of("r4", "abcd", 180), *parts_of("r5", "abd", 240)) == "c", "it had come back"


def test_where_several_are_missing_the_run_is_looked_at_first():
    runs = Runs()
    runs.missing(*parts_of("r1", "abcd", 0))
    both = runs.missing(*parts_of("r2", "ad", 1))
    assert [one.entity_id for one in both] == ["b", "c"]
    assert len({one.id for one in both}) == 2
    assert both[0].investigation_steps[0] == (
        "2 entities are missing from run r2: look at the run first, not at each entity"
    )


def test_a_repeated_membership_and_an_older_one_change_nothing():
    runs = Runs()
    runs.missing(*parts_of("r1", "abcd", 0))
    second = parts_of("r2", "abc", 60)
    assert runs.names(*second) == "d"
    kept = dict(runs.memberships)
    assert runs.names(*second, *parts_of("r1", "abcd", 0), *parts_of("late", "a", 59), *parts_of("same", "a", 60)) == ""
    assert runs.memberships == kept


def test_x1_an_entity_that_comes_late_ends_the_record_that_it_was_missing():
    runs = Runs()
    runs.missing(*parts_of("r1", "abcd", 0))
    opened = {one.entity_id: one for one in runs.missing(*parts_of("r2", "ab", 60))}
    curve = entity("r2", "c", entity_name="Curve")
    (end,) = runs.missing(*parts_of("r2", "ab", 60, curve))
    assert (end.state, end.end_reason, end.severity, end.entity_name) == ("resolved", "recovered", "info", "Curve")
    assert end.incident_id == opened["c"].id != end.id
    assert end.description == "Curve was missing from run r2 when it ended, and came later"
    assert end.gates == ["run r2 has a score of Curve, or one that was refused"]
    assert end.investigation_steps == ["Nothing to do: run r2 has Curve, after the run's end"]
    assert [(item.kind, item.id) for item in end.affected_entities] == [("entity", "c"), ("run", "r2")]
    assert runs.missing(*parts_of("r2", "ab", 60, curve)) == [], "once"
    failed = entity("r2", "d", None, kind="failed", entity_name="")
    (refused,) = runs.missing(*parts_of("r2", "ab", 60, curve, failed))
    assert (refused.incident_id, refused.entity_name) == (opened["d"].id, "D"), "by the name that it had"
    assert runs.names(*parts_of("r3", "ab", 120)) == "cd", "both were in r2"


def test_a_late_entity_that_was_not_missing_is_one_of_its_run_from_then_on():
    runs = Runs()
    runs.missing(*parts_of("r2", "ab", 60))
    assert runs.missing(*parts_of("r2", "ab", 60, entity("r2", "new"))) == []
    assert runs.names(*parts_of("r3", "ab", 120)) == "new"


def test_late_entities_do_not_make_the_membership_grow_over_its_limit():
    runs, many = Runs(), [entity("r1", f"{n:05}", entity_name="n" * 495) for n in range(MAX_TOKEN_CHARACTERS // 500)]
    runs.missing(*parts_of("r1", "", 0, *many))
    half = [entity("r2", part.entity_id, entity_name=part.entity_name) for part in many[: len(many) // 2]]
    assert len(runs.missing(*parts_of("r2", "", 60, *half))) == len(many) - len(half)
    others = [entity("r2", f"late {n:05}", entity_name="n" * 490) for n in range(len(half) - 5)]
    refused = [entity("r2", part.entity_id, None, kind="failed", entity_name="") for part in many[len(half) :]]
    came = runs.missing(*parts_of("r2", "", 60, *half, *others, *refused))
    assert {one.state for one in came} == {"resolved"} and len(came) == len(refused)
    kept = Memberships.unpack(runs.memberships["roster~dao"]).kept[0]
    assert sorted(kept.entities) == [part.entity_id for part in half]
    assert kept.missing == {}


def test_a_part_without_a_membership_changes_nothing():
    runs = Runs()
    runs.missing(*parts_of("r1", "ab", 0))
    kept = dict(runs.memberships)
    assert runs.missing(RunPart(run_id="roster~dao", kind="roster", at=START + timedelta(minutes=1))) == []
    assert runs.memberships == kept


def test_a_replay_from_the_state_before_gives_the_same_anomaly():
    runs = Runs()
    runs.missing(*parts_of("r1", "abcd", 0))
    before, second = dict(runs.memberships), parts_of("r2", "abc", 60)
    first = runs.missing(*second)
    runs.memberships = before
    assert runs.missing(*parts_of("r1", "abcd", 0), *second) == first


@pytest.mark.parametrize(("entities", "told"), [("ab", "cd"), ("a", ""), ("wxyz", ""), ("axyz", "")])
def test_half_of_the_entities_make_a_run_of_the_same_kind(entities, told):
    runs = Runs()
    runs.missing(*parts_of("r1", "abcd", 0))
    assert runs.names(*parts_of("r2", entities, 60)) == told


def test_a_full_run_is_compared_with_the_full_one_before_the_partial_ones():
    runs = Runs()
    told = [
        runs.names(*parts_of(f"r{n}", entities, n))
        for n, entities in enumerate(["abcdefgh", "ab", "abcdefgh", "ab", "abcdefg", "a"])
    ]
    assert told == ["", "", "", "", "h", "b"]


def test_the_newest_runs_of_four_kinds_are_kept():
    runs = Runs()
    assert runs.names(*(part for n, one in enumerate("abcde") for part in parts_of(f"r{n}", one, n))) == ""
    (packed,) = runs.memberships.values()
    assert [kept.run_id for kept in Memberships.unpack(packed).kept] == ["r4", "r3", "r2", "r1"]
    assert len(Memberships.unpack(packed).kept) == KINDS


def test_an_entity_that_failed_is_there_with_its_type_or_without():
    runs = Runs()
    runs.missing(*parts_of("r1", "abcdef", 0))
    with_type, without = entity("r2", "d", kind="failed"), entity("r2", "e", None, kind="failed", entity_name="")
    assert runs.names(*parts_of("r2", "abc", 1, with_type, without)) == "f"
    missing = runs.missing(*parts_of("r3", "abc", 2))
    assert [(one.entity_id, one.entity_name) for one in missing] == [("d", "D"), ("e", "E")], "both were in r2"


def test_a_failed_entity_is_not_taken_for_one_of_another_type():
    runs = Runs()
    runs.missing(*parts_of("r1", "ab", 0))
    runs.missing(*parts_of("r2", "ab", 1, entity("r2", "new", None, kind="failed")))
    assert runs.names(*parts_of("r3", "ab", 2)) == ""


def test_a_new_name_is_no_missing_entity_and_is_what_it_is_called_from_then_on():
    runs = Runs()
    runs.missing(*parts_of("r1", "abc", 0))
    assert runs.names(*parts_of("r2", "ab", 1, entity("r2", "c", entity_name="Curve"))) == ""
    assert [one.entity_name for one in runs.missing(*parts_of("r3", "ab", 2))] == ["Curve"]


def test_an_entity_without_a_name_is_called_by_its_id():
    runs = Runs()
    runs.missing(*parts_of("r1", "ab", 0, entity("r1", "c", entity_name="")))
    assert runs.missing(*parts_of("r2", "ab", 1))[0].description == "c is missing from run r2; run r1 had it"


def test_types_are_compared_each_by_itself():
    runs = Runs()
    both = parts_of("r1", "abc", 0, *(entity("r1", one, "fund") for one in "xyz"), entity("r1", "n", None))
    assert {part.run_id for part in both} == {"roster~dao", "roster~fund", "roster~"}
    runs.missing(*both)
    assert runs.names(*parts_of("r2", "ab", 1)) == "c", "a run of one type alone says nothing of another"
    assert runs.names(*parts_of("r3", "", 2, *(entity("r3", one, "fund") for one in "xy"))) == "z"


def test_a_long_type_has_a_short_id():
    assert missing_entity.membership_id("t" * 200) == "roster~" + "t" * 200
    assert len(missing_entity.membership_id("t" * 201)) < 100


@pytest.mark.parametrize(
    "parts",
    [
        [entity("r", "a"), ending("r", status="failed")],
        [entity("r", "a")],
        [entity("r", "a"), ending("r", expected=2)],
        [ending("r")],
    ],
    ids=["failed", "without an end event", "not all are there", "empty"],
)
def test_no_membership_of_a_run_that_has_not_completed(parts):
    assert membership_parts(gathered("r", *parts), NOW) == []


def test_no_membership_of_a_run_that_timed_out_nor_of_a_window():
    assert membership_parts(gathered("r", entity("r", "a")), NOW + DAY_MS) == []
    assert membership_parts(gathered("window~dao~m", entity("window~dao~m", "a")), NOW + DAY_MS) == []


def test_a_completed_run_whose_last_entity_never_came_passes_on_those_that_did():
    run = gathered("r", entity("r", "a"), ending("r", expected=2))
    (part,) = membership_parts(run, NOW + 15 * 60_000)
    assert part.membership is not None
    assert part.membership.entities == {"a": "A"}


def test_no_membership_of_a_run_that_an_older_version_gathered():
    run = gathered("r", entity("r", "a"), ending("r"))
    run.entities["b"] = Entity(True)
    assert membership_parts(run, NOW) == []


def test_no_membership_above_5000_entities_and_no_more_names_are_kept():
    run = gathered("r", *(entity("r", f"e{n}") for n in range(MOST_MEMBERS)))
    apply_part(run, entity("r", "e1", entity_name="New"), NOW)
    full = Run.unpack(run.pack())
    apply_part(full, ending("r"), NOW)
    (part,) = membership_parts(full, NOW)
    assert part.membership is not None
    assert (len(part.membership.entities), part.membership.entities["e1"]) == (MOST_MEMBERS, "New")
    apply_part(run, entity("r", "one more"), NOW)
    assert run.entities["one more"] == Entity(True)
    apply_part(run, ending("r"), NOW)
    assert membership_parts(run, NOW) == []


def test_no_membership_of_more_than_20_types():
    parts = [entity("r", f"e{n}", f"t{n}") for n in range(MOST_TYPES + 1)]
    assert len(membership_parts(gathered("r", *parts[:-1], ending("r")), NOW)) == MOST_TYPES
    assert membership_parts(gathered("r", *parts, ending("r")), NOW) == []


def test_no_membership_of_a_type_whose_names_are_too_long_for_a_record():
    parts = [entity("r", f"{n:05}", "big", entity_name="n" * 495) for n in range(MAX_TOKEN_CHARACTERS // 500)]
    fits = gathered("r", *parts, entity("r", "a"), ending("r"))
    assert len(membership_parts(fits, NOW)) == 2
    over = gathered("r", *parts, entity("r", "a"), entity("r", "b", "big"), ending("r"))
    assert [part.entity_type for part in membership_parts(over, NOW)] == ["dao"]


def test_failed_entities_do_not_make_the_membership_grow_over_its_limit():
    runs, half = Runs(), MAX_TOKEN_CHARACTERS // 2 // 500
    parts = [entity("r1", f"{n:05}", entity_name="n" * 495) for n in range(2 * half)]
    runs.missing(*parts_of("r1", "", 0, *parts))
    failed = [entity("r2", f"{n:05}", None, kind="failed", entity_name="") for n in range(half)]
    others = [entity("r2", f"{n:05}", entity_name="n" * 495) for n in range(half, 2 * half)]
    assert runs.names(*parts_of("r2", "", 1, *failed, *others, entity("r2", "a"))) == ""
    assert len(Memberships.unpack(runs.memberships["roster~dao"]).kept[0].entities) == half + 1


def test_memberships_are_kept_for_90_days_after_the_last():
    runs = Runs()
    runs.missing(*parts_of("r1", "ab", 0), at=NOW)
    runs.missing(*parts_of("r2", "ab", 1), at=NOW + DAY_MS)
    assert Memberships.unpack(runs.memberships["roster~dao"]).forget_at_ms == NOW + 91 * DAY_MS


def scored(folding: Replayer, run_id: str, entities: str, day: float):
    found = []
    for one in entities:
        event = score("5", day, entity_id=one, entity_name=one.upper(), entity_type="dao", run_id=run_id)
        found += folding.gather(event, folding.apply(event), epoch_ms(event.scored_at))
    return found


def completed(folding: Replayer, run_id: str, day: float, expected: int | None = None):
    event = ScoreRun(run_id=run_id, status="completed", at=START + timedelta(days=day), expected=expected)
    return folding.put(run_event_part(event), epoch_ms(event.at))


def test_the_fold_tells_what_is_missing_as_the_runs_complete():
    folding = Replayer(CLASSIC)
    assert scored(folding, "r1", "abc", 0) + completed(folding, "r1", 0) == []
    assert scored(folding, "r2", "ab", 1) == []
    (one,) = completed(folding, "r2", 1)
    assert (one.entity_id, one.run_id, one.profile) == ("c", "r2", "classic")
    assert completed(folding, "r2", 1) + folding.missing(NOW + 9 * DAY_MS) == []
    assert [summary.scored for summary in folding.summaries(NOW + 9 * DAY_MS)] == [3, 2]


def test_the_fold_waits_for_the_expected_count_and_15_minutes_no_longer():
    folding = Replayer(CLASSIC)
    scored(folding, "r1", "abc", 0)
    completed(folding, "r1", 0)
    completed(folding, "r2", 1, expected=3)
    assert scored(folding, "r2", "ab", 1) == []
    assert [one.run_id for one in scored(folding, "r3", "a", 2)] == ["r2"], "told before what comes later"
    assert completed(folding, "r4", 3, expected=3) == []
    assert folding.missing(NOW + 9 * DAY_MS) == []


def test_x1_the_fold_ends_what_came_late_with_the_revision_of_its_run():
    folding = Replayer(CLASSIC)
    scored(folding, "r1", "abc", 0)
    completed(folding, "r1", 0)
    scored(folding, "r2", "ab", 1)
    (opened,) = completed(folding, "r2", 1)
    assert scored(folding, "r2", "c", 1) == [], "its revision gathers what comes within some seconds"
    (end,) = scored(folding, "r3", "a", 2)
    assert (end.state, end.entity_id, end.incident_id) == ("resolved", "c", opened.id)
    assert [(one.run_id, one.revision, one.scored) for one in folding.summaries(NOW + 2 * DAY_MS)][1:] == [
        ("r2", 1, 2),
        ("r2", 2, 3),
    ]


def test_a_run_that_was_silent_has_ended_before_its_next_part_comes():
    folding = Replayer(CLASSIC)
    scored(folding, "r1", "ab", 0)
    scored(folding, "r1", "c", 9)
    one, two = folding.summaries(NOW + 19 * DAY_MS)
    assert (one.revision, one.status, one.scored) == (1, "timed_out", 2)
    assert (two.revision, two.scored) == (2, 3)


def test_x11_a_run_that_is_dated_a_year_ahead_does_not_hide_what_is_missing_for_a_year():
    """The second run after it is compared with the last one before it, as a score is."""
    runs, year = Runs(), 365 * 1440
    assert runs.names(*parts_of("r1", "abcd", 0)) == ""
    assert runs.names(*parts_of("ahead", "xyz", year)) == ""
    assert runs.names(*parts_of("r2", "abc", 1440)) == ""
    assert runs.names(*parts_of("r3", "abc", 2 * 1440)) == "d"
    assert runs.names(*parts_of("r4", "ab", 3 * 1440)) == "c"


def test_x11_runs_that_were_published_late_or_are_revised_show_no_wrong_clock():
    def late(run_id: str, minute: float, **more) -> list[RunPart]:
        return [msgspec.structs.replace(part, **more) for part in parts_of(run_id, "abcd", minute)]

    runs = Runs()
    assert runs.names(*parts_of("new", "abcd", 9 * 1440)) == ""
    now = START + timedelta(days=10)
    for number in range(4):
        assert runs.names(*late(f"late{number}", 1440 * number, published_at=now)) == ""
        assert runs.names(*late(f"revised{number}", 1440 * number + 1, revision=2)) == ""
    assert runs.names(*parts_of("next", "abc", 10 * 1440)) == "d"
    revised = gathered("r", entity("r", "a"), ending("r"))
    revised.revision = 2
    assert [part.revision for part in membership_parts(revised, NOW)] == [2]
