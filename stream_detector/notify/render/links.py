"""The links of a message that act with one click."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from stream_detector.events import Anomaly
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.kept import Line, Several
from stream_detector.notify.links import LASTS_S, MOST_CHARACTERS, WORDS, Link, Purpose, sign
from stream_detector.notify.message import Message
from stream_detector.notify.render.escape import for_html, one_line
from stream_detector.notify.render.slack import link_block
from stream_detector.notify.share import OWN_WORDS, words
from stream_detector.notify.subject import state_key

Links = list[tuple[str, str]]
"""(words, address) of each."""


def links_of(anomaly: Anomaly, channel: str, config: NotifyConfig, at_s: float) -> Links:
    """Those of a message of this anomaly; none without a key, for an end, or in the inbox."""
    if anomaly.state == "resolved" or channel == INBOX:
        return []
    about = one_line(f"{anomaly.anomaly_type} in {anomaly.entity_name}", 120)
    given: Any = {"incident_id": anomaly.incident_id, "entity": state_key(anomaly), "about": about}
    return _signed([(purpose, shown, given) for purpose, shown in WORDS.items()], channel, config, at_s)


def links_of_group(head: Several, lines: Sequence[Line], channel: str, config: NotifyConfig, at_s: float) -> Links:
    """Those of a message about a group: take all that it tells of, silence what has the label that all of it has."""
    on = [(line.incident_id, line.entity) for line in lines if line.incident_id and line.state != "resolved"]
    label = next((facet for facet in head.shared if facet[0] not in OWN_WORDS), None)
    asked: list[tuple[Purpose, str, Any]] = []
    if on:
        (incident_id, entity), *more = on
        many = f"Acknowledge all {len(on)}" if more else "Acknowledge"
        about = one_line(f"{len(on)} that share {'; '.join(map(words, head.shared))}", 120)
        asked.append(
            ("acknowledge", many, {"incident_id": incident_id, "entity": entity, "more": more, "about": about})
        )
    if label:
        about = one_line(f"Everything with {words(label)}", 120)
        shown = f"Silence {one_line(words(label), 60)} for 24 h"
        asked.append(("silence", shown, {"matchers": dict([label]), "about": about}))
    return _signed(asked, channel, config, at_s)


def _signed(asked: list[tuple[Purpose, str, Any]], channel: str, config: NotifyConfig, at_s: float) -> Links:
    if not config.link_key or channel == INBOX or at_s <= 0:
        return []
    made = []
    for purpose, shown, given in asked:
        token = sign(config.link_key, Link(purpose=purpose, channel=channel, expires_s=int(at_s + LASTS_S), **given))
        if len(token) <= MOST_CHARACTERS:  # more of a group than an address can hold are taken on the dashboard
            made.append((shown, f"{config.base_url}/links/{token}"))
    return made


def linked(message: Message, links: Links) -> Message:
    """With what one click may do, after everything else. Slack has it in its blocks: its text is read aloud."""
    if not links:
        return message
    if message.blocks:
        # A block each: two of a group's could together be longer than Slack takes.
        return replace(message, blocks=[*message.blocks, *(link_block(url, shown) for shown, url in links)])
    rows = "".join(f"\n{shown}: {url}" for shown, url in links)
    anchors = " &nbsp; ".join(
        f'<a class="soft" href="{for_html(url)}" style="{_LINK}">{for_html(shown)}</a>' for shown, url in links
    )
    page, end, rest = message.html.rpartition("</td></tr>\n</table>\n</body>")
    html = f'{page}<p style="margin:16px 0 0">{anchors}</p>\n{end}{rest}' if message.html else ""
    return replace(message, text=f"{message.text}\n{rows}", html=html)


_LINK = "font-size:14px;color:#5b6573"
