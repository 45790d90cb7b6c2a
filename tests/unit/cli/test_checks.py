"""Checks of `doctor` that need no server."""

from stream_detector.cli.checks import check_channels
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.settings import Settings


def test_every_channel_is_listed_with_what_is_missing() -> None:
    settings = Settings(webhook_url="https://hooks.example.org/a", slack_enabled=False)
    found = {check.name: check for check in check_channels(settings)}
    assert list(found) == list(CHANNELS)
    assert (found["inbox"].found, found["slack"].found) == ("on", "off")
    assert found["apprise"].found == "not set (STREAM_DETECTOR_APPRISE_URLS)" and found["apprise"].ok
    assert found["webhook"].advice == "set STREAM_DETECTOR_WEBHOOK_SECRET; until then nothing is sent"
