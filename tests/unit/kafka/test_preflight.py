"""What a topic must be like: how many partitions and copies, which settings; safer than demanded is as good."""

import pytest

from stream_detector.kafka.acls import Acl
from stream_detector.kafka.preflight import MissingAclsError, TopicState, expected_config, usual_partitions
from stream_detector.kafka.topics import (
    ALERTS,
    BASELINES,
    BY_NAME,
    NOTIFIER_IN,
    REKEYED,
    RUN_PARTS,
    RUNS_STATE,
    SCORES,
    TOPICS,
)
from stream_detector.settings import Settings


def state(
    name=BASELINES,
    *,
    wanted=4,
    partitions=4,
    replicas=3,
    wanted_replicas=3,
    operations=None,
    usual=0,
    fewer=1,
    **config,
):
    settings = {key.replace("_", "."): value for key, value in config.items()}
    found = expected_config(BY_NAME[name], wanted_replicas) | settings
    return TopicState(
        BY_NAME[name], name, wanted, partitions, replicas, wanted_replicas, operations, found, usual, fewer
    )


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"replicas": 5},
        {"min_insync_replicas": "3"},
        {"min_compaction_lag_ms": "7200000"},
        {"name": ALERTS, "retention_ms": "1000"},
        {"replicas": 1, "wanted_replicas": 1},
        {"name": SCORES, "cleanup_policy": "compact", "replicas": 1},
        {"name": SCORES, "partitions": 2},
        {"name": SCORES, "partitions": 24},
        {"operations": frozenset({"Describe"})},
    ],
    ids=str,
)
def test_as_demanded_or_safer_is_ok(good):
    assert (state(**good).state, state(**good).advice) == ("ok", "")


@pytest.mark.parametrize(
    ("bad", "word", "said"),
    [
        ({"partitions": 0}, "missing", "run `stream-detector setup`"),
        ({"partitions": 2}, "mismatch", "has 2 partitions and should have 4"),
        (
            {"partitions": 2, "usual": 2},
            "mismatch",
            "STREAM_DETECTOR_PARTITIONS: set it to 2, as many as all topics here",
        ),
        (
            {"partitions": 2, "usual": 2},
            "mismatch",
            "or stop every role and run `stream-detector setup --repartition 4`",
        ),
        (
            {"partitions": 1, "usual": 4},
            "mismatch",
            "baselines had 4 partitions and has 1: it was deleted, and the broker",
        ),
        (
            {"partitions": 1, "usual": 4},
            "mismatch",
            "run `stream-detector setup`, then `stream-detector baselines restore`",
        ),
        ({"partitions": 8, "usual": 4}, "mismatch", "`stream-detector setup --repartition 8`"),
        (
            {"name": ALERTS, "wanted": 8, "partitions": 4, "usual": 8},
            "mismatch",
            "setup --repartition 8` was interrupted",
        ),
        (
            {"name": NOTIFIER_IN, "wanted": 1, "partitions": 4, "usual": 4},
            "mismatch",
            "has 4 partitions and should have 1",
        ),
        ({"replicas": 1}, "mismatch", "has 1 replicas and should have 3"),
        ({"cleanup_policy": "delete"}, "mismatch", "--add-config cleanup.policy=compact"),
        ({"cleanup_policy": "compact,delete"}, "mismatch", "has cleanup.policy=compact,delete"),
        ({"min_compaction_lag_ms": "0"}, "mismatch", "--add-config min.compaction.lag.ms=3600000"),
        ({"min_insync_replicas": "1"}, "mismatch", "--add-config min.insync.replicas=2"),
        ({"replicas": 1, "wanted_replicas": 1, "min_insync_replicas": "2"}, "mismatch", "min.insync.replicas=1"),
        ({"partitions": 0, "operations": frozenset()}, "forbidden", "`stream-detector acls`"),
    ],
    ids=str,
)
def test_what_could_lose_something_is_a_mismatch_and_says_what_to_do(bad, word, said):
    assert state(**bad).state == word
    assert said in state(**bad).advice


def test_x11_a_changelog_with_the_times_of_the_workers_is_accepted_with_the_advice_to_raise_its_lag():
    former = state(message_timestamp_type="CreateTime")
    assert (former.state, former.advice) == ("ok", "")
    assert former.hint.endswith("--entity-name baselines --add-config min.compaction.lag.ms=86400000")
    assert state(message_timestamp_type="CreateTime", min_compaction_lag_ms="86400000").hint == ""
    assert state().hint == state(ALERTS, message_timestamp_type="CreateTime").hint == ""


def test_acls_of_the_same_kind_are_named_together_with_who_lacks_them():
    acls = [Acl("topic", "a", "Read"), Acl("topic", "b", "Read"), Acl("group", "g", "Read")]
    said = str(MissingAclsError("detector", acls, Settings(broker="h:1", broker_user="watch")))
    assert said.startswith("Kafka at h:1 does not allow user watch: Read on topic a, b; Read on group g. ")
    assert "an unauthenticated client" in str(MissingAclsError("detector", acls, Settings(broker="h:1")))


@pytest.mark.parametrize(
    ("counts", "usual"),
    [
        ({}, 4),
        ({BASELINES: 1}, 4),
        ({ALERTS: 1}, 4),
        ({SCORES: 24}, 4),
        (dict.fromkeys(BY_NAME, 0) | {BASELINES: 2}, 0),
        (dict.fromkeys(BY_NAME, 8) | {ALERTS: 4}, 8),
        (dict.fromkeys(BY_NAME, 8) | dict.fromkeys((REKEYED, RUN_PARTS, BASELINES, RUNS_STATE), 4), 8),
    ],
    ids=str,
)
def test_what_most_topics_have_counts_whatever_happened_to_one(counts, usual):
    found = [(topic, counts.get(topic.name, topic.partitions or 4)) for topic in TOPICS]
    assert usual_partitions(found) == usual
