"""The list of who reads what, which lag and the demo's end are measured by, is what the roles read."""

from stream_detector.kafka import topics
from stream_detector.kafka.end_offsets import READ_BY
from stream_detector.roles import detector, notifier, recorder


def test_each_role_reads_what_is_listed():
    assert set(READ_BY["recorder"]) == set(recorder.READ)
    assert set(READ_BY["detector"]) == {*detector.DECODE, topics.REKEYED, topics.RUN_PARTS}
    assert set(READ_BY["notifier"]) == {*notifier.DECODE, topics.NOTIFIER_IN}
