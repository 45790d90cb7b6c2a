"""The list of who reads what, which lag and the demo's end are measured by, is what the roles read."""

from stream_detector.kafka import topics
from stream_detector.kafka.end_offsets import TOPICS_READ_BY
from stream_detector.roles import detector, notifier, recorder


def test_each_role_reads_what_is_listed():
    assert set(TOPICS_READ_BY["recorder"]) == set(recorder.READ)
    assert set(TOPICS_READ_BY["detector"]) == {*detector.DECODE, topics.REKEYED, topics.RUN_PARTS}
    assert set(TOPICS_READ_BY["notifier"]) == {*notifier.DECODE, topics.NOTIFIER_IN}
