"""Apprise, for the long tail of services: an optional extra, imported only where it is set, called off the loop."""

import asyncio
import logging
from collections.abc import Sequence

from stream_detector.notify.channels.channel import ANSWER_WITHIN_S
from stream_detector.notify.message import Delivered, Message, Refused, Result, RetryAfter


class AppriseServices:
    """Notifies every service of the URLs. Apprise says only whether all took it, so a failure is tried again at all."""

    def __init__(self, urls: Sequence[str], *, timeout_s: float = ANSWER_WITHIN_S) -> None:
        """Raises `ImportError` without the package, `ValueError` for a URL that Apprise does not know."""
        import apprise

        for name in ("apprise", "urllib3"):  # their lines hold the URLs, which hold the secrets
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._types = {
            "critical": apprise.NotifyType.FAILURE,
            "warning": apprise.NotifyType.WARNING,
            "info": apprise.NotifyType.INFO,
        }
        self._text = apprise.NotifyFormat.TEXT
        self._services = apprise.Apprise()
        self.timeout_s = timeout_s
        for number, url in enumerate(urls, 1):
            if not self._services.add(url):
                raise ValueError(f"Apprise does not support URL number {number}; see its list of services")

    async def deliver(self, message: Message) -> Result:
        """Hand it to all services once."""
        call = asyncio.to_thread(
            self._services.notify,
            body=message.text,
            title=message.title.replace("=?", "= ?"),  # its mail services send it as it is, and it would be decoded
            notify_type=self._types.get(message.severity, self._types["warning"]),
            body_format=self._text,
        )
        try:
            taken = await asyncio.wait_for(call, self.timeout_s)
        except TimeoutError:
            return RetryAfter(0.0, f"Apprise did not respond within {self.timeout_s:g} s")
        except TypeError as error:  # Apprise's word for a message that it cannot send at all
            return Refused(f"Apprise failed with {type(error).__name__}")
        if taken:
            return Delivered(f"Apprise answered: all {len(self._services)} services accepted it")
        return RetryAfter(0.0, "Apprise answered: a service did not accept it or cannot be reached")

    async def close(self) -> None:
        """Nothing is held between two messages."""
