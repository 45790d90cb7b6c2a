"""A history through the detector's own `apply`: partitions, changelog, checkpoints, and a restart in the middle."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import msgspec
from faust.types import TP

from benchmarks.checksums.histories import DAY_MS, PARTITIONS, Item
from benchmarks.checksums.sums import WORDS, Figures, Found, Sum, WrongError, merged, sums_of_state, wordless
from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.broker_clock import BrokerClock
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.contents import Codec
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Config
from stream_detector.events import ScoreRun
from stream_detector.events.decode import decode_anomaly, decode_run_part, decode_run_summary
from stream_detector.events.encode import encode
from stream_detector.events.label_counts import HEADER as LABEL_COUNTS
from stream_detector.kafka import topics
from stream_detector.roles.detector import Detector
from stream_detector.settings import Settings

CHECKPOINT_EVERY = 500


class _Table:
    """One table's parts, recovered from what was written, and all ours."""

    def __init__(self, codec: Codec[Any], written: "list[list[SimpleNamespace]]") -> None:
        self.partitions: dict[int, StatePartition[Any]] = {}
        self.owned_partitions = self.partitions
        for number, log in enumerate(written):
            part = self.partitions[number] = StatePartition(codec)
            newest = {record.key: record for record in log}  # what compaction leaves
            if log:
                part.apply_changelog(sorted(newest.values(), key=lambda record: record.offset))
            part.finish_recovery(len(log) - 1)
            key, value = part.claim_record()
            log.append(SimpleNamespace(offset=len(log), key=key, value=value))
            if not part.confirm_claim(log[-1].offset):
                raise WrongError("a partition could not be claimed")

    def get_owned(self, number: int) -> StatePartition[Any]:
        """Where a partition's keys are."""
        return self.partitions[number]

    find_owned = get_owned


class _App:
    """What of the Faust app the detector touches. It sends to `send`."""

    def __init__(self, logs: "dict[str, list[list[SimpleNamespace]]]", send: Callable[..., None]) -> None:
        self.settings, self._logs = Settings(), logs
        self.tables: dict[str, _Table] = {}
        self.partitions = {topic.name: PARTITIONS for topic in topics.TOPICS}
        self.on_rebalance_complete = SimpleNamespace(connect=lambda **_: lambda function: function)
        self.batch_producer = SimpleNamespace(put=send)
        self.broker_clock = BrokerClock()
        self.checkpoint = SimpleNamespace(is_running=False, begun=0, completed=0)  # so nothing is dropped

    send_to_dlq = WorkerApp.send_to_dlq

    def state_table(self, name: str, codec: Codec[Any], partitions: int) -> _Table:
        """A table."""
        self.tables[name] = _Table(codec, self._logs[name])
        return self.tables[name]

    def dispatch(self, number: int) -> None:
        """All is sent already."""

    def fail(self, why: Any) -> None:
        """A defect ends the comparison."""
        raise WrongError(f"the detector failed: {why}")


