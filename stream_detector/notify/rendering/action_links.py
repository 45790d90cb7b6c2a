"""The links of a message that act with one click."""

from collections.abc import Sequence
from typing import Any

from stream_detector.events import Anomaly
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.links import LINK_LIFETIME_S, MAX_TOKEN_CHARACTERS, WORDS, Link, Purpose, sign
from stream_detector.notify.rendering.alert import anomaly_name
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.words import known
from stream_detector.notify.shared_facets import MISSED_RUNS, NOT_LABELS, facet_words
from stream_detector.notify.state.line_order import ENDED
from stream_detector.notify.state.state_models import Combined, Line
from stream_detector.notify.subject import RESOLVED, key_of_anomaly

Links = list[tuple[str, str]]
"""(words, address) of each."""


def links_of_anomaly(anomaly: Anomaly, channel: str, config: NotifyConfig, at_s: float) -> Links:
    """Those of a message of this anomaly; none without a key, for an end, or in the inbox."""
    if anomaly.state == RESOLVED or channel == INBOX:
        return []
    about = one_line(f"{known(anomaly.anomaly_type)} in {anomaly_name(anomaly)}", 120)
    given: Any = {"incident_id": anomaly.incident_id, "entity": key_of_anomaly(anomaly), "about": about}
    return _signed([(purpose, shown, given) for purpose, shown in WORDS.items()], channel, config, at_s)


def links_of_group(head: Combined, lines: Sequence[Line], channel: str, config: NotifyConfig, at_s: float) -> Links:
    """Those of a message about a group: take all that it tells of, silence what has the label that all of it has."""
    on = [(line.incident_id, line.entity) for line in lines if line.incident_id and line.state not in ENDED]
    label = next((facet for facet in head.bond.joins or head.shared if facet[0] not in NOT_LABELS), None)
    asked: list[tuple[Purpose, str, Any]] = []
    if on:
        (incident_id, entity), *more = on
        many = f"Acknowledge all {len(on)}" if more else "Acknowledge"
        about = one_line(f"{len(on)} that share {'; '.join(map(facet_words, head.bond.joins or head.shared))}", 120)
        asked.append(
            ("acknowledge", many, {"incident_id": incident_id, "entity": entity, "more": more, "about": about})
        )
    if label:
        label = ("source", label[1]) if label[0] == MISSED_RUNS else label
        words = facet_words(label)
        about = one_line(f"Everything with {words}", 120)
        shown = f"Silence {one_line(words, 60)} for 24 h"
        asked.append(("silence", shown, {"matchers": dict([label]), "about": about}))
    return _signed(asked, channel, config, at_s)


def _signed(asked: list[tuple[Purpose, str, Any]], channel: str, config: NotifyConfig, at_s: float) -> Links:
    if not config.link_key or channel == INBOX or at_s <= 0:
        return []
    made = []
    for purpose, shown, given in asked:
        token = sign(
            config.link_key, Link(purpose=purpose, channel=channel, expires_s=int(at_s + LINK_LIFETIME_S), **given)
        )
        if len(token) <= MAX_TOKEN_CHARACTERS:  # more of a group than an address can hold are taken on the dashboard
            made.append((shown, f"{config.base_url}/links/{token}"))
    return made
