"""What a topic must be like: how many partitions and copies, which settings; safer than demanded is as good."""

import pytest

from stream_detector.kafka.acls import Acl
from stream_detector.kafka.preflight import MissingAclsError, TopicState, expected_config
from stream_detector.kafka.topics import ALERTS, BASELINES, BY_NAME, SCORES
from stream_detector.settings import Settings


def state(name=BASELINES, *, wanted=4, partitions=4, replicas=3, wanted_replicas=3, operations=None, **config):
    settings = {key.replace("_", "."): value for key, value in config.items()}
    found = expected_config(BY_NAME[name], wanted_replicas) | settings
    return TopicState(BY_NAME[name], name, wanted, partitions, replicas, wanted_replicas, operations, found)


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
        ({"name": SCORES, "partitions": 2}, "mismatch", "has 2 partitions and should have 4"),
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
