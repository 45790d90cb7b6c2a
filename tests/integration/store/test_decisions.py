"""X14: notifier, recorder and API read the same of `operator-actions`, twice, late and in any order."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import asyncpg
import msgspec
import pytest

from stream_detector.events import Action, ActionKind
from stream_detector.events.decisions import TAKES, WHOLE_KEY
from stream_detector.notify.policy import accept
from stream_detector.notify.stages.matching import stored_silences
from stream_detector.notify.state.keys import read
from stream_detector.notify.state.slotted_store import SlottedStore
from stream_detector.notify.state.state_models import Incident, Silences
from stream_detector.store import incidents
from stream_detector.store.rows import Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import action, anomaly, uuid
from tests.unit.notify.subjects import CONFIG

NOW = datetime.now(UTC).replace(microsecond=0)
InForce = list[tuple[str, str, dict[str, str], float, str]]


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes - 600)


def silence(name: str, minutes: float, lasts: float = 1440, **given: Any) -> Action:
    return action(name, "silence", at=at(minutes), until=at(minutes + lasts), **given)


LIFT = {"lasts": -1.0}
LABELS = {"entity": "", "matchers": {"team": "core", "env": "prod"}}
CASES: dict[str, list[Action]] = {
    "a link pressed again after the silence was lifted": [
        silence("link", 1), silence("lift", 2, **LIFT), silence("link", 60),
    ],
    "a link pressed twice": [silence("link", 1), silence("link", 60)],
    "a newer one takes the place of the earlier": [silence("long", 1, 9000), silence("short", 2, 800)],
    "what a shorter one replaced does not come back": [silence("long", 1, 9000), silence("short", 2, 5)],
    "lifted and set again": [silence("a", 1), silence("lift", 2, **LIFT), silence("b", 3)],
    "two targets": [silence("a", 1, **LABELS), silence("b", 2), silence("lift", 3, **LIFT, **LABELS)],
    "matchers with an entity": [silence("a", 1, matchers={"x": "1"}), silence("lift", 2, **LIFT)],
    "of one incident": [silence("a", 1, incident_id=uuid("i")), silence("lift", 2, **LIFT), silence("b", 3)],
    "retired": [silence("a", 1), action("r", "retire", at=at(2)), silence("b", 3, matchers={"x": "1"})],
    "retired at the same moment": [silence("a", 1), action("r", "retire", at=at(1))],
    "retired before": [action("r", "retire", at=at(1)), silence("a", 2)],
    "another entity retired": [silence("a", 1), action("r", "retire", at=at(2), entity="workflow:other")],
    "without an end": [action("a", "silence", at=at(1)), silence("link", 1, lasts=2)],
}  # fmt: skip
OTHERS = [kind for kind in get_args(ActionKind.__args__[0]) if kind not in ("silence", "retire")]  # type: ignore[attr-defined]


def of_notifier(actions: Sequence[Action]) -> InForce:
    state = SlottedStore({})
    for one in actions:
        accept(state, one, NOW.timestamp(), CONFIG)
    return sorted(
        (one.entity, one.incident_id, one.matchers, one.until_s, one.by) for one in stored_silences(state)
    )  # fmt: skip


def test_x14_an_unreadable_list_of_silences_in_the_state_lifts_none_and_stops_nothing() -> None:
    for actions in CASES.values():
        state = SlottedStore({})
        for one in actions:
            accept(state, one, NOW.timestamp(), CONFIG)
        known = [one for one in stored_silences(state) if one.until_s > NOW.timestamp()]
        for damaged in (b"", b"{", b'{"version":2}', b"\xff"):
            state["silences"] = damaged
            in_force = [one for one in stored_silences(state) if one.until_s > NOW.timestamp()]
            assert sorted(in_force, key=repr) == sorted(known, key=repr)
            accept(state, OPENED, NOW.timestamp(), CONFIG)
        accept(state, silence("later", 590, entity="workflow:another"), NOW.timestamp(), CONFIG)
        assert read(state, "silences", Silences) is not None, "the next decision writes it again"


async def of_list(pool: asyncpg.Pool) -> InForce:
    page = await incidents.silences(pool, active=True, limit=50)
    found = [msgspec.json.decode(item) for item in page.items]
    return sorted(
        (
            one["entity"], one["incident_id"] or "", one["matchers"], datetime.fromisoformat(one["until"]).timestamp(),
            one["by"],
        )
        for one in found
    )  # fmt: skip


def orders(actions: list[Action]) -> list[list[Action]]:
    """Every order, each record twice: at once, and all of them once more at the end."""
    return [
        each
        for order in itertools.permutations(actions)
        for each in ([*order], [one for one in order for _ in range(2)], [*order, *reversed(order)])
    ]


async def recorded(pool: asyncpg.Pool, order: Sequence[Action], *, by_api: bool, at_once: bool) -> None:
    """As the recorder stores them, after the API has stored them itself."""
    await pool.execute("TRUNCATE silences, actions")
    for epoch in (0, 1) if by_api else (1,):
        rows = [
            Row(one, "operator-actions", 0, offset, round(one.at.timestamp() * 1000), epoch=epoch)
            for offset, one in enumerate(order)
        ]
        for batch in [rows] if at_once else [[row] for row in rows]:
            assert await Writer(pool).write(Rows(actions=batch)) == []


@pytest.mark.parametrize("case", CASES)
async def test_x14_every_reader_has_the_same_silences_in_force(case: str, pool: asyncpg.Pool) -> None:
    expected = of_notifier(CASES[case])
    for number, order in enumerate(orders(CASES[case])):
        assert of_notifier(order) == expected, order
        await recorded(pool, order, by_api=number % 2 == 0, at_once=number % 3 == 0)
        assert await of_list(pool) == expected, order
        ended = await incidents.silences(pool, active=False, limit=50)
        every = await incidents.silences(pool, active=None, limit=50)
        assert len(ended.items) + len(expected) == len(every.items)


async def test_x14_what_the_cases_expect(pool: asyncpg.Pool) -> None:
    """Written down, so that three readers cannot agree on something wrong."""
    nightly = "workflow:nightly"
    expected: dict[str, list[tuple[str, dict[str, str], datetime]]] = {
        "a link pressed again after the silence was lifted": [],
        "a link pressed twice": [(nightly, {}, at(1441))],
        "a newer one takes the place of the earlier": [(nightly, {}, at(802))],
        "what a shorter one replaced does not come back": [],
        "lifted and set again": [(nightly, {}, at(1443))],
        "two targets": [(nightly, {}, at(1442))],
        "matchers with an entity": [(nightly, {"x": "1"}, at(1441))],
        "of one incident": [(nightly, {}, at(1443)), (nightly, {}, at(1441))],
        "retired": [(nightly, {"x": "1"}, at(1443))],
        "retired at the same moment": [],
        "retired before": [(nightly, {}, at(1442))],
        "another entity retired": [(nightly, {}, at(1441))],
        "without an end": [],
    }
    for case, actions in CASES.items():
        found = [(entity, matchers, until_s) for entity, _, matchers, until_s, _ in of_notifier(actions)]
        assert sorted(found, key=str) == sorted([(a, b, c.timestamp()) for a, b, c in expected[case]], key=str), case


@pytest.mark.parametrize("kind", OTHERS)
async def test_x14_no_other_kind_changes_a_silence(kind: str, pool: asyncpg.Pool) -> None:
    given = {"incident_id": uuid("i"), "comment": "why"}
    found = anomaly("i")
    edits = {"create_anomaly": found, "update_anomaly": found, "delete_anomaly": None}
    if kind in edits:
        given = {"anomaly_id": found.id, "anomaly": edits[kind]}  # type: ignore[dict-item]
    other = action("other", kind, at=at(2), **given)
    for order in orders([silence("a", 1), other]):
        assert len(of_notifier(order)) == 1
        await recorded(pool, order, by_api=True, at_once=False)
        assert await of_list(pool) == of_notifier(order)


async def test_x14_the_list_is_the_same_page_by_page(pool: asyncpg.Pool) -> None:
    actions = [silence(f"a{n}", n, entity=f"workflow:w{n % 7}") for n in range(30)]
    await recorded(pool, actions, by_api=False, at_once=True)
    seen: list[str] = []
    cursor = None
    while True:
        page = await incidents.silences(pool, active=True, limit=2, cursor=cursor)
        seen += [msgspec.json.decode(item)["id"] for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [f"a{n}" for n in range(29, 22, -1)] and len(of_notifier(actions)) == 7


def decisions(kind: str, about: str, minutes: float = 1.0) -> list[Action]:
    """By ann, and a minute later by bob."""
    given: dict[str, Any] = {"incident_id": uuid("i")} if about == "incident" else {}
    return [
        action("first", kind, at=at(minutes), by="ann", **given),
        action("second", kind, at=at(minutes + 1), by="bob", **given),
    ]


OPENED = anomaly("i", severity="warning", profile="robust", detected_at=at(0))
WORSE = anomaly("worse", incident="i", state="ongoing", severity="critical", profile="robust", detected_at=at(0))


def taken_for_notifier(order: Sequence[Any]) -> bool:
    """Whether people get no more about the incident."""
    state = SlottedStore({})
    for one in order:
        accept(state, one, NOW.timestamp(), CONFIG)
    outcomes = accept(state, WORSE, NOW.timestamp(), CONFIG)
    muted = {one.outcome for one in outcomes} == {"suppressed"}
    incident = read(state, f"incident:{uuid('i')}", Incident)
    assert incident is None or incident.acknowledged_by == ("ann" if muted else "")
    return muted


async def taken_in_list(pool: asyncpg.Pool, order: Sequence[Any]) -> str | None:
    """By whom."""
    await pool.execute("TRUNCATE silences, actions, anomalies, incidents")
    for offset, one in enumerate(order):
        listed = "actions" if isinstance(one, Action) else "anomalies"
        placed = Row(one, "t", 0, offset, round(NOW.timestamp() * 1000), epoch=1)
        assert await Writer(pool).write(Rows(**{listed: [placed]})) == []
    found = await pool.fetchval("SELECT coalesce(acknowledged_by, resolved_by) FROM incidents")
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.parametrize("about", ["incident", "entity"])
@pytest.mark.parametrize("kind", TAKES)
async def test_x14_every_reader_knows_who_took_an_incident(kind: str, about: str, pool: asyncpg.Pool) -> None:
    made = decisions(kind, about)
    for order in itertools.permutations([OPENED, *made]):
        for repeated in ([*order], [*order, *made], [*made, *order]):
            assert taken_for_notifier(repeated), repeated
        assert await taken_in_list(pool, [*order, *made]) == "ann", order


@pytest.mark.parametrize("kind", TAKES)
async def test_x14_what_makes_detection_forget_a_key_is_about_all_incidents_of_it(
    kind: str, pool: asyncpg.Pool
) -> None:
    """`relearn` and `retire` that name another incident of the entity: the detector has forgotten this one, too."""
    made = [msgspec.structs.replace(each, incident_id=uuid("another")) for each in decisions(kind, "entity")]
    for order in itertools.permutations([OPENED, *made]):
        assert taken_for_notifier([*order, *made]) == (kind in WHOLE_KEY), order
        assert await taken_in_list(pool, [*order, *made]) == ("ann" if kind in WHOLE_KEY else None), order


@pytest.mark.parametrize("kind", TAKES)
async def test_x14_a_decision_about_an_entity_takes_nothing_that_opens_later(kind: str, pool: asyncpg.Pool) -> None:
    made = decisions(kind, "entity", minutes=-5)
    for order in itertools.permutations([OPENED, *made]):
        assert not taken_for_notifier(order), order
        assert await taken_in_list(pool, order) is None, order
