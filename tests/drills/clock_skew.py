"""Producers whose clocks are wrong: by the event's own time, or refused as from the future."""

from tests.drills import inputs
from tests.drills.stage import Options, Outcome

EVENTS = 20_000


async def drill(options: Options) -> Outcome:
    """See `inputs.clock_skew`."""
    return await inputs.run("clock-skew", inputs.clock_skew, options)
