"""Checks of `doctor` that need no server."""

from stream_detector.cli.checks import check_channels, check_lookalikes
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.settings import Settings


def test_every_channel_is_listed_with_what_is_missing() -> None:
    settings = Settings(webhook_url="https://hooks.example.org/a", slack_enabled=False)
    found = {check.name: check for check in check_channels(settings)}
    assert list(found) == list(CHANNELS)
    assert (found["inbox"].found, found["slack"].found) == ("on", "off")
    assert found["apprise"].found == "not set (STREAM_DETECTOR_APPRISE_URLS)" and found["apprise"].ok
    assert found["webhook"].advice == "set STREAM_DETECTOR_WEBHOOK_SECRET; until then nothing is sent"


def test_ids_that_look_the_same_are_spelled_out_and_need_one_spelling() -> None:
    assert check_lookalikes("similar workflow ids", []).ok
    found = check_lookalikes("similar workflow ids", [["a b", "a\u00a0b"]] * 7)
    assert not found.ok and '"a b" and "a\\u00a0b"' in found.found and "2 more" in found.found
    assert "one spelling" in found.advice
