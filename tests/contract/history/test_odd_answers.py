"""X22: an answer with any value of another kind ends an import with a text, or is read without that run."""

import asyncio
import json
import random

import msgspec
import pytest

from stream_detector.events import Completion
from stream_detector.events.files.history import value_reader
from stream_detector.history.errors import HistoryImportError
from stream_detector.history.provider import Page
from tests.contract.history.reading import SERVERS, Fetched, fetch
from tests.servers.api import ApiServer
from tests.unit.events.source_matrix import ODD, changed, places

RUNS = 24
SEEDS = 12


class Read(Fetched):
    """Payloads are read as the import reads them: one that is refused does not end it."""

    def take(self, name: str, page: Page) -> None:
        self.pages.append(page)
        for payload in page.payloads:
            value = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
            for line in value_reader(-1)(value):
                if isinstance(line.event, Completion):
                    self.events[line.event.execution_id] = line.event


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that values of several pages are changed."""
    for name in ("gitlab", "jenkins", "airflow", "azure"):
        monkeypatch.setattr(f"stream_detector.history.{name}.PER_PAGE", 10)


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.NAME)
async def test_x22_one_odd_value_in_any_answer_ends_in_a_text_or_nothing(kind: type[ApiServer]) -> None:
    for seed in range(SEEDS):
        chosen = random.Random(f"{kind.NAME} {seed}")
        server = kind(RUNS)
        every = seed % 2 == 0  # else only one answer is odd, and the list goes on from there

        def alter(body: bytes, chosen: random.Random = chosen, every: bool = every) -> bytes:
            if body[:1] not in (b"{", b"[") or not (every or chosen.random() < 0.2):
                return body
            document = json.loads(body)
            found = list(places(document))
            if not found:
                return body
            value = chosen.choice(ODD)
            return (
                changed(document, chosen.choice(found), value) if chosen.random() < 0.9 else json.dumps(value).encode()
            )

        server.alter = alter
        await server.start()
        try:
            async with asyncio.timeout(20):
                fetched = await fetch(server, into=Read())
            assert len(fetched.events) <= 2 * RUNS
        except HistoryImportError as error:
            assert str(error) and "\n" not in str(error)
        finally:
            await server.stop()
