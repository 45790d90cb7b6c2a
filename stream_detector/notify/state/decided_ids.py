"""Which anomalies and runs were decided already: the newest 100,000 and more, for 31 days, in 3 MB at most.

That is a day longer than `alerts` and `run-summaries` keep them, so reading these topics again from their start gives
no second message. An id is kept as 8 bytes of its hash: that of 200,000 others it is taken for one has a chance of
1 in 10^14.
"""

from hashlib import blake2b

from stream_detector.notify.state.keys import DECIDED, KEEP_S, State

RINGS, RING = 4_096, 64
_HASH, _HOURS = 8, 4
_ENTRY = _HASH + _HOURS


def is_decided(state: State, message_id: str) -> bool:
    """Whether it was decided already."""
    key, mark = _ring_of(message_id)
    ring = state.get(key, b"")
    at = ring.find(mark)
    while at > 0 and at % _ENTRY:
        at = ring.find(mark, at + 1)
    return at >= 0


def mark_decided(state: State, message_id: str, now_s: float) -> None:
    """From now on it is decided."""
    key, mark = _ring_of(message_id)
    ring, oldest = state.get(key, b""), _hours(now_s - KEEP_S)
    start = max(0, len(ring) - (RING - 1) * _ENTRY)
    while start < len(ring) and ring[start + _HASH : start + _ENTRY] < oldest:
        start += _ENTRY
    state[key] = ring[start:] + mark + _hours(now_s)


def _ring_of(message_id: str) -> tuple[str, bytes]:
    digest = blake2b(message_id.encode(), digest_size=_HASH + 2).digest()
    return f"{DECIDED}{int.from_bytes(digest[_HASH:], 'big') % RINGS}", digest[:_HASH]


def _hours(at_s: float) -> bytes:
    return int(at_s // 3_600).to_bytes(_HOURS, "big")
