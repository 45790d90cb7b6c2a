"""Poison among good events: each lies on dead letters with its own bytes, and the good ones are all there."""

from tests.drills import inputs
from tests.drills.stage import Options, Outcome

EVENTS = 20_000


async def drill(options: Options) -> Outcome:
    """See `inputs.hostile`."""
    return await inputs.run("hostile-input", inputs.hostile, options)
