"""The contract of every channel."""

from typing import Protocol

from stream_detector.notify.message import Message, Result

ANSWER_WITHIN_S = 40.0
"""How long a provider may take. One that is slow by 30 s still takes the message: who gives up before it answers sends
that message twice."""


class Channel(Protocol):
    """One way to reach people."""

    async def deliver(self, message: Message) -> Result:
        """Hand it to the provider once: delivered, retry after, or refused with the reason.

        Raises nothing for what a network or provider does, and its reasons hold no secret. May be cancelled.
        """

    async def close(self) -> None:
        """Free what it holds; it may be used again afterwards."""
