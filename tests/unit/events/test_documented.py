"""The page of contracts names what the code refuses and where events go."""

from pathlib import Path
from typing import get_args

from stream_detector.events.documents import MAX_BYTES, MAX_DEPTH
from stream_detector.events.refused import Reason
from stream_detector.kafka.topics import TOPICS

PAGE = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text("utf-8")


def test_every_reason_is_documented() -> None:
    documented = {line.split("`")[1] for line in PAGE.partition("| reason |")[2].splitlines() if line.startswith("| `")}
    assert documented == set(get_args(Reason))


def test_every_public_topic_is_documented_and_the_limits_are_those_in_force() -> None:
    for topic in TOPICS:
        internal = topic.cleanup == "compact" or topic.name in (
            "rekeyed",
            "run-parts",
            "notifier-in",
            "detector-settings",
            "clock",
        )
        assert (f"| `{topic.name}` |" in PAGE) != internal, topic.name
    assert f"{MAX_BYTES:,} bytes" in PAGE
    assert f"{MAX_DEPTH} levels" in PAGE
