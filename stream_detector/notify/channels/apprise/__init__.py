"""Apprise, for the long tail of services: an optional extra."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `APPRISE_URLS`.

    Raises:
        SettingsError: the package is missing, or a URL is none that Apprise knows.
    """
    from stream_detector.notify.channels.apprise.client import AppriseServices
    from stream_detector.settings import PREFIX, SettingsError

    try:
        return AppriseServices(settings.apprise_urls.split())
    except ImportError:
        words = "needs the package apprise: install stream-detector[apprise]"
        raise SettingsError(PREFIX + "APPRISE_URLS", "(hidden)", words) from None
    except ValueError as error:
        raise SettingsError(PREFIX + "APPRISE_URLS", "(hidden)", str(error)) from None
