"""Pager: a channel that posts the text of each message to one URL."""

from tests.e2e.additions.addition import Addition

CONNECT = '''"""Pager: the text of each message, posted to one URL."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `PAGER_URL`."""
    from stream_detector.notify.channels.pager.client import Pager

    return Pager(settings.pager_url)
'''

CLIENT = '''"""Posts the text of a message; 2xx is taken, anything else is tried again."""

import aiohttp

from stream_detector.notify.channels.channel import ANSWER_WITHIN_S
from stream_detector.notify.channels.http import is_local, why
from stream_detector.notify.message import Delivered, Message, Result, RetryAfter


class Pager:
    """One receiver."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, message: Message) -> Result:
        """Post it once."""
        self._session = self._session or aiohttp.ClientSession(trust_env=not is_local(self._url))
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        try:
            async with self._session.post(self._url, data=message.text.encode(), timeout=timeout) as answer:
                said = f"pager answered {answer.status}"
                return Delivered(said) if answer.ok else RetryAfter(0.0, said)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return RetryAfter(0.0, f"pager cannot be reached ({why(error)})")

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
        self._session = None
'''

PAGER = Addition(
    heading="Add a channel",
    at_most=4,
    words={"channel": "pager"},
    new={"notify/channels/pager/__init__.py": CONNECT, "notify/channels/pager/client.py": CLIENT},
    changed={
        "notify/channels/registry.py": (
            ("import apprise, email, slack,", "import apprise, email, pager, slack,"),
            (
                ")\n\nCHANNELS = ",
                """    ChannelSpec(
        name="pager",
        title="Pager",
        layout=TextLayout(),
        settings=("pager_url",),
        connect=pager.connect,
    ),
)

CHANNELS = """,
            ),
        ),
        "settings.py": (
            (
                "    quiet_after: str = ",
                """    pager_enabled: bool = setting(True, _flag, "Post to PAGER_URL", group="Notifications")
    pager_url: str = setting("", _url("https", "http"), "The pager", secret=True, group="Notifications")
    quiet_after: str = """,
            ),
        ),
    },
)
