"""One-click links over HTTP: GET shows and changes nothing, POST acts, once however often it is pressed."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from stream_detector.events import Action
from stream_detector.notify.links import Link, sign
from stream_detector.serve.guard import add_headers
from stream_detector.serve.one_click import add_links
from stream_detector.settings import Settings
from tests.events_made import NOON, uuid

KEY = "k" * 32
NOW_S = NOON.timestamp()
LINK = Link(
    purpose="acknowledge",
    incident_id=uuid("a"),
    entity="workflow:nightly",
    channel="email",
    about="<script>alert(1)</script> in Nightly",
    expires_s=int(NOW_S) + 100,
)


class Served:
    """The links alone, with everything that was published through them."""

    def __init__(self) -> None:
        self.published: list[Action] = []
        self.fails = False
        app = web.Application()
        app.on_response_prepare.append(add_headers)
        self.used_at: datetime | None = None
        add_links(app, Settings(secret_key=KEY), self._publish, clock=lambda: NOW_S, find_used=self._find_used)
        self.client: TestClient[Any, Any] = TestClient(TestServer(app))

    async def _publish(self, action: Action) -> None:
        if self.fails:
            raise ConnectionError("broker:9092 is away")
        self.published.append(action)

    async def _find_used(self, action_ids: Sequence[str]) -> datetime | None:
        assert all(action_ids)
        return self.used_at

    async def ask(self, method: str, link: Link = LINK, key: str = KEY) -> tuple[int, str, Any]:
        async with self.client.request(method, f"/links/{sign(key.encode(), link)}") as answer:
            return answer.status, await answer.text(), answer.headers


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = Served()
    await made.client.start_server()
    yield made
    await made.client.close()


async def test_opening_a_link_shows_what_it_does_and_changes_nothing(served: Served) -> None:
    for _ in range(3):
        status, text, headers = await served.ask("GET")
        assert status == 200 and '<form method="post">' in text and "Acknowledge?" in text
    assert "<script>" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; in Nightly" in text
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] != "unsafe-url"
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    assert (await served.ask("HEAD"))[0] == 405
    assert served.published == []


async def test_its_button_acts_and_pressing_it_twice_is_one_decision(served: Served) -> None:
    for _ in range(2):
        status, text, _ = await served.ask("POST")
        assert status == 200 and "<h1>Acknowledged</h1>" in text
    assert {(one.action_id, one.kind, one.incident_id, one.entity) for one in served.published} == {
        (served.published[0].action_id, "acknowledge", uuid("a"), "workflow:nightly")
    }


async def test_a_groups_link_takes_each_of_it(served: Served) -> None:
    status, text, _ = await served.ask("POST", replace(LINK, more=[(uuid("b"), "workflow:other")]))
    assert status == 200 and "<h1>Acknowledged</h1>" in text
    assert [(one.kind, one.incident_id, one.entity) for one in served.published] == [
        ("acknowledge", uuid("a"), "workflow:nightly"),
        ("acknowledge", uuid("b"), "workflow:other"),
    ]
    assert len({one.action_id for one in served.published}) == 2


async def test_a_groups_link_silences_what_it_shares(served: Served) -> None:
    hush = replace(LINK, purpose="silence", incident_id="", entity="", matchers={"commit": "4f2a"})
    status, _, _ = await served.ask("POST", hush)
    (one,) = served.published
    assert status == 200 and (one.kind, one.entity, one.matchers) == ("silence", "", {"commit": "4f2a"})


async def test_a_link_silences_for_a_day(served: Served) -> None:
    status, text, _ = await served.ask("POST", replace(LINK, purpose="silence"))
    assert status == 200 and "Silenced for 24 h" in text
    assert served.published[0].kind == "silence" and served.published[0].incident_id is None


async def test_x14_a_silence_link_that_was_used_says_so_and_silences_nothing(served: Served) -> None:
    served.used_at = NOON
    status, text, _ = await served.ask("POST", replace(LINK, purpose="silence"))
    assert status == 200 and "<h1>Link already used</h1>" in text and "nothing was changed now" in text
    assert "at 2026-01-22 12:00 UTC" in text and "Silenced" not in text
    assert served.published == []
    assert "<h1>Acknowledged</h1>" in (await served.ask("POST"))[1], "an acknowledgement stays one"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("link", "key", "words"),
    [
        (replace(LINK, expires_s=int(NOW_S)), KEY, "has expired"),
        (LINK, "x" * 32, "was not created here"),
    ],
)
async def test_what_is_over_or_forged_does_nothing(
    served: Served, method: str, link: Link, key: str, words: str
) -> None:
    status, text, _ = await served.ask(method, link, key)
    assert status == 410 and words in text and "<form" not in text
    assert served.published == []


async def test_where_kafka_is_away_the_person_is_told_and_may_try_again(served: Served) -> None:
    served.fails = True
    status, text, _ = await served.ask("POST")
    assert status == 503 and "Try again" in text and "<form" in text and "9092" not in text
    served.fails = False
    assert (await served.ask("POST"))[0] == 200


async def test_without_a_key_there_are_no_links() -> None:
    app = web.Application()
    add_links(app, Settings(), lambda action: None)  # type: ignore[arg-type,return-value]
    assert not app.router.resources()
