"""Detector settings v1: the settings that judge, from when on they hold, and how detectors agree on them."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stream_detector.events.fields import Id, Instant, Name


class DetectorSettings(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One record of the topic `detector-settings`.

    Attributes:
        kind: `in_force` starts a revision. `question` asks whether a detector with other settings runs, and `answer`
            that one does; both carry the settings of who sends them.
        revision: counts from 1. Of two records that start the same one, the first on the topic holds.
        settings: name -> value, as text that the setting can be read from.
        offsets: topic without its prefix -> partition -> the offset that the detector's group had committed; what lies
            before it was judged under the revision before. A partition that is not named had none.
        question: the id of the question, of its answers too.
        at: when it was published.
        version: of the program that published it.
    """

    schema_version: Literal[1]
    kind: Literal["in_force", "question", "answer"]
    revision: int
    settings: Mapping[str, str]
    offsets: Mapping[str, Mapping[int, int]] = {}
    question: Id | None = None
    at: Instant
    version: Name = ""

    def holds_at(self, topic: str, partition: int, offset: int) -> bool:
        """Whether an event of this position was judged under this revision or a later one."""
        return self.offsets.get(topic, {}).get(partition, 0) <= offset
