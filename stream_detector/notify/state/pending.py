"""Anomalies that wait in the state: for others that open with them, or for the interval of their group."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from stream_detector.notify.state.keys import PENDING, PENDING_BUCKET, State, keys_of, read, write
from stream_detector.notify.state.state_models import Pending, PendingBucket

PendingEntry = tuple[str, Pending]
"""Its key in the state, and what waits."""


def pending_bucket(state: State, bucket: str) -> PendingBucket:
    """When what is pending there is sent."""
    return read(state, PENDING_BUCKET + bucket, PendingBucket) or PendingBucket()


def store_pending(state: State, bucket: str, entry: Pending, group_wait_ends_s: float) -> None:
    """Put it behind the others of the bucket."""
    pending = pending_bucket(state, bucket)
    write(state, f"{PENDING}{bucket}:{pending.next_number:012}", entry)
    first_s = min(entry.ready_at_s, pending.ready_at_s or entry.ready_at_s)
    write(
        state,
        PENDING_BUCKET + bucket,
        PendingBucket(next_number=pending.next_number + 1, ready_at_s=first_s, group_wait_ends_s=group_wait_ends_s),
    )


def ready_buckets(state: State, now_s: float) -> list[str]:
    """Those in which something has waited long enough."""
    found = ((key, read(state, key, PendingBucket)) for key in keys_of(state, PENDING_BUCKET))
    return [key.removeprefix(PENDING_BUCKET) for key, pending in found if pending and pending.ready_at_s <= now_s]


def stored_pending(state: State, keys: Iterable[str]) -> list[PendingEntry]:
    """What is pending under these keys."""
    found = ((key, read(state, key, Pending)) for key in keys)
    return [(key, one) for key, one in found if one]


def delete_pending(state: State, entries: Sequence[PendingEntry]) -> None:
    """They wait no more."""
    for key, _ in entries:
        del state[key]


def set_ready_at(state: State, bucket: str, ready_at_s: float | None) -> None:
    """When the first of what is still pending there is ready; None where nothing is."""
    key = PENDING_BUCKET + bucket
    pending = read(state, key, PendingBucket)
    if ready_at_s is None or pending is None:
        state.pop(key, None)
    else:
        write(state, key, replace(pending, ready_at_s=ready_at_s))
