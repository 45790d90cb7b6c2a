"""Renames: how the state of a workflow goes on under another id, whose owner may be another partition.

An action `rename` is read by the owner of the former id. Every step is safe to repeat, and nothing is sent that a
crash could make untrue:

1. In one batch of the changelog each of the workflow's keys becomes one with the prefix `leaving`, and `renamed:<id>`
   has where its executions belong from now on. Nothing else of the partition is applied until that is acknowledged.
2. What is leaving goes to the new owner by the topic `rekeyed`, under a number that only grows, and its key is deleted.
   If the process dies, it is sent again from the changelog, byte for byte, under the same number.
3. The new owner takes a number once, like any event that is passed on. An execution or action that comes under the
   former id is passed on behind it.

Where the new id has a baseline by then, that of a newcomer gives way; its open incidents are ended.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stream_detector.delivery.repartition import Origin, index_place
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect.codec.packed import check_version
from stream_detector.events import Action, Completion, RefusedError, Start
from stream_detector.events.headers import Headers
from stream_detector.events.times import epoch_ms
from stream_detector.events.variant import is_workflow_key, key_parts, workflow_key

RENAMED: Final = "renamed:"
"""Begins the state key of where a former id leads to; the id follows."""
LEAVING: Final = "leaving"
"""Takes the place of `workflow` in the state key of what has not reached its new owner yet."""
HEADER: Final = "stream-detector-renamed"
MOVED: Final = "moved"
"""Origin of a baseline that is on its way, instead of a topic."""
MOVED_ON: Final = "moved-on"
"""The same of one that its new owner passes on, since that id was renamed, too."""
FROM: Final = "from-"
"""Begins the origin of what came under a former id; the topic that it was read from follows. Such events are counted by
watermarks of their own: those of a topic say what comes to a partition by its keys."""
_FRAME: Final = b"\x01\x00"
"""A layout that every version reads as no execution of its own, so that an older one keeps the value."""


class Target(Struct, frozen=True, array_like=True):
    """Where a former id leads to. An empty `new_id`: nowhere any more, since this action."""

    new_id: str
    at_ms: int
    action_id: str
    number: int = 0
    """The largest that a baseline went under."""

    @property
    def order(self) -> tuple[int, str]:
        """Of two targets the one with the larger holds."""
        return self.at_ms, self.action_id


class Leaving(Struct, frozen=True, array_like=True):
    """A baseline on its way."""

    key: str
    """Its state key from now on."""
    number: int
    target: Target
    packed: bytes


class Moved(Struct, frozen=True, array_like=True):
    """A baseline that has arrived."""

    packed: bytes
    target: Target
    applied: dict[str, int]
    """Of the topics of its former partition, as place -> offset: what was applied there before it left."""


class _Passed(Struct, frozen=True, array_like=True):
    """The header of what is passed on: the topic that it was published to, and the id that holds."""

    topic: str
    new_id: str


class Checkpoints(Protocol):
    """What is needed of the app's checkpoint."""

    begun: int
    completed: int


class App(Protocol):
    """What is needed of the app."""

    @property
    def checkpoint(self) -> Checkpoints: ...
    async def until_checkpoint(self) -> None: ...


class Table(Protocol):
    """What is needed of the table of baselines."""

    @property
    def owned_partitions(self) -> Mapping[int, StatePartition[bytes]]: ...
    def find_owned(self, number: int) -> StatePartition[bytes] | None: ...


Send = Callable[[str, bytes, Headers], None]
"""Puts state key, value and headers on `rekeyed`, to the owner of the key."""


@dataclass
class _Known:
    """What is known of one partition of ours."""

    partition: StatePartition[bytes]
    epoch: int
    leaving: dict[str, int] = field(default_factory=dict)
    """State key -> the checkpoint with which it is in the changelog."""
    number: int = 0
    """The largest that was given."""


