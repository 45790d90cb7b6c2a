"""The list of who reads what, which lag and the demo's end are measured by, is what the roles read."""

from stream_detector.stream import detector, notifier, recorder, topics
from stream_detector.stream.ends import READ_BY


def test_each_role_reads_what_is_listed():
    assert set(READ_BY["recorder"]) == set(recorder.READ)
    assert set(READ_BY["detector"]) == {*detector.DECODE, topics.REKEYED, topics.RUN_PARTS}
    assert set(READ_BY["notifier"]) == {*notifier.DECODE, topics.NOTIFIER_IN}
