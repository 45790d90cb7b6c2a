"""aiokafka on uvloop: a request to a connection that was closed a moment ago.

Where the peer is gone, asyncio's own transport drops what is written; uvloop's raises RuntimeError, until the reader
has noticed, too. aiokafka expects an OSError there. The RuntimeError ended whatever task had asked: when it was the one
that renews the cluster's metadata, everything that waits for metadata waited for ever. Such a worker read on, but found
its coordinator no more, so it could neither commit nor rejoin. The soak found it, once in about 40 kills of a broker.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason

_STOCK = {name: getattr(AIOKafkaConnection, name) for name in ("send", "_send_sasl_token")}


def install() -> None:
    """In this process: a request to a closed connection raises `KafkaConnectionError`, noticed or not."""
    for name, send in _STOCK.items():
        setattr(AIOKafkaConnection, name, _noticing(send))


def _noticing(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def noticing(self: AIOKafkaConnection, *args: Any, **kwargs: Any) -> Any:
        if self._writer is not None and self._writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
        return send(self, *args, **kwargs)

    return noticing
