"""Query parameters are read as they were sent."""

import pytest
from aiohttp.test_utils import make_mocked_request

from stream_detector.serve.requests import read_query
from stream_detector.serve.resources.series import SeriesQuery


@pytest.mark.parametrize("entity", ["score:Alabama / Donald Trump", "workflow:nightly Tests", "a 12:00"])
def test_a_name_with_a_space_before_its_last_five_letters_stays_itself(entity: str) -> None:
    request = make_mocked_request("GET", f"/api/v1/series?entity={entity.replace(' ', '%20')}")
    assert read_query(request, SeriesQuery).entity == entity


def test_a_plus_that_became_a_space_is_read_as_the_zone() -> None:
    request = make_mocked_request("GET", "/api/v1/series?entity=x&until=2026-11-23T12:00:00+02:00")
    assert read_query(request, SeriesQuery).until.isoformat() == "2026-11-23T10:00:00+00:00"
