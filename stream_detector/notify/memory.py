"""The policy's keys and values, packed into a fixed set of slots.

Keys such as `due:<message>:<channel>` come and go for as long as people get messages. In a compacted topic a key that
is deleted leaves its last record for ever, so a notifier would read every message of its life when it starts. Slots
have the same names always: what is read at a start is no more than what is kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from zlib import crc32

SLOTS = 4_096
SLOT_BYTES = 1 << 17
"""A slot that holds more takes no new key: a broker takes records of 1 MB. Its overflow is `SLOTS` further on."""

Slot = dict[str, bytes]


class Memory(MutableMapping[str, bytes]):
    """Finds keys by kind (up to the first colon) and by folder (up to the last) without going through all of them.

    `beginning` answers in the order of the last write, the oldest first.

    >>> memory = Memory({})
    >>> memory["line:m1:slack:1"], memory["seen:x"], memory["line:m1:slack:2"] = b"a", b"b", b"c"
    >>> memory.beginning("line:m1:slack:")
    ['line:m1:slack:1', 'line:m1:slack:2']

    Args:
        slots: by their names, as they were kept.
        keep: called with each slot's name and content when it changes.
        kept: whether a slot's last change is safe by now.
    """

    def __init__(
        self,
        slots: Mapping[str, Slot],
        keep: Callable[[str, Slot], None] = lambda name, slot: None,
        kept: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self._slots = dict(slots)
        self._keep, self._kept = keep, kept
        self._slot_of: dict[str, str] = {}
        self._bytes: dict[str, int] = dict.fromkeys(slots, 0)
        self._under: dict[str, dict[str, None]] = {}
        self._unsaved: dict[str, set[str]] = {}
        self.changes = 0
        """How often something was put or removed."""
        for name, slot in slots.items():
            for key, value in slot.items():
                self._slot_of[key] = name
                self._bytes[name] += len(value)
                self._note(key)

    @classmethod
    def of(cls, values: Mapping[str, bytes]) -> "Memory":
        """One that is kept nowhere, with these values."""
        made = cls({})
        made.update(values)
        return made

    def __getitem__(self, key: str) -> bytes:
        return self._slots[self._slot_of[key]][key]

    def __setitem__(self, key: str, value: bytes) -> None:
        name = self._slot_of.get(key) or self._place(key)
        slot = self._slots.setdefault(name, {})
        self._bytes[name] = self._bytes.get(name, 0) + len(value) - len(slot.get(key, b""))
        slot[key] = value
        self._slot_of[key] = name
        self._note(key)
        self._changed(name, slot, key)

    def __delitem__(self, key: str) -> None:
        name = self._slot_of.pop(key)
        slot = self._slots[name]
        self._bytes[name] -= len(slot.pop(key))
        for prefix in _prefixes(key):
            under = self._under[prefix]
            under.pop(key, None)
            if not under:
                del self._under[prefix]
        self._changed(name, slot, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._slot_of)

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: object) -> bool:
        return key in self._slot_of

    def beginning(self, prefix: str) -> list[str]:
        """Every key that begins so; at once where the prefix is a kind or a folder."""
        under = self._under.get(prefix)
        if under is not None:
            return list(under)
        return [key for key in self._under.get(_kind(prefix), ()) if key.startswith(prefix)]

    def turn(self, prefix: str, count: int) -> list[str]:
        """The next keys of a kind, at most `count`: asked again and again, every key has its turn."""
        under = self._under.get(prefix, {})
        found = [key for key, _ in zip(under, range(count), strict=False)]
        for key in found:
            del under[key]
            under[key] = None
        return found

    def is_safe(self, key: str) -> bool:
        """Whether the key's last change has been kept."""
        name = self._slot_of.get(key, "")
        return key not in self._unsaved.get(name, ()) or self._kept(name)

    def _place(self, key: str) -> str:
        number = crc32(key.encode()) % SLOTS
        while self._bytes.get(str(number), 0) > SLOT_BYTES:
            number += SLOTS
        return str(number)

    def _changed(self, name: str, slot: Slot, key: str) -> None:
        if self._kept(name):
            self._unsaved[name] = set()
        self._unsaved[name].add(key)
        self._keep(name, slot)
        self.changes += 1

    def _note(self, key: str) -> None:
        for prefix in _prefixes(key):
            under = self._under.setdefault(prefix, {})
            under.pop(key, None)
            under[key] = None


def _kind(key: str) -> str:
    return key[: key.find(":") + 1]


def _prefixes(key: str) -> Iterable[str]:
    return {_kind(key), key[: key.rfind(":") + 1]}
