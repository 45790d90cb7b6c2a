"""Bodies of requests, read within a deadline and within a share of memory that all have together.

The first `FREE_BYTES` of each are read at once. What is larger first reserves its whole size, by Content-Length, and
keeps it until the request is answered: half-sent bodies wait in their sockets then, not in memory. Reserved as a whole,
because two that each wait for the last bytes of the other would end only by their deadlines.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiohttp import web

from stream_detector.serve.authentication import IDENTITY
from stream_detector.serve.problems import ProblemError

FREE_BYTES = 64 * 1024
BODY_WITHIN_S = 60.0
"""From the first piece to the last, the wait for memory included: 5 MiB at 85 KiB/s."""
PIECE_WITHIN_S = 10.0
ROOM_WITHIN_S = 20.0
ROOM_BYTES = 16 * 1024 * 1024
ROOM_OF_ONE_BYTES = 10 * 1024 * 1024
"""Of one sender; a single body may have 5 MiB."""


class BodyRoom:
    """Memory for large bodies, first come, first served.

    Args:
        most: bytes of all together.
        most_of_one: bytes of one sender, who then waits without keeping others waiting.
    """

    def __init__(self, most: int = ROOM_BYTES, most_of_one: int = ROOM_OF_ONE_BYTES) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._held: dict[str, int] = {}
        self._waiting: list[tuple[str, int, asyncio.Future[None]]] = []

    @property
    def held(self) -> int:
        """Bytes reserved."""
        return sum(self._held.values())

    async def reserve(self, whose: str, size: int) -> None:
        """Wait for so many bytes. Raises `NoRoomError` after `ROOM_WITHIN_S`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = whose, size, turn
        self._waiting.append(place)
        self._serve()
        try:
            await asyncio.wait_for(asyncio.shield(turn), ROOM_WITHIN_S)
        except BaseException as error:
            if turn.done():
                self.release(whose, size)
            else:
                self._waiting.remove(place)
            if isinstance(error, TimeoutError):
                raise NoRoomError from None
            raise

    def release(self, whose: str, size: int) -> None:
        """What was reserved is free."""
        left = self._held[whose] - size
        if left:
            self._held[whose] = left
        else:
            del self._held[whose]
        self._serve()

    def _serve(self) -> None:
        for place in list(self._waiting):
            whose, size, turn = place
            own = self._held.get(whose, 0)
            if own + size > self._most_of_one:
                continue
            if self.held + size > self._most:
                return  # smaller ones after it would keep it waiting for ever
            self._held[whose] = own + size
            self._waiting.remove(place)
            turn.set_result(None)


class NoRoomError(Exception):
    """No memory for a body became free in time."""


class _Reserved(NamedTuple):
    room: BodyRoom
    whose: str
    size: int


_RESERVED: web.RequestKey[_Reserved] = web.RequestKey("reserved", _Reserved)
TOKEN_ROOM: web.AppKey[BodyRoom] = web.AppKey("token_room", BodyRoom)
SIGNED_ROOM: web.AppKey[BodyRoom] = web.AppKey("signed_room", BodyRoom)
"""For bodies that are authenticated by a signature, so only once they are read: apart from those of tokens."""


async def read_bytes(request: web.Request, most: int, *, unsigned_from: str = "") -> bytes:
    """The body, of at most `most` bytes. Its memory is free once the request is answered (`free_body`).

    Args:
        unsigned_from: the source of a request without a token, whose signature can be checked only afterwards.

    Raises:
        ProblemError: 413 for a larger one, 408 where it is too slow, 429 where no memory became free, 400 where the
            client ended before the body did.
    """
    if (request.content_length or 0) > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            body, ended = await _read_some(request, min(most, FREE_BYTES))
            if ended:
                return bytes(body)
            if len(body) > most:
                raise _too_large(most)
            size = request.content_length or most
            await _reserve(request, size, unsigned_from)
            return await _read_rest(request, body, size)
    except TimeoutError:
        raise _too_slow() from None
    except NoRoomError:
        detail = "Too many large bodies are being sent at once. Nothing was accepted; retry later."
        raise ProblemError(429, detail, headers={"Retry-After": "5"}) from None
    except (ConnectionError, web.RequestPayloadError):
        raise _broken_off() from None


async def read_tail(request: web.Request, keep: int, most: int) -> bytes:
    """The last `keep` bytes of a body of at most `most` bytes. Needs no room: no more than that is held.

    Raises:
        ProblemError: 413 for a larger one, 408 where it is too slow, 400 where the client ended before the body did.
    """
    if (request.content_length or 0) > most:
        raise _too_large(most)
    tail, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while piece := await _read_piece(request):
                size += len(piece)
                if size > most:
                    raise _too_large(most)
                tail += piece
                del tail[:-keep]
    except TimeoutError:
        raise _too_slow() from None
    except (ConnectionError, web.RequestPayloadError):
        raise _broken_off() from None
    return bytes(tail)


@web.middleware
async def free_body(request: web.Request, handler: Any) -> web.StreamResponse:
    """Frees what a body of this request reserved."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    finally:
        if (reserved := request.get(_RESERVED)) is not None:
            reserved.room.release(reserved.whose, reserved.size)


async def _reserve(request: web.Request, size: int, unsigned_from: str) -> None:
    room, whose = request.app[SIGNED_ROOM], unsigned_from
    if not unsigned_from:
        room, whose = request.app[TOKEN_ROOM], request[IDENTITY].limited_as
    await room.reserve(whose, size)
    request[_RESERVED] = _Reserved(room, whose, size)


async def _read_some(request: web.Request, limit: int) -> tuple[bytearray, bool]:
    """The beginning of a body, a little more than `limit` bytes, and whether it is all. Raises `TimeoutError`."""
    body = bytearray()  # not a list of pieces: a piece may be a single byte
    with _cleared_on_error(body):
        while len(body) <= limit:
            if not (piece := await _read_piece(request)):
                return body, True
            body += piece
    return body, False


async def _read_rest(request: web.Request, begun: bytearray, size: int) -> bytes:
    """The whole body, of at most `size` bytes. Raises 413, `TimeoutError`."""
    whole = bytearray(size)  # at once: bodies that grow side by side leave gaps of several times their size
    with _cleared_on_error(whole):
        end = len(begun)
        whole[:end] = begun
        begun.clear()
        while piece := await _read_piece(request):
            if end + len(piece) > size:
                raise _too_large(size)
            whole[end : end + len(piece)] = piece
            end += len(piece)
    del whole[end:]
    return bytes(whole)


@contextlib.contextmanager
def _cleared_on_error(body: bytearray) -> Iterator[None]:
    """An error of a stream has a traceback with this body and is kept by the stream: a cycle that only gc ends."""
    try:
        yield
    except BaseException:
        body.clear()
        raise


async def _read_piece(request: web.Request) -> bytes:
    async with asyncio.timeout(PIECE_WITHIN_S):
        return await request.content.read(FREE_BYTES)


def _too_large(most: int) -> ProblemError:
    return ProblemError(413, f"Send at most {most} bytes at once.")


def _too_slow() -> ProblemError:
    return ProblemError(408, f"A body must arrive within {BODY_WITHIN_S:g} s, without a pause of {PIECE_WITHIN_S:g} s.")


def _broken_off() -> ProblemError:
    return ProblemError(400, "The body ended early, or is not encoded as its headers announce.")
