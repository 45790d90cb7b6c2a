"""The product as its users run it: the four roles as processes of their own, on the brokers and servers of a test."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from stream_detector.devstack.folder import DataFolder
from stream_detector.devstack.ports import free_port
from stream_detector.devstack.supervise import ROLES, Supervisor
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.settings import Settings

READY_WITHIN_S = 90.0


class Installation:
    """Roles under a supervisor. `async with` waits until all are ready and ends them afterwards."""

    def __init__(self, settings: Settings, folder: Path, roles: tuple[str, ...] = ROLES) -> None:
        self.settings = replace(settings, api_port=settings.api_port or free_port())
        self.ports = {name: free_port() for name in ROLES}
        self.folder = DataFolder(folder)
        self.supervisor = Supervisor(self.settings, self.folder, self.ports, print)
        self.supervisor.roles = [role for role in self.supervisor.roles if role.name in roles]

    async def __aenter__(self) -> Self:
        await make_topics(self.settings)
        self.supervisor.start()
        try:
            for role in self.supervisor.roles:
                await wait_until(lambda role=role: self.ready(role.name), f"{role.name} is ready")
        except BaseException:
            self.supervisor.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.supervisor.stop()
        self.folder.close()

    def ready(self, role: str) -> bool:
        """What /readyz of the role answers; a role that died is started again."""
        self.supervisor.restart_dead()
        return get(f"http://127.0.0.1:{self.ports[role]}/readyz")[0] == 200

    def metric(self, role: str) -> dict[str, float]:
        """Every sample of the role's /metrics, by its name with labels."""
        lines = get(f"http://127.0.0.1:{self.ports[role]}/metrics")[1].splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def api(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded answer of the API; a body is posted."""
        status, text = get(f"http://127.0.0.1:{self.settings.api_port}{path}", body, token=self.settings.api_token)
        return status, json.loads(text)

    async def records(self, topic: str) -> list[Any]:
        """Every record of a topic up to its end, in partition order."""
        return [record async for record in read_topic(self.settings, topic)]


def get(url: str, body: Any = None, *, token: str = "") -> tuple[int, str]:
    """Status and text; 0 where nobody listens. A body is posted as JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def wait_until(condition: Callable[[], Any], what: str, within_s: float = READY_WITHIN_S) -> Any:
    """The condition's first true value. Fails, naming what did not come, after `within_s`."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.1)
