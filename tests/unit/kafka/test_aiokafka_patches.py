"""A request to a connection that is closed, before and after its reader has noticed."""

from types import SimpleNamespace

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError

from stream_detector.kafka import aiokafka_patches


class Writer:
    """Its transport is closed, as uvloop's is after a reset; what is written raises as there."""

    def __init__(self, closed):
        self.transport = SimpleNamespace(is_closing=lambda: closed)
        self.closed, self.written = closed, b""

    def write(self, data):
        if self.closed:
            raise RuntimeError("the handler is closed")
        self.written += data

    def close(self):
        self.closed = True


@pytest.fixture
async def connection(monkeypatch):
    for name, send in aiokafka_patches._STOCK.items():
        monkeypatch.setattr(AIOKafkaConnection, name, send)
    connection = AIOKafkaConnection("broker.example", 9092)
    connection._reader = SimpleNamespace(at_eof=lambda: False)
    connection._read_task = SimpleNamespace(done=lambda: True, cancel=lambda: None)
    yield connection
    connection._reader = None  # nothing to close


async def test_what_is_closed_raises_what_aiokafka_expects(connection):
    connection._writer = Writer(closed=True)
    with pytest.raises(RuntimeError):
        connection._send_sasl_token(b"token", expect_response=False)
    aiokafka_patches.install()
    connection._writer = Writer(closed=True)
    with pytest.raises(KafkaConnectionError, match="No connection to broker"):
        connection._send_sasl_token(b"token", expect_response=False)
    assert not connection.connected()


async def test_what_is_open_is_written_to(connection):
    aiokafka_patches.install()
    aiokafka_patches.install()  # once more changes nothing
    connection._writer = writer = Writer(closed=False)
    writer.drain = lambda: "drained"
    assert connection._send_sasl_token(b"token", expect_response=False) == "drained"
    assert writer.written == b"\0\0\0\x05token"
