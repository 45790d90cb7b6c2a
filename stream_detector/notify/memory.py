"""A mapping of bytes that finds keys by their beginning without going through all of them."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping


class Memory(MutableMapping[str, bytes]):
    """What is kept under `get`, `put` and `delete`, with an index by kind (up to the first colon) and by folder (up to
    the last). `beginning` answers either in the order of the last write, the oldest first.

    >>> memory = Memory.over({})
    >>> memory["line:m1:slack:1"], memory["seen:x"], memory["line:m1:slack:2"] = b"a", b"b", b"c"
    >>> memory.beginning("line:m1:slack:")
    ['line:m1:slack:1', 'line:m1:slack:2']
    """

    def __init__(
        self,
        get: Callable[[str], bytes | None],
        put: Callable[[str, bytes], None],
        delete: Callable[[str], None],
        keys: Iterable[str],
    ) -> None:
        self._get, self._put, self._delete = get, put, delete
        self._keys: dict[str, None] = {}
        self._under: dict[str, dict[str, None]] = {}
        for key in keys:
            self._note(key)

    @classmethod
    def over(cls, values: dict[str, bytes]) -> "Memory":
        """Over a plain dict."""
        return cls(values.get, values.__setitem__, values.__delitem__, list(values))

    def __getitem__(self, key: str) -> bytes:
        value = self._get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: bytes) -> None:
        self._put(key, value)
        self._note(key)

    def __delitem__(self, key: str) -> None:
        if self._get(key) is None:
            raise KeyError(key)
        self._delete(key)
        self._keys.pop(key, None)
        for prefix in _prefixes(key):
            under = self._under[prefix]
            under.pop(key, None)
            if not under:
                del self._under[prefix]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def beginning(self, prefix: str) -> Iterable[str]:
        """Every key that begins so; at once where the prefix is a kind or a folder."""
        under = self._under.get(prefix)
        if under is not None:
            return list(under)
        return [key for key in self._under.get(_kind(prefix), ()) if key.startswith(prefix)]

    def oldest(self, prefix: str) -> Iterator[str]:
        """The keys of a kind, the one that was written longest ago first; nothing may be changed meanwhile."""
        return iter(self._under.get(prefix, ()))

    def _note(self, key: str) -> None:
        self._keys[key] = None
        for prefix in _prefixes(key):
            under = self._under.setdefault(prefix, {})
            under.pop(key, None)
            under[key] = None


def _kind(key: str) -> str:
    return key[: key.find(":") + 1]


def _prefixes(key: str) -> set[str]:
    return {_kind(key), key[: key.rfind(":") + 1]}
