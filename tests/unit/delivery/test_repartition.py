"""Where a forwarded event came from travels with it."""

from stream_detector.delivery.repartition import ORIGIN, Origin, read_origin, strip_origin

TOPICS = ("workflow-completions", "scores")


def test_an_origin_survives_the_way():
    origin = Origin("workflow-completions", 3, 1 << 40, 1_769_040_300_000)
    assert read_origin([("mode", b"backfill"), origin.header()], TOPICS) == origin
    assert origin.place == "workflow-completions/3"


def test_a_record_that_nobody_forwarded_has_none():
    assert read_origin([], TOPICS) is None
    assert read_origin([("mode", b"backfill"), (ORIGIN, None)], TOPICS) is None


def test_a_header_of_another_program_or_of_a_later_version_names_none():
    for value in (b"", b"\xff", b"scores", b"scores/1/2", b"scores/a/2/3", b"a-topic-of-later/1/2/3"):
        assert read_origin([(ORIGIN, value)], TOPICS) is None


def test_the_last_header_counts_since_a_producer_may_have_sent_one_too():
    false, true = Origin("scores", 0, 1, 2), Origin("scores", 1, 7, 8)
    assert read_origin([false.header(), true.header()], TOPICS) == true


def test_the_records_own_headers_stay_as_they_were():
    own = [("traceparent", b"00-1"), ("mode", None)]
    assert strip_origin([*own, Origin("scores", 0, 1, 2).header()]) == own
