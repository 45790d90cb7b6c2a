"""Small texts: shares are never rounded up to the whole, and a time has one form wherever it stands."""

import pytest

from stream_detector.detect import wording
from stream_detector.detect.rules.resource_exhaustion import find_exhaustion
from stream_detector.events import Metrics, Resource
from stream_detector.notify.rendering.words import amount, duration


@pytest.mark.parametrize(
    ("used", "shown"), [(99.5, "99.5 %"), (99.96, "99.9 %"), (99.9999, "99.9 %"), (100.0, "100 %"), (98.2, "98 %")]
)
def test_w13_w27_a_resource_below_its_limit_is_not_at_100_percent(used: float, shown: str) -> None:
    share = used / 100
    found = find_exhaustion("nightly", "disk", Resource(used, 100.0, "GB"), share, None, gate=1.0)
    assert found is not None and found.description.startswith(f"nightly used {shown} of its disk limit (")
    numbers = Metrics(
        current_value=share,
        baseline_value=0.5,
        deviation=0.4,
        z_score=None,
        confidence=1.0,
        unit="ratio",
        direction=None,
    )
    assert (amount(numbers, share) == "100 %") == (used == 100.0)


@pytest.mark.parametrize("seconds", [60, 100, 900, 3_600, 3_661, 7_200, 86_400, 90_000, 172_800])
def test_w27_a_time_reads_the_same_in_a_description_and_in_a_message(seconds: int) -> None:
    assert wording.duration(seconds) == duration(seconds)
    assert " 0 " not in wording.duration(seconds)


def test_w27_a_range_of_two_equal_times_is_one_time() -> None:
    assert wording.between(99.9, 100.3) == "1 m 40 s"
    assert wording.between(100.0, 101.0) == "1 m 40 s to 1 m 41 s"
