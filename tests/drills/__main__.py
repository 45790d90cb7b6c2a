"""`python -m tests.drills NAME`: exit code 0 if nothing was lost, doubled or changed, 1 if something was."""

import argparse
import asyncio
import importlib
import json
import sys

from tests.drills.harms import HARMS
from tests.drills.stage import KAFKA, DrillError, Options
from tests.drills.unprotected import PROTECTIONS

DRILLS = (
    "kill-detector", "rebalance", "broker-restart", "broker-killed", "postgres-away", "hostile-input",
    "channels-failing", "duplicates-and-late", "empty-disk", "clock-ahead", "clock-skew", "stop-and-go", "run-ends",
    "soak", "retention", "older-dump", "many-keys",
    "pgbouncer", "read-only", "poison", "unfold", "clock",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("name", choices=DRILLS)
    parser.add_argument("--kafka", choices=sorted(KAFKA), default="embedded")
    parser.add_argument("--events", type=int, help="events a run, at least; the drill's own number if left out")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=sorted(PROTECTIONS), default="", help="take a protection out: must fail")
    parser.add_argument("--harm", choices=sorted(HARMS), default="", help="a harm from within too: must pass")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="the last line of stdout is one JSON object")
    asked = parser.parse_args()
    module = importlib.import_module(f"tests.drills.{asked.name.replace('-', '_')}")
    events = module.EVENTS if asked.events is None else asked.events
    options = Options(
        asked.kafka,
        events,
        asked.runs,
        asked.seed,
        without=asked.without,
        harm=asked.harm,
        partitions=asked.partitions,
    )
    try:
        outcome = asyncio.run(module.drill(options))
    except DrillError as error:
        print(f"{asked.name} could not be carried out: {error}", file=sys.stderr)
        return 1
    for finding in outcome.findings[:20]:
        print(finding, file=sys.stderr)
    report = outcome.report()
    print(json.dumps(report) if asked.json else "\n".join(f"{name}: {value}" for name, value in report.items()))
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
