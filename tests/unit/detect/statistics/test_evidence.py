"""Steps to take are computed from what is known of good executions."""

import pytest

from stream_detector.detect.statistics.evidence import STEPS, Evidence
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
    assert len(packed) <= 15 + 5 + 34 + len(execution_id)


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


def of(names: list[str], took_s: float = 1.0) -> list[Step]:
    return [Step(name, None, took_s) for name in names]


def learned(*executions: list[str], packed: bool = True) -> Evidence:
    """What these executions taught it, each after a restart."""
    evidence = Evidence()
    for number, names in enumerate(executions):
        evidence.learn(run(number, steps=of(names)), 0)
        if packed:
            copy = Evidence()
            copy.fill(bytes_of(evidence), 0)
            evidence = copy
    return evidence


OLD, NEW = [f"old {n}" for n in range(STEPS)], [f"new {n}" for n in range(STEPS)]


def test_x7_the_last_of_32_steps_is_one_like_the_others():
    """Compiled, its bit was negative: the nearest set had no steps, and nothing was missing."""
    evidence = learned(*[OLD] * 3)
    assert evidence.observe(of(OLD)).mask == 0xFFFFFFFF
    seen = evidence.observe(of([*OLD[1:], "lint"]))
    assert evidence.nearest_set(seen) == (STEPS, 0xFFFFFFFF)
    assert (evidence.missing(seen), evidence.new(seen)) == (["old 0"], ["lint"])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("few", [1, 7, STEPS])
def test_x7_steps_that_no_longer_run_give_their_places_to_those_that_do(packed, few):
    """As in a workflow whose tests were renamed over the years: the evidence was of those of its first day."""
    after = [*OLD[few:], *NEW[:few]]
    evidence = learned(*[OLD] * 40, *[after] * 6, packed=packed)
    assert all(evidence.expected_step_s(name) == 1.0 for name in after)
    assert [name for name in OLD if evidence.expected_step_s(name) is not None] == OLD[few:]
    seen = evidence.observe(of([*after[1:], "lint"]))
    assert (evidence.missing(seen), evidence.new(seen)) == ([after[0]], ["lint"])
    assert evidence.is_known("lint"), "it may be of the old set, whose steps have no places any more"
    evidence = learned(*[OLD] * 40, *[after] * 6, *[after[:n] for n in (20, 21, 22)])
    assert not evidence.is_known("lint") and evidence.is_known(after[-1])
    assert len(evidence.columns) == 16 * STEPS


def test_x7_of_sets_that_alternate_none_loses_its_steps_to_the_other():
    one, other = OLD, [*OLD[:4], *NEW[:8]]
    assert learned(*[one, other] * 20).expected_step_s(NEW[0]) is None
    evidence = learned(*[one, other] * 20, other)
    assert [evidence.expected_step_s(name) for name in other] == [1.0] * 12
    assert evidence.expected_step_s(OLD[-1]) == 1.0, "only as many as were needed"
    assert evidence.new(evidence.observe(of(one))) == [] and evidence.is_known(OLD[4])


def test_x7_of_more_steps_than_are_remembered_none_is_called_new():
    many = OLD + NEW
    evidence = learned(*[many] * 40)
    seen = evidence.observe(of([*many, "lint"]))
    assert (evidence.new(seen), evidence.is_known("lint")) == ([], True)
    assert [evidence.expected_step_s(name) for name in (OLD[0], OLD[-1], NEW[0])] == [1.0, 1.0, None]
    assert evidence.columns == learned(*[many] * 41).columns


def test_x7_state_of_before_in_which_no_place_is_left_is_taken_over():
    """Its last sets have steps that are not remembered: none of them is new, and the next execution learns them."""
    evidence = learned(*[OLD] * 40)
    evidence.sets = learned(*[["x 1", "x 2"]] * 4).sets[:11] + bytes(4)  # two steps, and a place for neither
    seen = evidence.observe(of(["x 1", "x 2", "x 3"]))
    assert (evidence.new(seen), evidence.is_known("x 1")) == ([], True)
    evidence.learn(run(50, steps=of(["x 1", "x 2"])), 0)
    assert evidence.expected_step_s("x 1") == 1.0 and not evidence.is_known("x 3")


def test_x7_the_share_of_a_step_that_took_over_a_place_is_learned_before_it_is_judged():
    evidence = learned(*[OLD] * 40, *[[*OLD[2:], *NEW[:2]]] * 3)
    lately = [Step(name, None, 60.0 if name == NEW[0] else 1.0) for name in [*OLD[2:], *NEW[:2]]]
    assert evidence.furthest(evidence.observe(lately), 0.2, 6.0) == -1
    for number in range(20):
        evidence.learn(run(100 + number, steps=of([*OLD[2:], *NEW[:2]])), 0)
    assert lately[evidence.furthest(evidence.observe(lately), 0.2, 6.0)].name == NEW[0]


def test_x7_a_taken_over_step_that_comes_twice_and_long_names_have_one_place():
    names = ["n" * 64 + str(n) for n in range(3)]
    evidence = learned(*[OLD] * 5, *[[names[0], names[0], *names[1:]]] * 5)
    assert evidence.expected_step_s(names[0]) == 1.0
    assert len(evidence.names) <= 512
    assert evidence.missing(evidence.observe(of([names[0]]))) == [name[:64] for name in names[1:]]
