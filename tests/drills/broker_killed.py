"""One of three brokers is killed under load and comes back later."""

from tests.drills import broker_restart
from tests.drills.stage import Options, Outcome

EVENTS = 50_000


async def drill(options: Options) -> Outcome:
    """Each run kills another broker."""
    return await broker_restart.run("broker-killed", options, kill=True)
