"""Restoring state at the start of `up`."""

from collections.abc import Callable

from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.stack import Stack
from stream_detector.devstack.tansu import MEMORY_STOP_BYTES, Tansu
from stream_detector.roles.restore.new_broker import Restored, RestoreError, restore_new_broker
from stream_detector.store.connect import open_pool

Report = Callable[[str], None]
ROOM_BYTES = MEMORY_STOP_BYTES // 2
"""The embedded broker takes up to twice the bytes of what it holds."""


async def restore_at_start(stack: Stack, report: Report) -> None:
    """Bring what the database has onto a broker that has no state, before any role starts; say what it was.

    Raises:
        ChildError: it does not fit, or another command restores these topics.
    """
    pool = await open_pool(stack.settings.database_url, name="restore", size=2)
    try:
        room = ROOM_BYTES if isinstance(stack.broker, Tansu) else None
        restored = await restore_new_broker(stack.settings, pool, room_bytes=room)
    except RestoreError as error:
        raise ChildError(str(error)) from None
    finally:
        await pool.close()
    if restored is not None:
        report(describe(restored))
    if stack.folder.was_killed and isinstance(stack.broker, Tansu):
        report(
            "the last `up` on this folder was killed: what was published and not yet stored is lost with the embedded "
            f"broker{f', at least {restored.judged_only:,} records' if restored and restored.judged_only else ''}"
        )


def describe(restored: Restored) -> str:
    """What was restored, on one line."""
    text = (
        f"restored from the database: {counted(restored.baselines, 'baseline')}, "
        f"{counted(restored.runs, 'open run')}, {counted(restored.silences, 'silence')}"
    )
    if restored.published_again:
        text += f"; {counted(restored.published_again, 'record')} newer than that published again"
    return f"{text} ({restored.seconds:.1f} s)"


def counted(count: int, what: str) -> str:
    """The number with its noun."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
