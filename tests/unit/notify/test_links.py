"""Links that act with one click: signed, expiring, one purpose each, and in the right places of a message."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from stream_detector.notify.config import Route
from stream_detector.notify.links import LINK_LIFETIME_S, Link, LinkError, actions_of, sign, verify
from stream_detector.notify.policy import accept, due_deliveries
from stream_detector.notify.rendering.action_links import links_of_anomaly
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.notify.stages.render import message_about
from tests.events_made import NOON, uuid
from tests.servers.slack import problem_with
from tests.unit.notify.living import NOW_S, Notifier
from tests.unit.notify.subjects import CONFIG, LIDO, NASTY, run_of, slow

KEY = b"k" * 32
SIGNED = replace(CONFIG, link_key=KEY)
LINK = Link(
    purpose="acknowledge",
    incident_id=uuid("a"),
    entity="workflow:nightly",
    channel="email",
    about="PerformanceDegradation in Nightly",
    expires_s=int(NOW_S) + 100,
)


def test_a_token_is_good_until_it_expires_and_with_its_key_alone() -> None:
    token = sign(KEY, LINK)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", token) and len(token) < 500
    assert verify(KEY, token, NOW_S + 99) == LINK
    with pytest.raises(LinkError, match="expired"):
        verify(KEY, token, NOW_S + 100)
    with pytest.raises(LinkError, match="not created here"):
        verify(b"x" * 32, token, NOW_S)


def test_no_changed_token_is_taken() -> None:
    token = sign(KEY, LINK)
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(LinkError):
            verify(KEY, changed, NOW_S)


@pytest.mark.parametrize("token", ["", ".", "a.b", "é.é", "a" * 3_000, "a=.b=", sign(KEY, LINK) + "=", "a b.c d"])
def test_what_is_no_token_is_refused_in_words(token: str) -> None:
    with pytest.raises(LinkError, match=r"This link is invalid|not created here"):
        verify(KEY, token, NOW_S)


def test_the_same_link_is_the_same_decision() -> None:
    token = sign(KEY, LINK)
    (first,), (again,) = actions_of(LINK, token, NOW_S), actions_of(LINK, token, NOW_S + 5)
    assert first.action_id == again.action_id
    assert (first.kind, first.incident_id, first.by) == ("acknowledge", uuid("a"), "link in email")
    (hush,) = actions_of(replace_purpose(LINK), sign(KEY, replace_purpose(LINK)), NOW_S)
    assert (hush.kind, hush.entity, hush.until) == ("silence", "workflow:nightly", NOON + timedelta(hours=24))
    assert hush.incident_id is None and hush.action_id != first.action_id


def replace_purpose(link: Link) -> Link:
    from msgspec.structs import replace as changed

    return changed(link, purpose="silence")


def test_what_a_link_does_is_what_the_policy_then_does() -> None:
    notifier = Notifier(SIGNED).take(slow("open", severity="warning", incident="a")).deliver()
    text = next(one.message.text for one in notifier.sent if one.message.channel == "email")
    acknowledge, silence = re.findall(r"^(?:Acknowledge|Silence for 24 h): \S+/links/(\S+)$", text, re.MULTILINE)
    notifier.take(*actions_of(verify(KEY, acknowledge, NOW_S), acknowledge, NOW_S))
    notifier.take(slow("worse", incident="a", state="ongoing")).deliver()
    assert notifier.reasons("slack")[-1] == "acknowledged by link in email"
    notifier.take(*actions_of(verify(KEY, silence, NOW_S), silence, NOW_S), slow("b")).deliver()
    assert notifier.reasons("slack")[-1].startswith("silenced by link in email until 2026-01-23 12:00")


def test_links_are_in_their_places_and_keep_every_limit() -> None:
    accept(state := {}, slow("a", entity_name=NASTY), NOW_S, SIGNED)
    messages = {one.message.channel: one.message for one in due_deliveries(state, NOW_S, SIGNED)}
    slack, mail = messages["slack"], messages["email"]
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == ""
    links = [block["text"]["text"] for block in slack.blocks[-2:]]
    assert [text.count("https://gvs.example.org/links/") for text in links] == [1, 1]
    assert "/links/" not in slack.text
    assert mail.html.count("/links/") == 2 and mail.html.index("Open the details") < mail.html.index("/links/")
    assert [one.message.text for one in due_deliveries(state, NOW_S + 5, SIGNED)] == [
        one.text for one in messages.values()
    ]


def test_no_links_without_a_key_for_an_end_for_a_run_or_in_the_inbox() -> None:
    assert links_of_anomaly(slow("a"), "email", CONFIG, NOW_S) == []
    assert links_of_anomaly(slow("a", state="resolved"), "email", SIGNED, NOW_S) == []
    assert links_of_anomaly(slow("a"), "inbox", SIGNED, NOW_S) == []
    assert Notifier(SIGNED).take(run_of(LIDO)).deliver().got("email")[0].count("/links/") == 0
    assert "/links/" not in message_about("email", slow("a"), SIGNED, "m").text
    assert LINK_LIFETIME_S == 7 * 86_400


def group_of(count: int, **labels: str) -> Notifier:
    route = Route(name="r", group_by=GROUP_BY, group_wait_s=1.0, group_interval_s=60.0, rate_limit_count=50)
    notifier = Notifier(replace(SIGNED, routes=(route,)))
    for number in range(count):
        given = {"entity_id": f"w{number}", "execution_id": str(number), "affected_entities": [], "profile": "robust"}
        notifier.take(slow(f"a{number}", labels=labels, **given))
    return notifier.after(1)


def test_a_group_is_taken_whole_and_what_it_shares_is_silenced() -> None:
    notifier = group_of(3, commit="4f2a")
    text = next(one.message.text for one in notifier.sent if one.message.channel == "email")
    acknowledge = re.search(r"^Acknowledge all 3: \S+/links/(\S+)$", text, re.MULTILINE)[1]
    silence = re.search(r"^Silence commit=4f2a for 24 h: \S+/links/(\S+)$", text, re.MULTILINE)[1]
    taken = actions_of(verify(KEY, acknowledge, NOW_S), acknowledge, NOW_S)
    assert {(one.incident_id, one.entity) for one in taken} == {(uuid(f"a{n}"), f"workflow:w{n}") for n in range(3)}
    assert len({one.action_id for one in taken}) == 3
    notifier.take(*taken, slow("worse", incident="a1", entity_id="w1", state="ongoing", severity="critical"))
    assert notifier.reasons("slack")[-1] == "acknowledged by link in email"
    (hush,) = actions_of(verify(KEY, silence, NOW_S), silence, NOW_S)
    assert (hush.kind, hush.matchers, hush.entity, hush.incident_id) == ("silence", {"commit": "4f2a"}, "", None)
    notifier.take(hush, slow("later", labels={"commit": "4f2a"}), slow("other", labels={"commit": "b"})).after(60)
    assert any(one.startswith("silenced by link in email") for one in notifier.reasons("slack"))


def test_a_group_that_is_too_large_for_an_address_is_taken_on_the_dashboard() -> None:
    notifier = group_of(60, build=NASTY)
    for message in (one.message for one in notifier.sent):
        assert "Acknowledge all" not in message.text + str(message.blocks)
        if message.channel == "slack":
            assert problem_with({"text": message.text, "blocks": message.blocks}) == ""
            assert "<!" not in str(message.blocks) and "<@" not in str(message.blocks)
    slack = next(one.message for one in group_of(15, build=NASTY).sent if one.message.channel == "slack")
    assert "Acknowledge all 15" in str(slack.blocks)
    assert problem_with({"text": slack.text, "blocks": slack.blocks}) == ""
