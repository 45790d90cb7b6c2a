"""The policy's keys and values, packed into a fixed set of slots.

Keys such as `due:<message>:<channel>` come and go for as long as people get messages. In a compacted topic a key that
is deleted leaves its last record for ever, so a notifier would read every message of its life when it starts. Slots
have the same names always: what is read at a start is no more than what is kept.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from zlib import crc32

SLOTS = 4_096
SLOT_BYTES = 1 << 17
"""A slot that holds more takes no new key: a broker takes records of 1 MB. Its overflow is `SLOTS` further on."""


@lru_cache(maxsize=1 << 15)
def _home_of(key: str, slots: int) -> str:
    """The slot that a key is in, unless that is full. Asked some ten times about a key, a third of the time."""
    return str(crc32(key.encode()) % slots)


_KINDS = "incident flap part due sent pool group ref timer old silence retired taken taken-all"
_SOURCE_KINDS = "missed joined silent census"
BY_KIND = frozenset(f"{kind}:" for kind in f"{_KINDS} {_SOURCE_KINDS}".split())
BY_FOLDER = frozenset(("held:", "line:", "pooled:"))
"""Keys are listed by their kind (up to the first colon) or by their folder (up to the last); others by neither."""

Slot = dict[str, bytes]


class SlottedStore(MutableMapping[str, bytes]):
    """A mapping that also lists the keys of a kind or of a folder, in the order of their last writes.

    >>> store = SlottedStore({})
    >>> store["line:m1:slack:1"], store["seen:x"], store["line:m1:slack:2"] = b"a", b"b", b"c"
    >>> store.keys_of("line:m1:slack:")
    ['line:m1:slack:1', 'line:m1:slack:2']

    Args:
        slots: by their names, as they were kept.
        settle: called with a slot's name before it changes.
        keep: called with its name and content when it has changed.
        checkpoints: the number of the first that will hold what changes now, and of the last that is safe.
    """

    def __init__(
        self,
        slots: Mapping[str, Slot],
        settle: Callable[[str], None] = lambda name: None,
        keep: Callable[[str, Slot], None] = lambda name, slot: None,
        checkpoints: Callable[[], tuple[int, int]] = lambda: (1, 1),
    ) -> None:
        self._slots = dict(slots)
        self._settle, self._keep, self._checkpoints = settle, keep, checkpoints
        self._bytes = {name: sum(map(len, slot.values())) for name, slot in slots.items()}
        self._overflowing = any(int(name) >= SLOTS for name in slots)
        """Whether a slot has ever been too full: until then a key is in its home or nowhere."""
        self._lists: dict[str, dict[str, None]] = {}
        self._unsaved: dict[int, set[str]] = {}
        """Number of a checkpoint -> keys that changed before it and after the one before."""
        self._before: dict[str, bytes | None] | None = None
        """Within `undo_on_error`: the values that keys had before."""
        self.changes = 0
        """How often something was put or removed."""
        for slot in slots.values():
            for key in slot:
                self._list(key)

    def __getitem__(self, key: str) -> bytes:
        slot = self._slots.get(self._slot_of(key))
        if slot is None:
            raise KeyError(key)
        return slot[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default`; the mapping's own way raises and catches for each key that is not here."""
        slot = self._slots.get(self._slot_of(key))
        return default if slot is None else slot.get(key, default)

    def __setitem__(self, key: str, value: bytes) -> None:
        name = self._slot_of(key)
        if self._before is not None:
            self._before.setdefault(key, self.get(key))
        self._settle(name)
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = {}
            self._overflowing = self._overflowing or int(name) >= SLOTS
        self._bytes[name] = self._bytes.get(name, 0) + len(value) - len(slot.get(key, b""))
        slot[key] = value
        self._list(key)
        self._changed(name, slot, key)

    def __delitem__(self, key: str) -> None:
        name = self._slot_of(key)
        if self._before is not None:
            self._before.setdefault(key, self.get(key))
        slot = self._slots.get(name, {})
        self._settle(name)
        self._bytes[name] = self._bytes.get(name, 0) - len(slot.pop(key))
        if listed_in := _list_name(key):
            listed = self._lists[listed_in]
            listed.pop(key, None)
            if not listed:
                del self._lists[listed_in]
        self._changed(name, slot, key)

    def __iter__(self) -> Iterator[str]:
        return (key for slot in self._slots.values() for key in slot)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def __contains__(self, key: object) -> bool:
        return key in self._slots.get(self._slot_of(str(key)), {})

    def keys_of(self, prefix: str) -> list[str]:
        """Every key of a kind or folder that is listed."""
        return list(self._lists.get(prefix, ()))

    def next_keys(self, kind: str, count: int) -> list[str]:
        """The next keys of a kind, at most `count`: asked again and again, every key has its turn."""
        listed = self._lists.get(kind, {})
        found = [key for key, _ in zip(listed, range(count), strict=False)]
        for key in found:
            del listed[key]
            listed[key] = None
        return found

    @contextmanager
    def undo_on_error(self) -> Iterator[None]:
        """Where what is within raises, every key has the value that it had before. Not to be nested."""
        self._before = {}
        try:
            yield
        except BaseException:
            before, self._before = self._before, None
            for key, value in before.items():
                if value is not None:
                    self[key] = value
                elif key in self:
                    del self[key]
            raise
        finally:
            self._before = None

    def is_safe(self, key: str) -> bool:
        """Whether a checkpoint that is safe holds the key's last change."""
        _, safe = self._checkpoints()
        return not any(number > safe and key in changed for number, changed in self._unsaved.items())

    def _slot_of(self, key: str) -> str:
        """Where the key is, or is to be: the first of its slots that has it, else the first that has room."""
        name = first = _home_of(key, SLOTS)
        slot = self._slots.get(name)
        if slot is None or key in slot or (not self._overflowing and self._bytes[name] <= SLOT_BYTES):
            return name  # nearly always; with 10,000 incidents at once the rest took 11 % of the notifier's time
        number = int(name)
        while (slot := self._slots.get(name)) is not None and key not in slot:
            if self._bytes[name] <= SLOT_BYTES and self._bytes[first] > SLOT_BYTES:
                first = name
            number += SLOTS
            name = str(number)
        if slot is not None:
            return name
        return first if self._bytes.get(first, 0) <= SLOT_BYTES else name

    def _changed(self, name: str, slot: Slot, key: str) -> None:
        number, safe = self._checkpoints()
        if number not in self._unsaved:
            self._unsaved = {at: changed for at, changed in self._unsaved.items() if at > safe} | {number: set()}
        self._unsaved[number].add(key)
        self._keep(name, slot)
        self.changes += 1

    def _list(self, key: str) -> None:
        if listed_in := _list_name(key):
            listed = self._lists.setdefault(listed_in, {})
            listed.pop(key, None)
            listed[key] = None


def _list_name(key: str) -> str:
    kind = key[: key.find(":") + 1]
    return kind if kind in BY_KIND else key[: key.rfind(":") + 1] if kind in BY_FOLDER else ""
