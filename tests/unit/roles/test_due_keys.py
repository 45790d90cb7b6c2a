"""Buckets of a minute: one entry a key, taken when its minute has passed."""

import random
import tracemalloc

from stream_detector.roles.due_keys import MINUTE_S, DueKeys


def test_a_key_is_taken_once_its_minute_has_passed_and_once() -> None:
    keys = DueKeys()
    keys.note("a", 130)
    assert not keys.is_due(179_999) and keys.take(179_999) == []
    assert keys.is_due(180_000) and keys.take(180_000) == ["a"]
    assert keys.take(10**9) == [] and len(keys) == 0


def test_the_earliest_of_a_keys_due_times_holds() -> None:
    keys = DueKeys()
    for due_s in (600, 900, 300, 450):
        keys.note("a", due_s)
    assert len(keys) == 1
    assert keys.take(360_000) == ["a"]
    assert keys.take(10**9) == [], "the entry that gave way is none"


def test_any_order_of_notes_gives_each_key_at_its_own_minute() -> None:
    draw, keys, first = random.Random(7), DueKeys(), {}
    for _ in range(5_000):
        key, due_s = f"k{draw.randrange(500)}", draw.randrange(1, 100_000)
        keys.note(key, due_s)
        first[key] = min(due_s // MINUTE_S, first.get(key, 10**9))
    taken: dict[str, int] = {}
    for minute in range(100_000 // MINUTE_S + 2):
        for key in keys.take(minute * MINUTE_S * 1000):
            assert key not in taken
            taken[key] = minute - 1
    assert taken == first


def test_the_memory_of_a_due_key_is_what_the_documentation_says() -> None:
    """docs/operations.md, "The clock in the stream"."""
    names = [f"workflow:build-of-project-{number:06d}" for number in range(20_000)]
    tracemalloc.start()
    keys = DueKeys()
    for number, name in enumerate(names):
        keys.note(name, 1_796_000_000 + 7 * number % 2_592_000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 60 * len(names) < held < 220 * len(names), held / len(names)