class Renames:
    """Follows renames on the partitions of this detector.

    Args:
        app: with its checkpoint.
        table: of baselines.
        send: puts what goes to another owner.
    """

    def __init__(self, app: App, table: Table, send: Send) -> None:
        self._app, self._table, self._send = app, table, send
        self._known: dict[int, _Known] = {}

    def begin(self, partition: StatePartition[bytes], number: int, action: Action, keys: Iterator[str]) -> bool:
        """Take the keys of a workflow out of use. False for an action that changes nothing (any more).

        Args:
            keys: of the workflow's baselines that do not have the action yet.
        """
        old_id, new_id = action.entity.removeprefix("workflow:"), action.new_id
        if not new_id or not old_id or new_id == old_id or action.entity != workflow_key(old_id):
            return False
        known, target = self._of(number, partition), Target(new_id, epoch_ms(action.at), action.action_id)
        former = self.target_of(partition, old_id)
        if former is not None and former.order > target.order:
            return False
        marker = RENAMED + old_id
        for key in keys:
            packed = partition.get(key)
            if packed is None:
                continue
            known.number = max(known.number + 1, target.at_ms)
            left = LEAVING + key.removeprefix("workflow")
            variant = key_parts(key).variant
            leaving = Leaving(workflow_key(new_id, variant), known.number, target, packed)
            partition.put(left, _FRAME + msgspec.msgpack.encode(leaving))
            partition.delete_with(key, left)
            partition.delete_with(key, marker)
            known.leaving[left] = self._app.checkpoint.begun + 1
        self._put_target(partition, old_id, replace(target, number=known.number))
        return True

    def forget(self, partition: StatePartition[bytes], action: Action) -> bool:
        """The former id is one of its own again, by a person's `retire`. False where it led nowhere."""
        old_id = action.entity.removeprefix("workflow:")
        former = self.target_of(partition, old_id)
        if former is None or not former.new_id or epoch_ms(action.at) < former.at_ms:
            return False
        self._put_target(partition, old_id, replace(former, new_id="", at_ms=epoch_ms(action.at)))
        return True

    def target_of(self, partition: StatePartition[bytes], workflow_id: str) -> Target | None:
        """Where a former id leads to; None where it was never renamed."""
        packed = partition.get(RENAMED + workflow_id)
        return None if packed is None else msgspec.msgpack.decode(packed[len(_FRAME) :], type=Target)

    def leads_to(self, partition: StatePartition[bytes], workflow_id: str) -> str:
        """The id that holds for what comes under this one; empty: itself."""
        target = self.target_of(partition, workflow_id)
        return target.new_id if target is not None else ""

    def _put_target(self, partition: StatePartition[bytes], old_id: str, target: Target) -> None:
        partition.put(RENAMED + old_id, _FRAME + msgspec.msgpack.encode(target))

    # -- what leaves -------------------------------------------------------------------------------------------------

    async def until_sent(self, number: int) -> None:
        """Return once nothing of the partition waits to leave, or it is not ours any more."""
        while (partition := self._table.find_owned(number)) is not None and self._of(number, partition).leaving:
            await self._app.until_checkpoint()

    def before_checkpoint(self, number: int, applied: Callable[[], Mapping[str, int]]) -> None:
        """Send what is leaving and in the changelog. Its key is deleted with the checkpoint that awaits the sends.

        Args:
            applied: gives topic -> first offset of the partition that is not applied.
        """
        partition = self._table.find_owned(number)
        if partition is None or not partition.owned:
            return
        known = self._of(number, partition)
        due = [key for key, checkpoint in known.leaving.items() if checkpoint <= self._app.checkpoint.completed]
        for key, leaving in sorted(((key, self._leaving(partition, key)) for key in due), key=_number):
            del known.leaving[key]
            if leaving is not None:
                target = leaving.target
                places = {f"{FROM}{topic}/{number}": offset for topic, offset in applied().items()}
                value = msgspec.msgpack.encode(Moved(leaving.packed, target, places))
                self._send(leaving.key, value, [Origin(MOVED, number, leaving.number, target.at_ms).header()])
            partition.delete(key)

    def _leaving(self, partition: StatePartition[bytes], key: str) -> Leaving | None:
        packed = partition.get(key)
        return None if packed is None else msgspec.msgpack.decode(packed[len(_FRAME) :], type=Leaving)

    def _of(self, number: int, partition: StatePartition[bytes]) -> _Known:
        """What a former owner has left is there already: it waits for no checkpoint."""
        known = self._known.get(number)
        if known is None or known.partition is not partition or known.epoch != partition.epoch:
            known = self._known[number] = _Known(partition, partition.epoch)
            for raw in [raw for raw in partition.packed if raw.startswith((b"leaving", b"renamed:"))]:
                key = raw.decode()
                if key.startswith(RENAMED):
                    target = self.target_of(partition, key.removeprefix(RENAMED))
                    known.number = max(known.number, target.number if target else 0)
                elif (leaving := self._leaving(partition, key)) is not None:
                    known.leaving[key] = 0
                    known.number = max(known.number, leaving.number)
        return known

    # -- what arrives ------------------------------------------------------------------------------------------------

    def arrive(self, partition: StatePartition[bytes], key: str, moved: Moved, here: Origin) -> bool:
        """Whether the baseline is to be taken under this key; else the id was renamed since, and it is passed on.

        Args:
            here: where it lies on `rekeyed`.
        """
        for place, offset in moved.applied.items():
            if offset > partition.watermarks.get(place, 0):
                partition.watermarks[place] = offset
                partition.watermarks.pop(index_place(place), None)  # it was of the former offset
                partition.watermarks_changed = True
        _, new_id, variant = key_parts(key)
        target = self.target_of(partition, new_id)
        if target is None or not target.new_id:
            return True
        if target.order < moved.target.order:  # it has come back
            self._put_target(partition, new_id, replace(moved.target, new_id="", number=target.number))
            return True
        value = msgspec.msgpack.encode(replace(moved, target=target, applied={}))
        self._send(workflow_key(target.new_id, variant), value, [here._replace(topic=MOVED_ON).header()])
        return False

    def pass_on(
        self,
        event: Completion | Start | Action,
        value: bytes | None,
        headers: Headers,
        place: Origin,
        topic: str,
        new_id: str,
    ) -> None:
        """What came under a former id, to the owner of the one that holds.

        Args:
            headers: its own.
            place: where it was read; of what was passed on before, on `rekeyed`, with its first time.
            topic: what it was published to.
        """
        own: list[tuple[str, bytes | None]] = [(name, text) for name, text in headers if name != HEADER]
        own.append((HEADER, msgspec.json.encode(_Passed(topic, new_id))))
        own.append(place._replace(topic=FROM + place.topic).header())
        key = workflow_key(new_id, None if isinstance(event, Action) else event.variant)
        self._send(key, value or b"", own)


