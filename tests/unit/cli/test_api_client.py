"""How long a command waits for a result that the API does not have yet."""

import math
from typing import Any

import pytest

from stream_detector.cli.api_client import _pause_s


@pytest.mark.parametrize("asked", [99_999_999, math.inf, 1e308])
def test_it_waits_no_longer_than_it_has_time(asked: Any) -> None:
    assert _pause_s(asked, 3.0) < 4.0


@pytest.mark.parametrize("asked", [math.nan, 0, -1, "5", None, [1]])
def test_what_is_no_wait_is_a_short_one(asked: Any) -> None:
    assert _pause_s(asked, 3.0) == 0.1


def test_it_waits_as_asked() -> None:
    assert _pause_s(2, 15.0) == 2.0
