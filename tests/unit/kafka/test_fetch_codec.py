"""Fetch requests and responses mean to the broker and to aiokafka what aiokafka's own would."""

from io import BytesIO

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11

from stream_detector.kafka import fetch_codec

TOPICS = [("workflow-completions", [(0, 2**40, 4 << 20), (3, 0, 1)]), ("notizen-ü", []), ("scores", [(1, 5, 9)])]
ANSWERS = [
    ("workflow-completions", [(0, 0, 2**41, 2**41, 0, [], -1, b"records"), (3, 6, -1, -1, -1, None, 2, b"")]),
    ("notizen-ü", []),
    ("scores", [(1, 0, 7, 5, 0, [(8, 4), (2**40, 6)], -1, None)]),
]


@pytest.mark.parametrize("rack", ["", "eu-west-1a"])
def test_a_request_is_written_as_aiokafka_writes_it(rack):
    request = FetchRequest(200, 1, 50 << 20, 1, TOPICS, rack_id=rack).prepare({1: (4, 11)})
    assert isinstance(request, FetchRequest_v11)
    request.__dict__["forgotten_topics_data"] = [("scores", [1, 2])]
    own = FetchRequest_v11.SCHEMA.encode([request.__dict__[name] for name in FetchRequest_v11.SCHEMA.names])
    assert fetch_codec.encode(request) == own


def test_a_response_is_read_as_aiokafka_reads_it():
    written = FetchResponse_v11.SCHEMA.encode([3, 0, 0, ANSWERS])
    read = fetch_codec.decode(written)
    assert (read.throttle_time_ms, read.error_code, read.session_id, read.topics) == (3, 0, 0, ANSWERS)


def test_a_response_after_its_header_in_a_stream():
    stream = BytesIO(b"head" + FetchResponse_v11.SCHEMA.encode([0, 0, 0, ANSWERS]))
    stream.read(4)
    assert fetch_codec.decode(stream).topics == ANSWERS


@pytest.mark.parametrize("cut", [1, 3, 9, 17])
def test_a_response_that_ends_too_early_is_an_error(cut):
    written = FetchResponse_v11.SCHEMA.encode([0, 0, 0, ANSWERS[:1]])
    with pytest.raises(ValueError, match=r"truncated|ends within"):
        fetch_codec.decode(written[:-cut])
