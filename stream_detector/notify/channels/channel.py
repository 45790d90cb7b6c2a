"""The contract of every channel."""

from typing import Protocol

from stream_detector.notify.message import Message, Result


class Channel(Protocol):
    """One way to reach people."""

    async def deliver(self, message: Message) -> Result:
        """Hand it to the provider once: delivered, retry after, or refused with the reason.

        Raises nothing for what a network or provider does, and its reasons hold no secret. May be cancelled.
        """

    async def close(self) -> None:
        """Free what it holds; it may be used again afterwards."""
