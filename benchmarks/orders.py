"""What a peer is told, and what it measures of itself. Needs Python alone, so any environment imports it."""

import json
import os
import time
from dataclasses import dataclass

ORDERS = "BENCHMARK_ORDERS"
"""The environment variable that holds them, as JSON."""


@dataclass
class Orders:
    """What a peer is to do, and its stop-watch: it runs from the first event to the last one of `events`."""

    broker: str
    source: str
    alerts: str
    group: str
    events: int
    partitions: int
    folder: str
    seen: int = 0
    began_s: float = 0.0
    took_s: float = 0.0
    cpu_s: float = 0.0

    @classmethod
    def from_environment(cls) -> "Orders":
        """The orders that `run_peer` gave."""
        return cls(**json.loads(os.environ[ORDERS]))

    def started(self) -> None:
        """Called before an event or chunk is handled."""
        if not self.began_s:
            self.began_s, self.cpu_s = time.perf_counter(), time.process_time()

    def handled(self, count: int) -> bool:
        """Called after; True once, when all are handled."""
        self.seen += count
        if self.seen < self.events or self.took_s:
            return False
        self.took_s = time.perf_counter() - self.began_s
        self.cpu_s = time.process_time() - self.cpu_s
        return True

    def report(self) -> None:
        """Print the figures; the last thing that a peer does, after its last commit."""
        print(json.dumps({"events": self.seen, "seconds": self.took_s, "cpu_s": self.cpu_s}), flush=True)
