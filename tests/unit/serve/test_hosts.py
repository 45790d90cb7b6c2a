"""Which Hosts are ours, whatever they are written like, and which requests only ask ahead."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from stream_detector.serve.hosts import accepted_hosts, host_of, is_accepted
from stream_detector.serve.prefetch import is_prefetch
from stream_detector.settings import Settings

OURS = accepted_hosts(
    Settings(api_host="0.0.0.0", base_url="https://Watch.example:8443/x", api_allowed_hosts="a, b:80,")
)


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:65535", "127.1.2.3", "[::1]", "[::1]:8080", "[0:0::1]",
        "watch.example", "WATCH.EXAMPLE:1", "a", "a:8080", "b", "b:81",
    ],
)  # fmt: skip
def test_loopback_the_base_urls_host_and_added_names_are_ours(host: str) -> None:
    assert is_accepted(host, OURS)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "10.0.0.5:8080", "0.0.0.0", "0.0.0.0:8080", "[::]", "watch.example.evil.example",
        "evil@127.0.0.1", "evil@localhost:8080", "evil:x@watch.example", "127.0.0.1:8080@evil.example", "@127.0.0.1",
        "127.0.0.1.evil.example", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:123456", "127.0.0.1:-1", "127.0.0.1:80:80",
        "127.0.0.1/", "127.0.0.1/evil", "127.0.0.1?x", "127.0.0.1#x", "127.0.0.1\\evil", "127.0.0.1,evil.example",
        "127.0.0.1, watch.example", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\t", "local host", "127.1", "0x7f.0.0.1",
        "0177.0.0.1", "2130706433", "[::1", "::1", "[::1]x", "[::1%25lo]", "[", "]", "[]", "http://127.0.0.1", "//a",
        "ⅼocalhost", "127。0。0。1", "１２７.0.0.1", "localhost\x00", "127.0.0.1\n", "%6cocalhost", ".", "..", "a.",
        "-", "x" * 5_000,
    ],
)  # fmt: skip
def test_nothing_else_is(host: str) -> None:
    assert not is_accepted(host, OURS)


@pytest.mark.parametrize("listen", ["", "0.0.0.0", "::", "[::]"])
def test_listening_on_every_address_makes_no_name_ours(listen: str) -> None:
    ours = accepted_hosts(Settings(api_host=listen))
    assert ours == {"127.0.0.1"}
    assert not any(is_accepted(host, ours) for host in ("", listen, "evil.example"))


def test_an_address_that_is_listened_on_is_ours() -> None:
    assert is_accepted("192.0.2.7:8080", accepted_hosts(Settings(api_host="192.0.2.7")))
    assert is_accepted("[2001:db8::7]", accepted_hosts(Settings(api_host="2001:db8::7")))


def request_with(*headers: tuple[str, str]) -> Any:
    return make_mocked_request("GET", "/", headers=CIMultiDict(headers))


def test_of_two_hosts_none_counts_and_a_proxys_counts_only_where_it_is_trusted() -> None:
    two = request_with(("Host", "127.0.0.1"), ("Host", "evil.example"))
    assert host_of(two) == ""
    forwarded = request_with(("Host", "127.0.0.1"), ("X-Forwarded-Host", "watch.example"))
    assert (host_of(forwarded), host_of(forwarded, proxied=True)) == ("127.0.0.1", "watch.example")
    twice = request_with(("Host", "a"), ("X-Forwarded-Host", "a"), ("X-Forwarded-Host", "evil.example"))
    assert host_of(twice, proxied=True) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch;anonymous-client-ip"),
        ("Purpose", "prefetch"),
        ("Purpose", "Prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ],
)
def test_a_browser_that_asks_ahead_is_known_by_its_headers(name: str, text: str) -> None:
    assert is_prefetch(request_with((name, text)))
    assert not is_prefetch(request_with(("Sec-Fetch-Dest", "document"), ("Accept", "text/html")))
