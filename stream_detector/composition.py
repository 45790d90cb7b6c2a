"""From the settings to detection's `Config`, in one place: live, check, replay, preview and benchmarks judge alike."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from stream_detector.detect import Config, profile_rules, score_threshold_rules
from stream_detector.detect.config import ClockMode
from stream_detector.events import Profile
from stream_detector.settings import SPECS, Settings
from stream_detector.timing_rules import expect_rules, max_duration_rules

DETECTION_SETTINGS = (
    *("profile", "profile_rules", "score_threshold", "score_threshold_rules", "duration_from_times"),
    *("variant_by", "clock", "max_duration_rules", "expect_rules"),
)
"""The settings that `detection_config` reads: what the detector publishes."""


def detection_config(settings: Settings) -> Config:
    """Detection as the settings ask for it. To try others out, pass a copy (`dataclasses.replace`).

    Raises:
        ValueError: a profile that does not exist, a threshold that is not positive, rules that cannot be read.
    """
    return Config(
        cast(Profile, settings.profile),  # Config itself checks it
        settings.score_threshold,
        score_threshold_rules(settings.score_threshold_rules),
        profile_rules(settings.profile_rules),
        duration_from_times=settings.duration_from_times,
        variant_by=variant_labels(settings),
        clock=cast(ClockMode, settings.clock),
        max_duration_rules=max_duration_rules(settings.max_duration_rules),
        expect_rules=expect_rules(settings.expect_rules),
    )


def variant_labels(settings: Settings) -> tuple[str, ...]:
    """The labels of VARIANT_BY, for `with_variant`.

    >>> variant_labels(Settings()), variant_labels(replace(Settings(), variant_by="trigger,os"))
    ((), ('trigger', 'os'))
    """
    return tuple(settings.variant_by.split(",")) if settings.variant_by != "none" else ()


def detection_texts(settings: Settings) -> dict[str, str]:
    """The settings that judge, each as text that it can be read from.

    >>> detection_texts(Settings())["score_threshold"]
    '0.5'
    """
    return {name: _text(getattr(settings, name)) for name in DETECTION_SETTINGS}


def with_detection_texts(settings: Settings, texts: Mapping[str, str]) -> Settings:
    """The settings with those that judge from their texts. A setting that this version does not know is left aside.

    Raises:
        ValueError: a text that cannot be read.
    """
    known = {name: SPECS[name]["parse"](text) for name, text in texts.items() if name in DETECTION_SETTINGS}
    return replace(settings, **known)


def differing_settings(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The names of the settings that judge otherwise, however they are written.

    >>> differing_settings({"score_threshold": "0.5", "profile": "robust"}, {"score_threshold": "0.50"})
    []
    """
    default = detection_texts(Settings())
    return [
        name
        for name in DETECTION_SETTINGS
        if _config(name, one.get(name, default[name])) != _config(name, other.get(name, default[name]))
    ]


def _config(name: str, text: str) -> Config | str:
    """Of one setting alone, for comparison; its text where it cannot be read."""
    try:
        return detection_config(with_detection_texts(Settings(), {name: text}))
    except ValueError:
        return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
