"""Topics that change while a role runs: partitions are added, or a topic is deleted and created again.

Kafka's clients take whatever number of partitions they are told. A topic that the broker created again with one would
pass for one whose other partitions have nothing to read.
"""

import time
from collections.abc import Callable, MutableMapping

from stream_detector.kafka.preflight import describe_recreated
from stream_detector.kafka.topics import BY_NAME

MISSING_FOR_S = 10.0
"""A broker that has just started may not know a topic for a moment."""

Count = Callable[[str], int]
"""How many partitions a topic has, by its name on the broker; 0: it is not there, or nobody asked about it."""


class TopicWatch:
    """Compares what the broker answers with what was known.

    Args:
        partitions: topic without its prefix -> how many partitions it has. An assignment changes it, see
            `take_assignment`.
        prefix: of the names on the broker.
        fail: ends the process.
    """

    def __init__(self, partitions: MutableMapping[str, int], prefix: str, fail: Callable[[str], None]) -> None:
        self._partitions, self._prefix, self._fail = partitions, prefix, fail
        self._had: dict[str, int] = {}
        self.take_known()
        self._missing_since_s: list[dict[str, float]] = []
        """Of each client the topics that it was told of, and is told of no more."""

    def take_known(self) -> None:
        """What `partitions` has now is what was known."""
        self._had = dict(self._partitions)

    def of_client(self) -> Callable[[Count], None]:
        """What is to be called with each answer that one client gets.

        It ends the process where a topic has shrunk, or one of ours has grown.
        """
        seen: set[str] = set()
        missing: dict[str, float] = {}
        self._missing_since_s.append(missing)

        def look(count: Count) -> None:
            for topic, had in self._had.items():
                name = self._prefix + topic
                has = count(name)
                if has:
                    seen.add(name)
                    missing.pop(name, None)
                elif name in seen:
                    missing.setdefault(name, time.monotonic())
                if 0 < has < had:
                    self._fail(describe_recreated(topic, name, had, has))
                if has > had and _is_ours(topic):
                    self._fail(
                        f"{name} had {had} partitions and has {has}: partitions were added to it while this role ran, "
                        "and the number decides which worker owns a key. Stop every role and run `stream-detector "
                        f"setup --repartition {has}`"
                    )
                self._had[topic] = max(had, has)

        return look

    def find_missing(self) -> str:
        """Why the process has to end: a topic is not there any more; empty where all are."""
        now_s = time.monotonic()
        gone = {name for missing in self._missing_since_s for name, s in missing.items() if now_s - s > MISSING_FOR_S}
        if not gone:
            return ""
        return f"not on the broker any more: {', '.join(sorted(gone))}. Run `stream-detector setup`"

    def take_assignment(self, group_of: Callable[[str], int | None], count: Count, home: str) -> None:
        """Take over how many partitions each topic has by an assignment.

        Topics with as many partitions are assigned together, by what the member knew that made the assignment. So it
        is the assignment that is asked whether a topic goes with the state, not the broker.

        Args:
            group_of: the group of topics that one was assigned with; None where it was not assigned.
            count: by the last answer.
            home: the state's topic, without its prefix; it keeps its number.
        """
        n, with_state = self._partitions[home], group_of(self._prefix + home)
        for topic in self._partitions:
            group = group_of(self._prefix + topic)
            if group is None or _is_ours(topic):
                continue
            now = count(self._prefix + topic)
            self._partitions[topic] = n if group == with_state else now if now != n else 0


def _is_ours(topic: str) -> bool:
    return topic in BY_NAME and BY_NAME[topic].is_ours
