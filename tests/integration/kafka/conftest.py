"""What reaches Kafka is tested on each kind of broker with every test run: they differ in what they answer."""

import pytest

from stream_detector.devstack.apache import Apache
from stream_detector.devstack.tansu import Tansu


@pytest.fixture(params=["tansu", pytest.param("apache", marks=[pytest.mark.apache, pytest.mark.drill])])
def broker(request: pytest.FixtureRequest) -> Tansu | Apache:
    """`.address`"""
    started: Tansu | Apache = request.getfixturevalue(request.param)
    return started
