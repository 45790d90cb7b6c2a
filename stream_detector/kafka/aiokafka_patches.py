"""Everything that leans on the inside of aiokafka, changed or read; one version is tested.

`install` is called once by whoever runs an event loop with aiokafka in it, before its first client:

- requests to a closed connection fail as aiokafka expects, also on uvloop (`_notice_closed_connections`);
- fetches are read and written by whole structures (`fetch_codec`).

Whatever reads records calls `read_past_bad_records` (`client.client_options` does): one that the parser cannot read
does not end the fetch.

A worker also calls `keep_parsed_records` and `remember_resets`. The rest works on one client each and takes it as its
argument.
"""

import asyncio
import contextlib
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar, cast

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.group import JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from stream_detector.kafka import batch_reader, fetch_codec, inflate
from stream_detector.telemetry.log_events import UntestedLibrary

TESTED_VERSION = "0.14.0"

_NEEDED: tuple[tuple[type, str], ...] = (
    (AIOKafkaConnection, "send"),
    (AIOKafkaConnection, "_send_sasl_token"),
    (PartitionRecords, "_consumer_record"),
    (PartitionRecords, "_unpack_records"),
    (PartitionRecords, "__next__"),
    (FetchResult, "getall"),
    (FetchResult, "check_assignment"),
    (FetchResult, "_update_position"),
    (Fetcher, "fetched_records"),
    (MemoryRecords, "next_batch"),
    (FetchRequest_v11, "encode"),
    (FetchResponse_v11, "decode"),
    (GroupCoordinator, "_do_heartbeat"),
    (GroupCoordinator, "_push_error_to_user"),
    (GroupCoordinator, "_send_req"),
    (GroupCoordinator, "fetch_committed_offsets"),
    (TopicPartitionState, "await_reset"),
    (TopicPartitionState, "reset_to"),
    (AIOKafkaAdminClient, "_send_request"),
    (BatchBuilder, "_build"),
)
"""What is replaced or called below."""

LEAVE_TIMEOUT_S = 1.0
"""How long a consumer that is closed while it joins its group waits for the answer to its leaving."""

_SEND: dict[str, Any] = {name: getattr(AIOKafkaConnection, name, None) for name in ("send", "_send_sasl_token")}
"""aiokafka's own, so that installing twice wraps them once."""

_FETCHED_RECORDS: Any = getattr(Fetcher, "fetched_records", None)

FETCHED_AGAIN = 3
"""So many times a batch with a wrong checksum is fetched before it is refused."""
_MOST_DAMAGED = 1_000
COMMIT_WITHIN_S = 3.0
_UNPACK_RECORDS: Any = getattr(PartitionRecords, "_unpack_records", None)
_refused: dict[TopicPartition, int] = {}
_damaged: dict[tuple[TopicPartition, int], int] = {}

_DECODERS = {
    "gzip_decode": inflate.GZIP,
    "snappy_decode": inflate.SNAPPY,
    "lz4_decode": inflate.LZ4,
    "zstd_decode": inflate.ZSTD,
}
"""What the parser calls to inflate a batch, by its names there."""

T = TypeVar("T", bound=RequestStruct)


class AiokafkaError(Exception):
    """This aiokafka has not what the patches need."""


def install() -> None:
    """Patch this process. Raises `AiokafkaError`, before anything is patched, where a part of aiokafka is not there."""
    check_version()
    _notice_closed_connections()
    FetchRequest_v11.encode = fetch_codec.encode  # type: ignore[method-assign, assignment]  # a function of the request
    FetchResponse_v11.decode = staticmethod(fetch_codec.decode)  # type: ignore[method-assign]  # a method of the class


def check_version() -> None:
    """Log where aiokafka is not the tested version. Raises `AiokafkaError` where what is patched is not in it."""
    missing = [f"{owner.__name__}.{name}" for owner, name in _NEEDED if not hasattr(owner, name)]
    if missing:
        raise AiokafkaError(
            f"aiokafka {aiokafka.__version__} has no {', '.join(missing)}, on which stream_detector relies: "
            f"install aiokafka {TESTED_VERSION}"
        )
    if aiokafka.__version__ != TESTED_VERSION:
        UntestedLibrary("aiokafka", aiokafka.__version__, TESTED_VERSION).emit()


