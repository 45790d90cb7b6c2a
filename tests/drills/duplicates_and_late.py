"""Repeated and late events: counted once, the late ones learned without alert."""

from tests.drills import inputs
from tests.drills.stage import Options, Outcome

EVENTS = 20_000


async def drill(options: Options) -> Outcome:
    """See `inputs.duplicates_and_late`."""
    return await inputs.run("duplicates-and-late", inputs.duplicates_and_late, options)
