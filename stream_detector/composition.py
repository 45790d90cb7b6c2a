"""From the settings to detection's `Config`, in one place: live, check, replay, preview and benchmarks judge alike."""

from typing import cast

from stream_detector.detect import Config, profile_rules, score_threshold_rules
from stream_detector.events import Profile
from stream_detector.settings import Settings


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
    )
