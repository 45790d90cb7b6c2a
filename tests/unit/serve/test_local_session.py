"""Whose a connection is, by Linux's tables of sockets."""

import sys
from collections.abc import Iterable

import pytest

from stream_detector.serve.local_session import user_of

PEER, OWN = ("127.0.0.1", 47450), ("127.0.0.1", 38305)
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, remote: str, *, state: str = "01", user: int = 1000, inode: int = 58207) -> str:
    return (
        f" 154: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {user:5} 0 {inode} 2 0 20 0 0 10 -1\n"
    )


@pytest.fixture(autouse=True)
def little_endian(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows below are of such a machine."""
    monkeypatch.setattr(sys, "byteorder", "little")


OURS = line("0100007F:95A1", "0100007F:B95A", user=7)
THEIRS = line("0100007F:B95A", "0100007F:95A1")
MAPPED = line("0000000000000000FFFF00000100007F:B95A", "0000000000000000FFFF00000100007F:95A1")


@pytest.mark.parametrize(
    ("lines", "user"),
    [
        ([HEAD, OURS, THEIRS], 1000),
        ([HEAD, MAPPED], 1000),
        ([HEAD, OURS], None),
        ([], None),
        ([line("0100007F:B95A", "0100007F:95A2")], None),
        ([line("0200007F:B95A", "0100007F:95A1")], None),
        # Closed: the row stays for a while, as root's.
        ([line("0100007F:B95A", "0100007F:95A1", state="06", user=0, inode=0)], None),
        ([line("0100007F:B95A", "0100007F:95A1", user=0, inode=0)], None),
        (["nonsense\n", "\n", THEIRS], 1000),
    ],
    ids=range(9),
)
def test_the_row_of_the_other_end_names_its_user(lines: Iterable[str], user: int | None) -> None:
    assert user_of(PEER, OWN, lines) == user


def test_an_address_of_ipv6_is_found() -> None:
    one = "00000000000000000000000001000000"
    assert user_of(("::1", 47450), ("::1", 38305), [line(f"{one}:B95A", f"{one}:95A1")]) == 1000
