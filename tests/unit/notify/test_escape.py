"""Names as others send them: one line, nothing hidden, nothing decoded, cut where people see a character end."""

import unicodedata
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default

import pytest

from stream_detector.notify.channels.email.literal_subject import subject_of
from stream_detector.notify.channels.slack.rendering import fit
from stream_detector.notify.rendering.escape import composed_line, name_line, one_line, paragraph
from stream_detector.notify.rendering.graphemes import cut, graphemes
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG, slow

FAMILY, FLAGS = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"
CLUSTERS = (
    "e\u0301", "n\u0303\u0323", FAMILY, FLAGS[:2], FLAGS[2:], "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3", "\u2764\ufe0f",
    "\u1100\u1161\u11a8", "\u0915\u094d\u0937\u093f", "\u0e01\u0e33", "\u0ba8\u0bbf", "\u0628\u064b", "\uac01", "a",
    "é", "\U0001f3f3\ufe0f\u200d\U0001f308", "Z\u0351\u036b\u0343\u036a", "\u0924\u094d\u0930",
)  # fmt: skip


@pytest.mark.parametrize("cluster", CLUSTERS, ids=ascii)
def test_what_people_see_as_one_character_is_one_piece(cluster: str) -> None:
    assert graphemes(f"x{cluster}y") == ["x", cluster, "y"]
    assert "".join(graphemes(cluster * 3)) == cluster * 3


@pytest.mark.parametrize("cluster", CLUSTERS, ids=ascii)
@pytest.mark.parametrize("before", range(12))
def test_no_cut_goes_through_one(cluster: str, before: int) -> None:
    text = "x" * before + cluster * 40
    for shorten in (
        lambda: one_line(text, 20),
        lambda: cut(text, 20),
        lambda: fit(text, 20),
        lambda: paragraph(text, 20),
    ):
        shown = shorten()
        assert len(shown) <= 20 and shown.endswith("…")
        kept = shown[:-1].removeprefix("x" * before)
        assert kept == cluster * (len(kept) // len(cluster)) and kept


def test_letters_and_emoji_without_an_end_are_cut_all_the_same() -> None:
    for text in ("Z" + "\u0351" * 1_000, "\U0001f468" + "\u200d\U0001f468" * 1_000, "\u200d" * 1_000):
        shown = one_line(text, 100)
        assert len(shown) <= 100
    assert one_line("Z" + "\u0351" * 1_000, 100).startswith("Z\u0351")
    assert not one_line("\U0001f468" + "\u200d\U0001f468" * 1_000, 101)[:-1].endswith("\u200d")


BREAKS = "\n", "\r", "\r\n", "\t", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\xa0", "\u3000"


@pytest.mark.parametrize("between", BREAKS, ids=ascii)
def test_every_break_and_wide_space_is_one_space(between: str) -> None:
    assert one_line(f"{between}nightly{between}{between}build{between}") == "nightly build"


def test_nothing_that_cannot_be_seen_is_left_between_letters() -> None:
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert one_line(f"dep{character}loy") in ("deploy", "dep loy"), hex(code)
    for character in "\u034f\u115f\u1160\u17b4\u180b\u2800\u3164\uffa0\ufe00":
        assert one_line(f"dep{character}loy") == "deploy", ascii(character)
    assert one_line("\u3164\u200b\u2060\ufeff") == ""


def test_joiners_stay_where_they_are_seen_and_only_there() -> None:
    assert one_line(f"{FAMILY} ok") == f"{FAMILY} ok"
    for kept in (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "\u0915\u094d\u200c\u0937",
    ):
        assert one_line(kept) == kept
    for joiner in "\u200c\u200d":
        for name in (
            f"dep{joiner}loy",
            f"{joiner}deploy",
            f"deploy{joiner}",
            f"{joiner}{joiner}deploy",
            f"de{joiner * 9}ploy",
        ):
            assert one_line(name) == "deploy"
        assert one_line(f"\u0434\u0435{joiner}\u043f\u043b\u043e\u0439") == "\u0434\u0435\u043f\u043b\u043e\u0439"


WORDS = (
    "=?utf-8?b?QmNjOiBhbGxAZXhhbXBsZS5vcmc=?=",
    "GVS =?utf-8?q?=0D=0ABcc:_all=40example.org?= fell",
    "=?iso-8859-1?Q?=E9?= \u2192 5.8",
    "=?utf-8?b?QQ==?= =?utf-8?b?QQ==?=",
    "x" * 90 + " =?utf-8?b?QQ==?= " + "y" * 60,
    "=?utf-8*en?b?QQ==?=",
    "=?broken?= =?",
    "plain",
    "Lido: 7.5 \u2192 5.8",
)


@pytest.mark.parametrize("title", WORDS)
def test_an_encoded_word_in_a_subject_is_shown_as_it_is(title: str) -> None:
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = subject_of(one_line(title, 200))
    mail["Date"] = datetime(2026, 1, 22, tzinfo=UTC)
    mail.set_content("text")
    raw = mail.as_bytes()
    assert all(len(line) <= 100 for line in raw.split(b"\r\n")) and raw.count(b"\r\nBcc") == 0
    assert message_from_bytes(raw, policy=default)["Subject"] == one_line(title, 200)


@pytest.mark.parametrize("text", ["&lt;b&gt;", "%0ABcc", "\\u202e", "&#10;", "=0A", "xn--bcher-kva"])
def test_nothing_is_decoded(text: str) -> None:
    assert one_line(text) == text


HEBREW = "\u05d0\u05d1\u05d2"


def test_a_name_with_right_to_left_letters_does_not_turn_what_is_beside_it() -> None:
    isolated = f"\u2068{HEBREW} 2\u2069"
    assert name_line(f"{HEBREW} 2") == isolated
    assert name_line("Lido \u00e9 \U0001f600 2") == "Lido \u00e9 \U0001f600 2", "no other name changes"
    assert name_line(f"\u2069\u2068{HEBREW}\u202e") == f"\u2068{HEBREW}\u2069", "marks of its own go"
    title = f"{isolated}: 7.5 \u2192 5.8"
    assert composed_line(title) == title and composed_line(composed_line(title), 100) == title
    assert composed_line("ab\u2069c\u2068d\u2069\u2069\r\ne") == "abc\u2068d\u2069 e", "no end without its beginning"
    cut_off = composed_line(f"x \u2068{HEBREW * 9}\u2069", 8)
    assert cut_off.startswith("x \u2068") and cut_off.endswith("\u2069") and cut_off.count("\u2069") == 1
    assert one_line(title) == f"{HEBREW} 2: 7.5 \u2192 5.8"


@pytest.mark.parametrize("channel", ["slack", "email"])
def test_the_name_of_a_message_is_isolated_in_title_and_text(channel: str) -> None:
    sent = Notifier(CONFIG).take(slow("a", entity_name=HEBREW)).deliver().sent
    (message,) = [one.message for one in sent if one.message.channel == channel]
    for shown in (message.title, message.text):
        assert f"\u2068{HEBREW}\u2069" in shown and shown.count("\u2068") == shown.count("\u2069")
