"""What a role makes of an answer about topics."""

import pytest

from stream_detector.delivery import topic_watch
from stream_detector.delivery.topic_watch import TopicWatch
from stream_detector.kafka.topics import ALERTS, BASELINES, COMPLETIONS, SCORES


def watch_of(partitions):
    said = []
    return TopicWatch(partitions, "p.", said.append), said


def counts(**found):
    by_name = {"p." + name.replace("_", "-"): count for name, count in found.items()}
    return lambda name: by_name.get(name, 0)


def test_a_topic_that_shrinks_ends_the_role_and_one_that_grows_does_not():
    watch, said = watch_of({COMPLETIONS: 4, BASELINES: 4})
    look = watch.of_client()
    look(counts(workflow_completions=4, baselines=4))
    look(counts(workflow_completions=9, baselines=4))
    assert not said
    look(counts(workflow_completions=8, baselines=4))
    assert "p.workflow-completions had 9 partitions and has 8" in said[0]


def test_one_of_ours_that_gets_partitions_ends_the_role():
    watch, said = watch_of({COMPLETIONS: 4, BASELINES: 4})
    watch.of_client()(counts(workflow_completions=4, baselines=6))
    assert "p.baselines had 4 partitions and has 6" in said[0] and "setup --repartition 6" in said[0]


def test_a_topic_that_one_client_never_asks_about_is_not_missing(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(topic_watch.time, "monotonic", lambda: now_s[0])
    watch, _ = watch_of({COMPLETIONS: 4, ALERTS: 4})
    consumer, producer = watch.of_client(), watch.of_client()
    consumer(counts(workflow_completions=4))
    producer(counts(alerts=4))
    now_s[0] += 60.0
    assert not watch.find_missing()
    producer(counts())
    now_s[0] += 5.0
    assert not watch.find_missing()
    consumer(counts(workflow_completions=4))
    now_s[0] += 6.0
    assert "p.alerts" in watch.find_missing()
    producer(counts(alerts=4))
    assert not watch.find_missing()


@pytest.mark.parametrize(
    ("groups", "answered", "known"),
    [
        ({BASELINES: 0, COMPLETIONS: 0, SCORES: 1}, {"workflow_completions": 4, "scores": 8}, (4, 8)),
        # The member that made the assignment knew less, or more, than the broker has told us.
        ({BASELINES: 0, COMPLETIONS: 0, SCORES: 1}, {"workflow_completions": 8, "scores": 8}, (4, 8)),
        ({BASELINES: 0, COMPLETIONS: 1, SCORES: 1}, {"workflow_completions": 4, "scores": 8}, (0, 8)),
    ],
)
def test_whether_a_topic_goes_with_the_state_is_what_the_assignment_makes_of_it(groups, answered, known):
    partitions = {BASELINES: 4, COMPLETIONS: 4, SCORES: 4, ALERTS: 4}
    watch, said = watch_of(partitions)
    watch.take_assignment({"p." + name: group for name, group in groups.items()}.get, counts(**answered), BASELINES)
    assert (partitions[COMPLETIONS], partitions[SCORES]) == known
    assert (partitions[BASELINES], partitions[ALERTS]) == (4, 4) and not said
