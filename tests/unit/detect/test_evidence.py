"""Steps to take are computed from what is known of good executions."""

import pytest

from stream_detector.detect.evidence import Evidence
from stream_detector.events import Step
from tests.unit.detect.events_of import HUNDRED_TEN, feed, found, run, workflow


@pytest.mark.parametrize(
    "execution_id",
    [
        "42",
        "8c6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e0001",
        "8C6F0B6E-8A0C-4F6D-9D4C-3A1F5F0E0001",
        "8c6f-0b6e8a0c-4f6d-9d4c-3a1f5f0e0001",
        "zc6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e0001",
        "",
    ],
)
def test_a_good_id_comes_back_as_it_was(execution_id):
    evidence, copy = Evidence(), Evidence()
    evidence.good_id = execution_id
    copy.fill(evidence.pack(), 0)
    assert copy.good_id == execution_id
    assert len(evidence.pack()) <= 15 + len(execution_id)


def test_no_step_stands_out():
    baseline = workflow()
    feed(baseline, [run(n, d, steps=[Step("build", None, 100.0)]) for n, d in enumerate(HUNDRED_TEN)])
    (unusual, _) = found(feed(baseline, [run(50, 300.0, steps=[Step("build", None, 101.0), Step("new", None, 9.0)])]))
    assert unusual.investigation_steps[0] == (
        "No single step stands out: the largest change is step build, 1 m 41 s, usually 1 m 40 s"
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
        "Look at step test, which grew most: 5 m 0 s, usually 1 m 40 s",
        "Read the log of the failed step test",
    ]