def _number(item: tuple[str, Leaving | None]) -> int:
    return item[1].number if item[1] is not None else 0


Decode = Callable[[bytes | None, Headers, int], object]


def published_to(headers: Headers, read_from: str) -> str:
    """The topic that an event was published to, which came under a former id; else the one that it was read from."""
    passed = _passed(headers)
    return passed.topic if passed is not None else read_from


def _passed(headers: Headers) -> _Passed | None:
    for name, text in reversed(headers):
        if name == HEADER and text is not None:
            try:
                return msgspec.json.decode(text, type=_Passed)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return None
    return None


def decode_passed(value: bytes | None, headers: Headers, record_ms: int, decoders: Mapping[str, Decode]) -> object:
    """An event that came under a former id, under the one that holds. Raises `RefusedError`."""
    passed = _passed(headers)
    decode = decoders.get(passed.topic) if passed is not None else None
    if passed is None or decode is None:
        raise RefusedError("decode", "unsupported_format", "no detector passes on such an event")
    event = decode(value, headers, record_ms)
    if isinstance(event, Completion | Start):
        return replace(event, workflow_id=passed.new_id)
    if not isinstance(event, Action):
        raise RefusedError("decode", "unsupported_format", "no detector passes on such an event")
    variant = key_parts(event.entity).variant
    return replace(event, entity=workflow_key(passed.new_id, variant))


def decode_moved(value: bytes | None, headers: Headers, record_ms: int) -> Moved:
    """A baseline on its way. Raises `RefusedError`."""
    try:
        moved = msgspec.msgpack.decode(value or b"", type=Moved)
        check_version(moved.packed)
    except ValueError as error:
        raise RefusedError("decode", "unsupported_format", f"no detector sends such a baseline: {error}") from None
    return moved


def is_of_renames(key: str) -> bool:
    """Whether the state key is one of this module's, and no baseline's.

    >>> [is_of_renames(key) for key in ("renamed:app", "leaving/tag:app", "leaving:app", "workflow:renamed:app")]
    [True, True, True, False]
    """
    return not is_workflow_key(key) and key.startswith((RENAMED, LEAVING + ":", LEAVING + "/"))
