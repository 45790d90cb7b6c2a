"""What a peer is told, and what it measures of itself. Needs Python alone, so any environment imports it."""

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

ORDERS = "BENCHMARK_ORDERS"
"""The environment variable that holds them, as JSON."""


@dataclass
class Orders:
    """What a peer is to do, and its stop-watch: it runs from the first event to the last one of `events`.

    `prefix` stands before the names of all topics and groups, `source` and `alerts` have it already.
    """

    broker: str
    prefix: str
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
    half: tuple[int, float, float] = (0, 0.0, 0.0)
    """When half of the events were handled: how many, and both clocks."""

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
        if self.seen < self.events:
            if self.seen * 2 >= self.events and not self.half[0]:
                self.half = self.seen, time.perf_counter(), time.process_time()
            return False
        if self.took_s:
            return False
        ended_s, cpu_s = time.perf_counter(), time.process_time()
        self.took_s, self.cpu_s = ended_s - self.began_s, cpu_s - self.cpu_s
        before, at_s, at_cpu_s = self.half
        self.half = self.seen - before, ended_s - at_s, cpu_s - at_cpu_s
        return True

    def report(self) -> None:
        """Print the figures; the last thing that a peer does, after its last commit."""
        events, seconds, cpu_s = self.half
        warm = {"warm_events": events, "warm_seconds": seconds, "warm_cpu_s": cpu_s}
        peak = {"peak_bytes": _peak_bytes()}
        whole = {"events": self.seen, "seconds": self.took_s, "cpu_s": self.cpu_s}
        print(json.dumps(whole | warm | peak), flush=True)


def _peak_bytes() -> int:
    """The most memory that this process held; 0 where the system does not say.

    Not `getrusage`: there Linux counts what the parent held before the program started.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0
