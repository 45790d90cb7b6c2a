"""What one event costs to be decoded: of our own format, and of each source's example, next to bare `json.loads`.

python -m benchmarks.decode [--repeat N] [--json]

Processor time in us an event, the best of N rounds. `own` is a native completion: nothing is asked of it that only
others need, since the decoder is tried first. The examples are those of the tests. The last line on stdout is one JSON
object.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.command import parser_of, report
from stream_detector.events.completion import Completion
from stream_detector.events.decode import decode_completion
from stream_detector.events.sources import SOURCES
from stream_detector.events.sources.source import IgnoredError

PAYLOADS = Path(__file__).parent.parent / "tests" / "unit" / "events" / "payloads"
OWN = json.dumps(
    {
        "execution_id": "e-4711",
        "workflow_id": "acme/shop:nightly",
        "status": "success",
        "started_at": "2026-01-22T00:00:00.125Z",
        "finished_at": "2026-01-22T00:05:00.250Z",
        "duration_s": 300.125,
        "labels": {"branch": "main", "team": "core"},
    }
).encode()
ROUND_S = 0.05


def best_us(call: Callable[[], object], rounds: int) -> float:
    """The least processor time of a call in us; a round has as many calls as take about `ROUND_S`."""
    began = time.process_time()
    calls = 0
    while time.process_time() - began < ROUND_S / 5:
        call()
        calls += 1
    calls *= 5
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(calls):
            call()
        found.append((time.process_time() - began) / calls)
    return round(min(found) * 1e6, 3)


def measure(rounds: int) -> dict[str, Any]:
    """The figures by source."""
    bare = msgspec.json.Decoder(Completion).decode
    own = best_us(lambda: decode_completion(OWN, (), -1), rounds)
    figures: dict[str, Any] = {
        "own": {
            "us": own,
            "json_loads_us": best_us(lambda: json.loads(OWN), rounds),
            "msgspec_us": best_us(lambda: bare(OWN), rounds),
            "bytes": len(OWN),
        }
    }
    for source in SOURCES.values():
        path = sorted(PAYLOADS.glob(f"{source.name}_*"))[0]
        value = path.read_bytes()
        is_json = path.suffix == ".json"
        if is_json:
            value = json.dumps(json.loads(value)).encode()
        events = len(source.read(value).events)
        figures[source.name] = {
            "us": best_us(lambda value=value: _decoded(value), rounds),  # type: ignore[misc]
            "json_loads_us": best_us(lambda value=value: json.loads(value), rounds) if is_json else None,  # type: ignore[misc]
            "bytes": len(value),
            "events": events,
        }
    return {"rounds": rounds, "us_per_event": figures}


def _decoded(value: bytes) -> Completion | None:
    try:
        return decode_completion(value, (), -1)
    except IgnoredError:
        return None


def main() -> int:
    """Measure and print. Returns the exit code."""
    parser: argparse.ArgumentParser = parser_of("decode", __doc__)
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="rounds, the best of which counts")
    rounds = parser.parse_args().repeat
    return report(lambda: measure(rounds))


if __name__ == "__main__":
    raise SystemExit(main())
