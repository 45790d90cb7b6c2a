"""The loop of every role: chunk after chunk of a source topic is applied once, in order, and its effects are sent."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from stream_detector.delivery.app import WorkerApp
from stream_detector.delivery.chunk import Chunk
from stream_detector.telemetry import metrics

Outcomes = Counter[str]
"""What became of a chunk's events: outcome (`metrics.EVENTS`) -> how many."""

Apply = Callable[[str, Chunk], Awaitable[Outcomes | None]]
"""Applies a chunk of a source topic (its name without the prefix). None: it was given up, and nothing of it is applied.

Until it returns, the chunk's events count as not applied. What it puts into the batch producer is sent afterwards.
"""


def process_topic(
    app: WorkerApp, source: str, apply: Apply, *, agent: str, before: Callable[[Chunk], Awaitable[None]] | None = None
) -> None:
    """Add the agent that reads one source topic.

    Args:
        source: the topic's name without the prefix.
        apply: given each chunk that continues what was applied. Whatever it raises ends the process.
        agent: the agent's name.
        before: may wait before the chunk is looked at; by then the partition may be another worker's.
    """

    @app.agent(app.source_topic(source), name=agent)
    async def process(stream: Any) -> None:
        positions = app.positions
        async for event in stream.events():
            chunk: Chunk = event.value
            try:
                if before is not None:
                    await before(chunk)
                if not positions.is_next(chunk):
                    continue
                outcomes = await apply(source, chunk)
                if outcomes is None:
                    continue
                app.dispatch(chunk.tp.partition)
                positions.mark_applied(chunk)
                for outcome, count in outcomes.items():
                    metrics.EVENTS.labels(source, outcome).inc(count)
            except Exception as error:  # going on would lose the chunk
                app.fail(f"{source}: {error!r}")
            finally:
                positions.release(chunk)
