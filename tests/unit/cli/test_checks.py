"""Checks of `doctor` that need no server."""

from stream_detector.cli.checks import check_channels, check_lookalikes, check_timing_rules
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


def test_x31_rules_of_a_clock_that_is_off_are_reported_as_without_effect() -> None:
    rules = "nightly -> every 24h, weekly -> every 7d"
    assert list(check_timing_rules(Settings())) == []
    (found,) = check_timing_rules(Settings(expect_rules=rules))
    assert found.ok and (found.name, found.found) == ("EXPECT_RULES", "2 rules")
    (found,) = check_timing_rules(Settings(profile="classic", max_duration_rules="nightly -> 2h"))
    assert (found.name, found.advice) == ("MAX_DURATION_RULES", "set STREAM_DETECTOR_CLOCK=on for all detectors")
    assert "CLOCK is off" in next(check_timing_rules(Settings(expect_rules=rules, clock="off"))).found
    for given in ({"clock": "on"}, {"profile_rules": "nightly -> robust"}):
        (found,) = check_timing_rules(Settings(profile="classic", expect_rules=rules, **given))
        assert found.ok
