"""The broker's end of a connection is gone, and a request comes before the reader has noticed. On uvloop, as the roles
run; stock aiokafka beside it shows what it is there for."""

import asyncio
import socket
import struct
import threading

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from stream_detector.kafka import aiokafka_patches

RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture(params=["tansu"])
def broker(request):
    """What happens, happens on our side of the connection."""
    return request.getfixturevalue(request.param)


class Relay:
    """One connection to the broker that can be torn."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._there = socket.create_connection((host, int(port)))
        self._threads = [threading.Thread(target=self._run)]
        self._threads[0].start()

    def _run(self):
        self._here, _ = self._listening.accept()
        self._threads.append(threading.Thread(target=self._pump, args=(self._there, self._here)))
        self._threads[1].start()
        self._pump(self._here, self._there)

    @staticmethod
    def _pump(source, target):
        while data := source.recv(65536):
            target.sendall(data)

    def tear(self):
        """As a broker that is killed with something unread: a reset, not an end. Both pumps end with it."""
        self._there.shutdown(socket.SHUT_RDWR)
        self._threads[1].join()
        self._here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        self._here.shutdown(socket.SHUT_RD)
        self._threads[0].join()
        for one in (self._here, self._there, self._listening):
            one.close()


async def ask_a_torn_connection(address):
    relay = Relay(address)
    connection = await create_conn("127.0.0.1", relay.port)
    assert (await connection.send(MetadataRequest([]))).brokers
    relay.tear()
    raised = set()
    for _ in range(10):
        await asyncio.sleep(0)
        try:
            answer = connection.send(MetadataRequest([]))
        except (KafkaConnectionError, RuntimeError) as error:
            raised.add(type(error))
        else:
            answer.close()
    connection.close()
    return raised


@pytest.fixture(params=["stock", "ours"])
def kind(request, monkeypatch):
    for name, send in aiokafka_patches._SEND.items():
        monkeypatch.setattr(AIOKafkaConnection, name, send)
    if request.param == "ours":
        aiokafka_patches.install()
    return request.param


async def test_a_request_to_a_connection_that_was_reset_raises_what_aiokafka_expects(kind, broker):
    raised = await asyncio.to_thread(uvloop.run, ask_a_torn_connection(broker.address))
    if kind == "ours":
        assert raised == {KafkaConnectionError}
    else:
        assert RuntimeError in raised