class Live:
    """The detector on records, with checkpoints, a changelog and a restart."""

    def __init__(self, config: Config) -> None:
        self.told = Found()
        self._sent: dict[str, tuple[Sum, Sum]] = defaultdict(lambda: (Sum(), Sum()))
        self._logs: dict[str, list[list[SimpleNamespace]]] = defaultdict(lambda: [[] for _ in range(PARTITIONS)])
        """Of each table, the changelog of each partition; of each source, its records."""
        self._waiting: list[tuple[str, int]] = []
        """Where our own records have come that are not applied yet."""
        self._read: dict[tuple[str, int], int] = defaultdict(int)
        self._chunks: dict[tuple[str, int], list[SimpleNamespace]] = {}
        self._out: list[tuple[str, int, bytes, bytes, list[tuple[str, bytes]]]] = []
        self._changelog, self.now_ms, self._number = Sum(), 0, 0
        self._start(config)

    def _start(self, config: Config) -> None:
        self._app = _App(self._logs, self._send)
        self._detector = Detector(self._app, config)  # type: ignore[arg-type]

    def turn(self, config: Config) -> None:
        """A new detector goes on from the changelog. What was read last comes again: it must change nothing."""
        self._checkpoint()
        self._start(config)
        before = self.told.alerts.count
        for (topic, number), records in sorted(self._chunks.items()):
            self._handle(topic, number, records)
        self._drain()
        if self.told.alerts.count != before:
            raise WrongError("after the restart something was told again")

    def apply(self, one: Item) -> None:
        """Put it on its topic and apply it, and whatever it makes us send to ourselves."""
        self.now_ms = max(self.now_ms, one.at_ms)
        self._number += 1
        self._append(one.topic, one.partition, None, one.value, one.headers)
        self._drain()
        over = isinstance(one.event, ScoreRun) and one.event.status != "started"
        if over or self._number % CHECKPOINT_EVERY == 0:
            self._checkpoint()

    def end(self, at_ms: int) -> None:
        """Nothing more comes: runs time out, are forgotten after a day, and rosters after 90."""
        self.now_ms = at_ms
        self._checkpoint()
        self._state = self._sums()
        for self.now_ms in (at_ms + 2 * DAY_MS, at_ms + 100 * DAY_MS):
            self._checkpoint()

    def figures(self) -> Figures:
        """Sums of all: what was sent by topic, each changelog record as written, and the newest value of each key."""
        left = self._sums()
        figures = merged(
            self.told.figures(), self._state, {"changelog": str(self._changelog), "runs_left": left["runs"]}
        )
        for unused in ("outcomes", "explained_words"):
            del figures[unused]
        for topic, (plain, words) in sorted(self._sent.items()):
            figures |= {f"sent_{topic}": str(plain), f"sent_{topic}{WORDS}": str(words)}
            figures["count"][f"sent_{topic}"] = plain.count
        return figures

    def _sums(self) -> Figures:
        newest: dict[str, dict[str, bytes]] = {}
        for name in (topics.BASELINES, topics.RUNS_STATE):
            values = {record.key: record.value for log in self._logs[name] for record in log if record.key[:1] != b"\0"}
            opened = ((key.decode(), changelog_record.payload_of(value)) for key, value in values.items())
            newest[name] = {key: packed for key, packed in opened if packed}
        return sums_of_state(newest[topics.BASELINES].items(), newest[topics.RUNS_STATE].items())

    # -- going on ------------------------------------------------------------------------------------------------

    def _append(self, topic: str, number: int, key: bytes | None, value: bytes, headers: Any) -> None:
        log = self._logs[topic][number]
        log.append(
            SimpleNamespace(
                offset=len(log),
                timestamp=self.now_ms,
                timestamp_type=0,
                key=key,
                value=value,
                headers=headers or [],
            )
        )
        self._waiting.append((topic, number))

    def _drain(self) -> None:
        """Apply what has come, a chunk for each stretch of one partition, until nothing is left."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for place, stretch in groupby(waiting):
                at = self._read[place]
                self._read[place] = end = at + len(list(stretch))
                self._chunks[place] = self._logs[place[0]][place[1]][at:end]
                self._handle(*place, self._chunks[place])

    def _handle(self, topic: str, number: int, records: list[SimpleNamespace]) -> None:
        chunk = Chunk(TP(topic, number), records, records[-1].offset + 1)
        apply = self._detector.apply_run_parts if topic == topics.RUN_PARTS else self._detector.apply
        try:
            apply(topic, chunk).send(None)
        except StopIteration:
            self._flush(self._out)
        else:
            raise WrongError("the detector gave up control while it applied a chunk")

    def _checkpoint(self) -> None:
        """Runs that have ended are told, then the state is written, a key after the other."""
        for number in range(PARTITIONS):
            self._detector.before_checkpoint(SimpleNamespace(number=number))  # type: ignore[arg-type]
        # Which of several runs that ended is told first is chance: the detector goes through a set.
        self._flush(sorted(self._out, key=lambda sent: sent[:4]))
        self._drain()
        for name, table in sorted(self._app.tables.items()):
            for number, part in table.partitions.items():
                ends = {source: end for (source, at), end in self._read.items() if at == number}
                positions = {name: ends[name] for name in changelog_record.SOURCES if name in ends}
                log, snapshot = self._logs[name][number], part.begin_snapshot(positions)
                snapshot.encode_for(float("inf"))
                written = sorted(snapshot.records) + snapshot.watermarks  # the order of keys is chance
                for key, value in written:
                    self._changelog.add(name, str(number), key, value)
                    log.append(SimpleNamespace(offset=len(log), key=key, value=value))
                if written and not part.confirm_write(log[-len(written)].offset, len(written)):
                    raise WrongError("somebody else wrote the changelog")

    def _send(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Any = None, caused_at_ms: int | None = None
    ) -> None:
        self._out.append((topic, partition, key or b"", value or b"", headers or []))

    def _flush(self, sent: Sequence[tuple[str, int, bytes, bytes, list[tuple[str, bytes]]]]) -> None:
        self._out = []
        for topic, number, key, value, headers in sent:
            plain, words = self._sent[topic]
            # The counts of labels name the process that counted.
            named = [(name, raw or b"") for name, raw in headers if name != LABEL_COUNTS]
            words.add(str(number), key, value, *(part for header in named for part in header))
            told = [header for header in named if not header[0].endswith("message")]
            plain.add(str(number), key, _wordless(topic, value), *(part for header in told for part in header))
            if topic == topics.ALERTS:
                self.told.add([msgspec.structs.replace(decode_anomaly(value), published_at=None)])
            elif topic == topics.RUN_SUMMARIES:
                self.told.sum_up(msgspec.structs.replace(decode_run_summary(value), published_after_s=None))
            elif topic in (topics.REKEYED, topics.RUN_PARTS):
                self._append(topic, number, key, value, headers)


def _wordless(topic: str, value: bytes) -> bytes:
    if topic == topics.ALERTS:
        return encode(wordless(decode_anomaly(value)))
    if topic == topics.RUN_PARTS and (part := decode_run_part(value)).anomaly is not None:
        return encode(msgspec.structs.replace(part, anomaly=wordless(part.anomaly)))
    return value
