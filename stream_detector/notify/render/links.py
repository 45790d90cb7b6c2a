"""The links of a message that act with one click."""

from stream_detector.events import Anomaly
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.links import LASTS_S, WORDS, Link, sign
from stream_detector.notify.render.escape import one_line
from stream_detector.notify.subject import state_key


def links_of(anomaly: Anomaly, channel: str, config: NotifyConfig, at_s: float) -> list[tuple[str, str]]:
    """(words, address) of each link for a message of this anomaly; none without a key, for an end, or in the inbox."""
    if not config.link_key or anomaly.state == "resolved" or channel == INBOX or at_s <= 0:
        return []
    made = []
    for purpose, words in WORDS.items():
        link = Link(
            purpose=purpose,
            incident_id=anomaly.incident_id,
            entity=state_key(anomaly),
            channel=channel,
            about=one_line(f"{anomaly.anomaly_type} in {anomaly.entity_name}", 120),
            expires_s=int(at_s + LASTS_S),
        )
        made.append((words, f"{config.base_url}/links/{sign(config.link_key, link)}"))
    return made
