"""Steps to take are computed from what is known of good executions."""

import pytest

from stream_detector.detect.statistics.evidence import Evidence
from stream_detector.events import Step
from tests.unit.detect.events_of import HUNDRED_TEN, bytes_of, feed, found, run, workflow


@pytest.mark.parametrize(
    "execution_id",
    [
        "42",
        "8c6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e0001",
        "8C6F0B6E-8A0C-4F6D-9D4C-3A1F5F0E0001",
        "8c6f-0b6e8a0c-4f6d-9d4c-3a1f5f0e0001",
        "zc6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e0001",
        "8c6f0b6e8a0c4f6d9d4c3a1f5f0e00018c6f",
        "",
    ],
)
def test_a_good_id_comes_back_as_it_was(execution_id):
    evidence, copy = Evidence(), Evidence()
    evidence.learn(run(1, execution_id=execution_id), 0)
    packed = bytes_of(evidence)
    assert copy.fill(packed, 0) == len(packed)
    assert (copy.good_id, evidence.good_id, bytes_of(copy)) == (execution_id, execution_id, packed)
    assert len(packed) <= 15 + 5 + len(execution_id)


@pytest.mark.parametrize("execution_id", ["x" * 41, "\u00fc1"])
def test_a_long_good_id_and_one_beyond_ascii_are_not_kept(execution_id):
    evidence, copy = Evidence(), Evidence()
    evidence.learn(run(1, execution_id=execution_id), 0)
    assert evidence.good_id == ""
    copy.fill(bytes_of(evidence), 0)
    assert copy.good_id == ""


def test_a_step_that_comes_twice_is_learned_twice():
    evidence, again = Evidence(), Evidence()
    twice = [Step("build", None, 100.0), Step("build", None, 50.0), Step("pack", None, 50.0)]
    evidence.learn(run(1, steps=twice), 0)
    assert evidence.expected_step_s("build") == pytest.approx(95.0)
    again.fill(bytes_of(evidence), 0)
    for one in (evidence, again):
        one.learn(run(2, steps=twice), 0)
        assert one.expected_step_s("build") == pytest.approx(0.9 * (95.0 + 0.1 * 5.0) + 0.1 * 50.0)
    assert bytes_of(again) == bytes_of(evidence)


def test_more_steps_than_are_known_are_never_taken_for_those():
    """Behind the names' hashes lie durations, and a name may have the hash that a duration looks like."""
    evidence, one = Evidence(), Step("one of two", None, 1.0)
    evidence.learn(run(1, steps=[one]), 0)
    both = [one, Step("like a duration", None, 1.0)]
    names = Evidence().observe(both).names
    names.hashes = evidence.columns[:8]
    assert list(evidence.observe(both).places) == [0, -1]


@pytest.mark.parametrize("first", [0, 1])
def test_names_with_the_separator_in_them_are_names_of_their_own(first):
    for names in [["apart", "from"], ["apart\x1ffrom"]][:: 1 if first else -1]:
        evidence = Evidence()
        for n in range(2):
            evidence.learn(run(n, steps=[Step(name, None, 1.0 + n) for name in names]), 0)
        assert [evidence.expected_step_s(name) for name in names] == [pytest.approx(1.1)] * len(names)


def test_steps_are_found_in_whatever_order_they_come():
    evidence = Evidence()
    evidence.learn(run(1, steps=[Step("a", None, 1.0), Step("b", None, 2.0)]), 0)
    evidence.learn(run(2, steps=[Step("c", None, 4.0), Step("b", None, 12.0), Step("a", None)]), 0)
    assert [evidence.expected_step_s(name) for name in "abcd"] == [1.0, 3.0, 4.0, None]
    assert [evidence.expected_share(name) is None for name in "abcd"] == [False, False, False, True]


def test_a_missing_step_is_named_as_far_as_names_are_kept():
    """Of all names 512 bytes are kept, of each its first 64."""
    evidence, names = Evidence(), [f"{n}" * 70 for n in range(9)]
    evidence.learn(run(1, steps=[Step(name, None, 1.0) for name in names]), 0)
    gone = evidence.missing(evidence.observe([Step(names[0], None, 1.0)]))
    assert gone == [name[:64] for name in names[1:7]]
    assert len(evidence.names) < 512
    assert evidence.expected_step_s(names[8]) == 1.0, "it is known all the same"


def test_no_step_stands_out():
    baseline = workflow()
    feed(baseline, [run(n, d, steps=[Step("build", None, 100.0)]) for n, d in enumerate(HUNDRED_TEN)])
    (unusual, _) = found(feed(baseline, [run(50, 300.0, steps=[Step("build", None, 101.0), Step("new", None, 9.0)])]))
    assert unusual.investigation_steps[0] == (
        "No single step stands out: look at what lies between them, such as waiting and set-up"
    )


def test_a_step_that_shrank_explains_a_fast_run():
    baseline = workflow()
    feed(baseline, [run(n, d, steps=[Step("build", None, 100.0)]) for n, d in enumerate(HUNDRED_TEN)])
    (unusual,) = found(feed(baseline, [run(50, 1.0, steps=[Step("build", None, 1.0)])]))
    assert unusual.investigation_steps[0] == "Look at step build, which shrank most: 1 s, usually 1 m 40 s"


def test_the_step_that_grew_comes_before_the_step_that_failed():
    baseline = workflow()
    feed(baseline, [run(n, d, steps=[Step("test", None, 100.0)]) for n, d in enumerate(HUNDRED_TEN)])
    unusual = found(feed(baseline, [run(50, 300.0, "failure", steps=[Step("test", "failure", 300.0)])]))[0]
    assert unusual.investigation_steps[:2] == [
        "Look at step test, which grew most: 5 m, usually 1 m 40 s",
        "Read the log of the failed step test",
    ]


def test_a_step_that_is_not_known_leaves_the_shares_of_the_others_as_they_are():
    evidence = Evidence()
    evidence.learn(run(1, steps=[Step("a", None, 1.0), Step("b", None, 1.0)]), 0)
    seen = evidence.observe([Step("a", None, 8.0), Step("new", None, 1.0), Step("b", None, 1.0)])
    evidence.accept_shares(seen, 0.2, 6.0)
    spreads = [share[1] for name in "ab" if (share := evidence.expected_share(name)) is not None]
    assert len(spreads) == 2 and min(spreads) > 0.0
    assert evidence.expected_share("new") is None
    assert evidence.furthest(seen, 0.2, 6.0) == -1, "once"
