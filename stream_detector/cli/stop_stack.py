"""The end of `up` in order: intake, detector, notifier, and the recorder last, so that what they made is stored."""

import asyncio
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

from stream_detector.devstack.stack import Stack
from stream_detector.devstack.supervise import Supervisor
from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka.end_offsets import EndOffsets

DRAIN_TIMEOUT_S = 2.0
"""Limit for what detector and notifier have not processed. Published meanwhile by others, it may never end."""
STORE_TIMEOUT_S = 10.0
"""Limit for what the recorder has not stored."""
ANSWER_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.05

Report = Callable[[str], None]


async def stop_in_order(stack: Stack, supervisor: Supervisor, report: Report) -> None:
    """End the roles one after the other; each takes its last checkpoint.

    What lies on the embedded broker is gone with it, so there each is waited for until it has read its topics to the
    end, and what then is not stored is reported with its number.
    """
    await supervisor.stop_role("api")
    if not isinstance(stack.broker, Tansu):
        for role in ("detector", "notifier", "recorder"):
            await supervisor.stop_role(role)
        return
    for role in ("detector", "notifier"):
        left = await _drain(stack, role, DRAIN_TIMEOUT_S)
        await supervisor.stop_role(role)
        if left:
            report(f"the {role} did not process {_listed(left)} within {DRAIN_TIMEOUT_S:.0f} s")
    left = await _drain(stack, "recorder", STORE_TIMEOUT_S)
    await supervisor.stop_role("recorder")
    if left:
        report(
            f"not stored within {STORE_TIMEOUT_S:.0f} s, and lost with the embedded broker: {_listed(left)}. "
            "`up --broker apache --data-dir DIR` keeps them"
        )


def _listed(left: dict[str, int]) -> str:
    return ", ".join(f"{count:,} of {topic}" for topic, count in sorted(left.items()))


async def _drain(stack: Stack, role: str, timeout_s: float) -> dict[str, int]:
    """Wait until the role has read its topics to the end; topic -> records that it has not read by then."""
    left: dict[str, int] = {}
    deadline_s = time.monotonic() + timeout_s
    try:
        async with asyncio.timeout(timeout_s + ANSWER_TIMEOUT_S), EndOffsets(stack.settings) as ends:
            while left := {topic: count for topic, count in (await ends.lags())[role].items() if count}:
                if time.monotonic() > deadline_s:
                    break
                await asyncio.sleep(LOOK_EVERY_S)
    except (TimeoutError, KafkaError):
        pass  # the broker does not answer; what was left when it did is said
    return left
