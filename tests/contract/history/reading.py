"""A provider against its server: what the pages hold, as the source reads it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stream_detector.events import Completion, Start
from stream_detector.events.sources import SOURCES, find_source, read_payload
from stream_detector.history.api_client import ApiClient
from stream_detector.history.provider import Page, Wanted
from stream_detector.history.registry import PROVIDERS
from tests.servers.airflow import AirflowServer
from tests.servers.api import BEGIN, ApiServer
from tests.servers.azure import AzureServer
from tests.servers.circleci import CircleCiServer
from tests.servers.gitlab import GitLabServer
from tests.servers.jenkins import JenkinsServer

SERVERS: tuple[type[ApiServer], ...] = (GitLabServer, JenkinsServer, CircleCiServer, AzureServer, AirflowServer)


@dataclass
class Fetched:
    """What an import has got so far."""

    pages: list[Page] = field(default_factory=list)
    events: dict[str, Completion] = field(default_factory=dict)
    """By execution id: what comes twice is one."""
    slept_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ends(self) -> list[int]:
        """The seconds in which the executions ended, in order; two that end in one second stand twice."""
        return sorted(int(event.finished_at.timestamp()) for event in self.events.values())

    def take(self, name: str, page: Page) -> None:
        """Read a page as a topic would; a run that has not ended is a start, and no history."""
        self.pages.append(page)
        for payload in page.payloads:
            value = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
            assert find_source(value) is SOURCES[name], value[:200]
            for event in read_payload(SOURCES[name], value).events:
                if not isinstance(event, Start):
                    assert isinstance(event, Completion)
                    self.events[event.execution_id] = event


async def fetch(
    server: ApiServer,
    *,
    place: str = "",
    token: str | None = None,
    url: str = "",
    since: datetime = BEGIN,
    until: datetime | None = None,
    cursor: str = "",
    most: int = 10_000,
    into: Fetched | None = None,
    ca_file: str = "",
) -> Fetched:
    """The pages from the cursor on, at most so many; what the server ends with an error is raised."""
    provider, fetched = PROVIDERS[server.NAME], into if into is not None else Fetched()

    async def sleep(wait_s: float) -> Any:
        fetched.slept_s.append(wait_s)

    access = provider.access(url or server.url, server.TOKEN if token is None else token, ca_file)
    wanted = Wanted(
        place=place or server.PLACE, since=since, until=until or server.end() + timedelta(days=30), cursor=cursor
    )
    async with ApiClient(access, note=fetched.notes.append, sleep=sleep) as client:
        async for page in provider.pages(client, wanted):
            fetched.take(server.NAME, page)
            if len(fetched.pages) >= most:
                break
    return fetched
