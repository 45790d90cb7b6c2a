"""What the policy keeps is in slots whose names are the same always, and no more than it needs."""

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from stream_detector.notify.policy import expire
from stream_detector.notify.state import decided_ids
from stream_detector.notify.state import slotted_store as module
from stream_detector.notify.state.keys import KEEP_S
from stream_detector.notify.state.slotted_store import SLOT_BYTES, SLOTS, Slot, SlottedStore
from tests.unit.notify.living import NOW_S, Notifier, only
from tests.unit.notify.subjects import slow

KINDS = ("due", "held", "again")
keys = st.sampled_from([f"{kind}:{folder}:{name}" for kind in KINDS for folder in "xy" for name in "123"])
changes = st.lists(st.tuples(keys, st.none() | st.binary(max_size=3)), max_size=60)


@given(changes)
def test_it_is_a_mapping_that_finds_by_beginning_and_comes_back_from_its_slots(made: list) -> None:
    kept: dict[str, Slot] = {}
    store, plain = SlottedStore({}, keep=lambda name, slot: kept.__setitem__(name, dict(slot))), dict[str, bytes]()
    for key, value in made:
        if value is None:
            assert (store.pop(key, None) is None) == (plain.pop(key, None) is None)
        else:
            store[key] = plain[key] = value
    for one in (store, SlottedStore(kept)):
        assert dict(one) == plain and len(one) == len(plain)
        for prefix in ("due:", "held:x:", "held:y:", "held:z:"):
            assert set(one.keys_of(prefix)) == {key for key in plain if key.startswith(prefix)}
    assert store.changes <= len(made)


def test_keys_come_and_go_and_the_slots_stay() -> None:
    names: set[str] = set()
    store = SlottedStore({}, keep=lambda name, slot: names.add(name))
    for number in range(20_000):
        store[f"due:{number}:slack"] = b"x"
        del store[f"due:{number}:slack"]
    assert len(names) <= SLOTS and len(store) == 0


def test_no_slot_grows_beyond_what_a_broker_takes(monkeypatch) -> None:
    monkeypatch.setattr(module, "SLOTS", 1)
    kept: dict[str, Slot] = {}
    store = SlottedStore({}, keep=kept.__setitem__)
    for number in range(300):
        store[f"due:{number}"] = b"x" * 1_000
    assert len(kept) == 3 and max(len(msgspec.msgpack.encode(slot)) for slot in kept.values()) < 2 * SLOT_BYTES
    assert all(store[f"due:{number}"] == b"x" * 1_000 for number in range(300))


def test_what_changed_since_the_last_checkpoint_is_not_safe_and_a_neighbour_is() -> None:
    at = {"begun": 0, "safe": 0}
    store = SlottedStore({}, checkpoints=lambda: (at["begun"] + 1, at["safe"]))
    store["due:1"] = b"a"
    assert not store.is_safe("due:1") and store.is_safe("due:unknown")
    at["begun"] = 1
    store["due:1:later"] = b"b"
    assert not store.is_safe("due:1"), "under way is not safe"
    at["safe"] = 1
    assert store.is_safe("due:1") and not store.is_safe("due:1:later")
    store["due:1"] = b"c"
    at["begun"] = 2  # and refused: nothing of it counts as written
    store["due:other"] = b"d"
    assert not any(map(store.is_safe, ("due:1", "due:1:later", "due:other")))
    at["begun"] = at["safe"] = 3
    assert all(map(store.is_safe, ("due:1", "due:1:later", "due:other")))


def test_a_slot_is_settled_before_it_changes() -> None:
    encoded: list[tuple[str, Slot]] = []
    slots: dict[str, Slot] = {}
    store = SlottedStore({}, lambda name: encoded.append((name, dict(slots.get(name, {})))), slots.__setitem__)
    store["due:1"] = b"a"
    store["due:1"] = b"b"
    del store["due:1"]
    assert [before for _, before in encoded] == [{}, {"due:1": b"a"}, {"due:1": b"b"}]


def test_each_key_has_its_turn() -> None:
    store = SlottedStore({})
    store.update({f"due:{number}": b"" for number in range(10)})
    assert {key for _ in range(4) for key in store.next_keys("due:", 3)} == {f"due:{number}" for number in range(10)}


def test_seen_is_remembered_for_31_days_in_a_space_that_does_not_grow(monkeypatch) -> None:
    monkeypatch.setattr(decided_ids, "RINGS", 64)
    state, most = SlottedStore({}), 64 * decided_ids.RING
    assert not decided_ids.is_decided(state, "a")
    decided_ids.mark_decided(state, "a", NOW_S)
    assert decided_ids.is_decided(state, "a") and not decided_ids.is_decided(state, "b")
    for number in range(2 * most):
        decided_ids.mark_decided(state, f"n{number}", NOW_S + KEEP_S - 1)
    assert sum(map(len, state.values())) == most * 12
    recent = range(2 * most - most * 100_000 // (4_096 * 64), 2 * most)
    assert all(decided_ids.is_decided(state, f"n{number}") for number in recent), (
        "of the whole the newest 100,000, whatever comes"
    )
    decided_ids.mark_decided(state, "later", NOW_S + 2 * KEEP_S)
    assert sorted(map(len, state.values()))[:2] == [12, decided_ids.RING * 12], (
        "what is older goes when its ring is written"
    )


def test_a_long_life_needs_no_more_than_a_short_one() -> None:
    """90 days of 10 incidents a day that open and end: slots and bytes are those of the second month."""
    names: set[str] = set()
    notifier = Notifier(only("slack", rate_limit_count=50))
    notifier.state = SlottedStore({}, keep=lambda name, slot: names.add(name))
    sizes = []
    for number in range(900):
        given = {"incident": f"{number}", "entity_id": f"w{number % 10}", "profile": "robust"}
        notifier.after(8_640 - 120).take(slow(f"open {number}", **given))
        notifier.after(60).take(slow(f"end {number}", state="resolved", severity="info", **given)).after(60)
        expire(notifier.state, notifier.now_s)
        if number % 10 == 0:  # adding up takes longer than an incident
            sizes.append(sum(len(value) for key, value in notifier.state.items() if not key.startswith("seen:")))
    assert max(sizes[60:]) <= 1.1 * max(sizes[30:60])
    assert len(names) <= SLOTS


@given(changes, changes)
def test_what_raises_leaves_every_key_and_every_list_as_it_was(before: list, within: list) -> None:
    kept: dict[str, Slot] = {}
    store = SlottedStore({}, keep=lambda name, slot: kept.__setitem__(name, dict(slot)))

    def apply(made: list) -> None:
        for key, value in made:
            if value is None:
                store.pop(key, None)
            else:
                store[key] = value

    apply(before)
    plain = dict(store)
    with pytest.raises(ZeroDivisionError), store.undo_on_error():
        apply(within)
        raise ZeroDivisionError
    for one in (store, SlottedStore(kept)):
        assert dict(one) == plain
        for prefix in ("due:", "held:x:", "held:y:"):
            assert set(one.keys_of(prefix)) == {key for key in plain if key.startswith(prefix)}
    with store.undo_on_error():
        apply(within)
    apply([("due:x:1", b"later")])
    assert store["due:x:1"] == b"later"
