"""A channel with the server that it talks to, and how to make that server misbehave."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.message import Message

HOSTILE = "Bcc: all@example.org\u2028<!channel> <@U1> & ≠ 😀 \u202e"


@dataclass
class Provider:
    """A channel with the server that it talks to, and how to make that server misbehave."""

    name: str
    channel: Channel
    secrets: tuple[str, ...]
    count: Callable[[], int]
    busy: Callable[[], None]
    refuse: Callable[[], None]
    hang: Callable[[], None]
    hanging: asyncio.Event
    stop: Callable[[], Any]
    wait_s: float = 0.0
    """The wait that it asks for when it is busy."""
    ask_to_wait: Callable[[dict[str, str], str], None] | None = None
    """Have it answer that it is busy, with these headers and this body; None: its protocol has no such wait."""
    refuses: bool = True
    """Whether one can tell from it that a message will never be taken."""

    def message(self, number: int = 1) -> Message:
        blocks = [{"type": "section", "text": {"type": "plain_text", "text": "x"}}] if "slack" in self.name else []
        return Message(
            id=f"6f1f7d3e-52c2-5f0a-9a41-{number:012}",
            channel=self.name,
            severity="critical",
            title=f"Title {HOSTILE}",
            text=f"Text {HOSTILE}",
            html="<p>Text</p>" if self.name == "email" else "",
            blocks=blocks,
            link="http://127.0.0.1:8080/anomalies/1",
        )