def _notice_closed_connections() -> None:
    """A request to a closed connection raises `KafkaConnectionError`, whether or not its reader has noticed.

    Where the peer is gone, asyncio's own transport drops what is written; uvloop's raises RuntimeError, until the
    reader has noticed, too. aiokafka expects an OSError there. The RuntimeError ended whatever task had asked: when it
    was the one that renews the cluster's metadata, everything that waits for metadata waited for ever. Such a worker
    read on, but found its coordinator no more, so it could neither commit nor rejoin. The soak found it, once in about
    40 kills of a broker.
    """
    for name, send in _SEND.items():
        setattr(AIOKafkaConnection, name, _noticing(send))


def _noticing(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def noticing(self: AIOKafkaConnection, *args: Any, **kwargs: Any) -> Any:
        if self._writer is not None and self._writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
        return send(self, *args, **kwargs)

    return noticing


class _KeptRecords(MemoryRecords):
    """aiokafka's parser, which keeps what it parses."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


def read_past_bad_records() -> None:
    """In this process a batch that the parser fails at is read record by record, the rest by the parser again.

    The name of a header that was not UTF-8 ended every role that read it, inside the fetch, at each restart. So is a
    batch that is too large to be inflated at once, and what one call gives, of all partitions, stays within that size.
    """
    fetcher.MemoryRecords = _KeptRecords  # type: ignore[misc]  # the name by which the fetcher makes them
    PartitionRecords.__next__ = _next_record  # type: ignore[method-assign]  # that is the patch
    FetchResult.getall = _take_records  # type: ignore[method-assign]  # as are these
    Fetcher.fetched_records = _fetched_records  # type: ignore[method-assign]
    for owner in (DefaultRecordBatch, LegacyRecordBatch):
        parser = sys.modules[owner.__module__]
        for name, codec in _DECODERS.items():
            if hasattr(parser, name):
                setattr(parser, name, partial(inflate.at_once, codec))


def refuse_batch(topic: str, partition: int, offset: int) -> None:
    """The batch with this offset is not read any more: one record stands for it, which says so."""
    _refused[TopicPartition(topic, partition)] = offset
    PartitionRecords._unpack_records = _unpack_or_refuse  # type: ignore[method-assign]  # that is the patch


def _unpack_or_refuse(self: PartitionRecords) -> Any:
    offset = _refused.get(self._tp)
    if offset is None or self.next_fetch_offset > offset or not isinstance(self._records, _KeptRecords):
        return _UNPACK_RECORDS(self)
    data = self._records.data
    found = batch_reader.find_batch(data, offset)
    if found is None or batch_reader.find_batch(data, self.next_fetch_offset) != found:
        return _UNPACK_RECORDS(self)  # another batch comes before it
    why = "has ended the process each time that it was read"
    refused = batch_reader.refused_batch(data[slice(*found)], self.next_fetch_offset, why)
    return _careful_records(self, iter([refused]), refused.offset + 1, data[found[1] :])


class _PausedError(Exception):
    """What this fetch may hold is fetched; the partition goes on where it is."""


def _fetched_records(self: Fetcher, *args: Any, **kwargs: Any) -> Any:
    inflate.room.reset()
    return _FETCHED_RECORDS(self, *args, **kwargs)


def _take_records(self: FetchResult, max_records: int | None = None) -> list[Any]:
    """As the original has it, and it can go on after a pause."""
    if not self.check_assignment(self._topic_partition) or self._partition_records is None:
        return []
    found: list[Any] = []
    append = found.append
    inflate.room.can_pause = True
    try:
        for record in self._partition_records:
            append(record)
            if max_records is not None and len(found) >= max_records:
                self._update_position()
                return found
    except _PausedError:
        self._update_position()
        return found
    finally:
        inflate.room.can_pause = False
    self._update_position()
    self._partition_records = None
    return found


def _next_record(self: PartitionRecords) -> Any:
    try:
        return next(self._records_iterator)
    except (StopIteration, _PausedError):
        raise
    except inflate.NoRoomError:
        self._records_iterator = _again(self)
        raise _PausedError from None
    except Exception:
        rest = _read_carefully(self)
        if rest is None:
            raise
        self._records_iterator = rest
    return next(self._records_iterator)


def _again(self: PartitionRecords) -> Iterator[Any]:
    """The parser again, from the batch that it stands at."""
    data = self._records.data if isinstance(self._records, _KeptRecords) else b""
    found = batch_reader.find_batch(data, self.next_fetch_offset)
    self._records = _KeptRecords(data[found[0] :] if found else b"")
    return self._unpack_records()


class _Careful:
    """A batch record by record, then the parser again. It can be asked for more after a pause."""

    def __init__(self, records: Iterator[Any]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if inflate.room.is_used_up:
            raise _PausedError
        return next(self._records)


def _read_carefully(self: PartitionRecords) -> Iterator[Any] | None:
    """From the record at which the parser failed; None where no record is the reason, but the bytes on their way."""
    data = self._records.data if isinstance(self._records, _KeptRecords) else b""
    found = batch_reader.find_batch(data, self.next_fetch_offset)
    if found is None:
        return iter(()) if data else None  # it failed behind the last record
    batch = data[slice(*found)]
    parsed = MemoryRecords(batch).next_batch()
    if parsed is None:
        return None
    if not parsed.validate_crc():
        if not _is_damaged_for_good(self._tp, batch):
            return iter(())  # it is fetched again
        refused = batch_reader.refused_batch(batch, self.next_fetch_offset, "has a wrong checksum")
        return _Careful(_careful_records(self, iter([refused]), refused.offset + 1, data[found[1] :]))
    records = iter(()) if parsed.is_control_batch else batch_reader.read_batch(batch, self.next_fetch_offset)
    return _Careful(_careful_records(self, records, parsed.next_offset, data[found[1] :]))


def _is_damaged_for_good(tp: TopicPartition, batch: bytes) -> bool:
    """False while a batch may have been damaged on its way: the same bytes have come fewer than so many times."""
    place = tp, zlib.crc32(batch)
    _damaged[place] = _damaged.pop(place, 0) + 1
    if len(_damaged) > _MOST_DAMAGED:
        del _damaged[next(iter(_damaged))]
    return _damaged[place] >= FETCHED_AGAIN


def _careful_records(
    self: PartitionRecords, records: Iterator[batch_reader.ReadRecord], next_offset: int, behind: bytes
) -> Iterator[Any]:
    for record in records:
        self.next_fetch_offset = record.offset + 1
        yield self._consumer_record(self._tp, record)
    self.next_fetch_offset = max(next_offset, self.next_fetch_offset)
    self._records = _KeptRecords(behind)
    yield from self._unpack_records()


def keep_parsed_records() -> None:
    """Consumers of this process give the parser's records as they are: offset, timestamp, key, value and headers.

    A `ConsumerRecord` costs 3 to 4 us, which is as much as everything else that a fetched record costs.
    """
    PartitionRecords._consumer_record = _parsed_record  # type: ignore[method-assign]  # that is the patch


def _parsed_record(self: PartitionRecords, tp: TopicPartition, record: Any) -> Any:
    return record


def remember_resets() -> None:
    """Consumers of this process remember from where to where a partition went whose offset the broker no longer had.

    A fetch below the start of the log is answered with OFFSET_OUT_OF_RANGE; aiokafka then goes on at that start and
    keeps it to itself.
    """
    TopicPartitionState.await_reset = _leave  # type: ignore[method-assign]  # that is the patch
    TopicPartitionState.reset_to = _arrive  # type: ignore[method-assign]


_AWAIT_RESET, _RESET_TO = TopicPartitionState.await_reset, TopicPartitionState.reset_to


def _leave(self: TopicPartitionState, strategy: int) -> None:
    if self.has_valid_position:
        self.__dict__["left"] = self.position
    _AWAIT_RESET(self, strategy)


def _arrive(self: TopicPartitionState, position: int) -> None:
    left = self.__dict__.pop("left", None)
    if left is not None and position > left:
        self.__dict__["last_reset"] = left, position
    _RESET_TO(self, position)


# -- one consumer --------------------------------------------------------------------------------------------------


class FetchState(NamedTuple):
    """What the fetches of a partition have reported."""

    position: int
    """The next offset that will be fetched, -1 if it is not known."""
    high_watermark: int | None
    last_stable_offset: int | None
    last_reset: tuple[int, int] | None = None
    """From where to where the position went when the broker no longer had the records (`remember_resets`)."""


def fetch_state(consumer: AIOKafkaConsumer, topic: str, partition: int) -> FetchState | None:
    """Of a partition of this consumer, None where it is another's. Asking the broker instead takes a request, and the
    embedded broker's ListOffsets answers an end that is too low."""
    place, subscription = TopicPartition(topic, partition), consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None or place not in assignment.tps:
        return None
    state = assignment.state_value(place)
    position = state.position if state.has_valid_position else -1
    return FetchState(position, state.highwater, state.lso, state.__dict__.get("last_reset"))


def set_fetch_options(consumer: AIOKafkaConsumer, *, isolation_level: str, max_wait_ms: int) -> None:
    """For a consumer that another library makes, before it is started."""
    consumer._isolation_level = isolation_level
    consumer._fetch_max_wait_ms = max_wait_ms


def watch_coordinator(
    consumer: AIOKafkaConsumer,
    on_answer: Callable[[float], None],
    on_error: Callable[[Exception], Awaitable[None]],
    clock: Callable[[], float],
) -> None:
    """Report heartbeats and errors of a started consumer's group.

    Args:
        on_answer: called after each answered heartbeat, with when it was sent.
        on_error: awaited with whatever ends the coordination. aiokafka's own way stops all coordination until the
            application asks for records by `getmany`, which raises the error; Faust asks the fetcher, so it would stop
            for ever: no heartbeat, no rejoining, every checkpoint refused, while what was assigned is read on.
        clock: gives the time.
    """
    coordinator = consumer._coordinator
    send_heartbeat = coordinator._do_heartbeat

    async def watched() -> bool:
        sent_at = clock()
        answered = await send_heartbeat()
        if answered:
            on_answer(sent_at)
        return answered

    coordinator._do_heartbeat = watched  # type: ignore[method-assign]  # of this one coordinator
    coordinator._push_error_to_user = on_error  # type: ignore[method-assign, assignment]  # of this one, too


def end_join_at_close(consumer: AIOKafkaConsumer) -> None:
    """Let a started consumer that is closed while it joins its group end the join, and leave the group.

    aiokafka's `close` awaits the answer, which the broker holds back until every other member has joined as well or its
    session is over: up to 300 s, where a role has 9 s to shut down.
    """
    coordinator = consumer._coordinator
    send = coordinator._send_req

    async def sending(request: Any) -> Any:
        if not isinstance(request, JoinGroupRequest | SyncGroupRequest):
            return await send(request)
        answer = asyncio.ensure_future(send(request))
        try:
            await asyncio.wait([answer, coordinator._closing], return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        await _leave_group(coordinator)
        raise GroupCoordinatorNotAvailableError

    coordinator._send_req = sending  # type: ignore[method-assign]  # of this one coordinator


async def _leave_group(coordinator: GroupCoordinator) -> None:
    """By another connection: a broker reads nothing more from the one on which it holds a join back."""
    node_id, member_id = coordinator.coordinator_id, coordinator.member_id
    if node_id is not None and member_id and coordinator._group_instance_id is None:
        request = LeaveGroupRequest(coordinator.group_id, member_id)
        with contextlib.suppress(KafkaError, TimeoutError):  # then its session ends
            await asyncio.wait_for(coordinator._client.send(node_id, request), LEAVE_TIMEOUT_S)
    coordinator.reset_generation()


async def fetch_committed(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """The group's committed offset of each partition, -1 where there is none, with its metadata. Raises `KafkaError`.

    aiokafka's own `committed` gives no metadata.
    """
    found = await consumer._coordinator.fetch_committed_offsets(list(places))
    return {place: (at.offset, at.metadata or "") for place, at in found.items()}


def partition_count(client: AIOKafkaConsumer | AIOKafkaProducer, topic: str) -> int:
    """How many partitions the topic has by the last answer that a started client got.

    It is 0 for a topic that is not there, or that the client has not asked about.
    """
    return len(_cluster(client).partitions_for_topic(topic) or ())


def watch_metadata(
    client: AIOKafkaConsumer | AIOKafkaProducer, on_update: Callable[[Callable[[str], int]], None]
) -> None:
    """Call back after each answer about topics that a started client gets, with `partition_count` of it."""
    _cluster(client).add_listener(lambda _: on_update(lambda topic: partition_count(client, topic)))


def _cluster(client: AIOKafkaConsumer | AIOKafkaProducer) -> Any:
    return cast(Any, client._client if isinstance(client, AIOKafkaConsumer) else client.client).cluster


def commit_from_thread(
    consumer: AIOKafkaConsumer, options: Mapping[str, Any], committed: Mapping[TopicPartition, tuple[int, str]]
) -> None:
    """Commit as this member of its group while its loop stands: the process is about to end. It may fail."""
    coordinator, by_topic = consumer._coordinator, dict[str, list[tuple[int, int, str]]]()
    for place, (offset, metadata) in committed.items():
        by_topic.setdefault(place.topic, []).append((place.partition, offset, metadata))
    request = OffsetCommitRequest(
        coordinator.group_id, coordinator.generation, coordinator.member_id, -1, list(by_topic.items())
    )

    async def commit() -> None:
        client = AIOKafkaClient(**options)
        await client.bootstrap()
        try:
            node_id = await client.coordinator_lookup(0, coordinator.group_id)
            if await client.ready(node_id, group=ConnectionGroup.COORDINATION):
                await client.send(node_id, request, group=ConnectionGroup.COORDINATION)
        finally:
            await client.close()

    def run() -> None:
        with contextlib.suppress(Exception):
            asyncio.run(asyncio.wait_for(commit(), COMMIT_WITHIN_S))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(COMMIT_WITHIN_S + 1)


def rejoin(consumer: AIOKafkaConsumer) -> None:
    """Have the consumer join its group again."""
    consumer._coordinator.request_rejoin()


def generation(consumer: AIOKafkaConsumer) -> int:
    """The group's generation that the consumer knows, -1 where it is in none."""
    return consumer._coordinator.generation


def find_ended_task(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> str:
    """Which of the tasks that must live as long as their clients has ended, and by what; empty if none has."""
    tasks = {
        "the task of the group coordination": consumer._coordinator._coordination_task,
        "the task of the consumer's metadata refresh": consumer._client._sync_task,
        "the task of the producer's metadata refresh": producer.client._sync_task,
    }
    for name, task in tasks.items():
        if task is None or not task.done() or task.cancelled():
            continue
        if error := task.exception():
            return f"{name} has ended: {error!r}"
    return ""


# -- producing, asking ---------------------------------------------------------------------------------------------


def new_compressed_batch(n_bytes: int) -> BatchBuilder:
    """A batch compressed by zstd, whatever the producer that sends it is set to."""
    return BatchBuilder(n_bytes, DefaultRecordBatch.CODEC_ZSTD)


def build_batch(batch: BatchBuilder) -> int:
    """Close the batch and compress it; returns its bytes."""
    return len(batch._build())


async def send_admin_request(admin: AIOKafkaAdminClient, request: Request[T], node_id: int | None = None) -> Any:
    """The answer to a request that the admin client has no method for; by any broker where none is named."""
    return await admin._send_request(request, node_id)


async def find_coordinator(admin: AIOKafkaAdminClient, group: str) -> int | None:
    """The broker that coordinates a group, None while it cannot be reached. Raises `KafkaError`."""
    node_id = await admin._client.coordinator_lookup(0, group)
    return node_id if await admin._client.ready(node_id) else None
