"""Dead letters, for operators alone: payloads may hold secrets. Shown as text, never logged."""

import re

from aiohttp import web

from stream_detector.serve import ask
from stream_detector.serve.handlers import BROKER, DATABASE, answer, page_answer
from stream_detector.serve.problems import ProblemError
from stream_detector.store import dead_letters as store

_PLACE = re.compile(r"(\d{1,6})-(\d{1,18})", re.ASCII)


async def list_dead_letters(request: web.Request) -> web.Response:
    """Position and reason of each dead letter, newest first."""
    asked = ask.read_query(request, ask.DeadLettersQuestion)
    if asked.topic and "\x00" in asked.topic:
        raise ProblemError(400, "topic: must not contain U+0000", parameter="topic")
    page = await request.app[DATABASE].ask(
        store.find, reason=asked.reason, topic=asked.topic, limit=asked.limit, cursor=asked.cursor
    )
    return page_answer(page)


async def one_dead_letter(request: web.Request) -> web.Response:
    """One dead letter with key, value and headers as text; non-text bytes are escaped."""
    return answer(await request.app[BROKER].show_dead_letter(*_place(request)))


async def retry_dead_letter(request: web.Request) -> web.Response:
    """Publish it again unchanged to its topic. If it is rejected again, it becomes a new dead letter."""
    return answer(await request.app[BROKER].retry_dead_letter(*_place(request)))


def _place(request: web.Request) -> tuple[int, int]:
    found = _PLACE.fullmatch(request.match_info["id"])
    if not found:
        raise ProblemError(404, "A dead letter is identified by <partition>-<offset>.")
    return int(found[1]), int(found[2])
