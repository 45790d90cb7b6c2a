"""A role with one protection taken out: shows that a drill fails when it must. No part of the product.

`python -m tests.drills.unprotected PROTECTION ROLE`
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from stream_detector.settings import load
from stream_detector.stream import faults
from stream_detector.stream.checkpoint import Checkpoint
from stream_detector.stream.part import Part


def commit_order() -> None:
    """Offsets are committed before the state is written."""

    async def carry_out(self: Checkpoint, snapshots: list[Any]) -> bool:
        for send in [send for snapshot in snapshots for send in snapshot.sends]:
            await send
        offsets = {tp: offset for snapshot in snapshots for tp, offset in snapshot.offsets.items()}
        if offsets:
            await self._app.consumer._commit(offsets)
            faults.reach("committed")
        await self._write([(place, place.records) for snapshot in snapshots for place in snapshot.written])
        return bool(offsets)

    Checkpoint._carry_out = carry_out  # type: ignore[method-assign]


def applied_positions() -> None:
    """A key does not know what it has applied: every replayed event is applied again."""
    Part.applied = lambda self, key, source: 0  # type: ignore[method-assign]


PROTECTIONS: dict[str, Callable[[], None]] = {
    "commit-order": commit_order,
    "applied-positions": applied_positions,
}


def main() -> int:
    protection, role = sys.argv[1:]
    PROTECTIONS[protection]()
    run: Callable[[Any], int] = importlib.import_module(f"stream_detector.stream.{role}").run
    return run(load())


if __name__ == "__main__":
    sys.exit(main())
