"""Which addresses need a token."""

import pytest

from stream_detector.serve.guard import demand_token
from stream_detector.settings import Settings, SettingsError, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_token_of_the_settings(host: str) -> None:
    assert is_loopback(host)
    demand_token(Settings(api_host=host))


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_any_other_address_needs_one(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match="STREAM_DETECTOR_API_TOKEN"):
        demand_token(Settings(api_host=host))
    demand_token(Settings(api_host=host, api_token="secret"))
