"""GET /anomalies with a million stored, at a steady rate; beside it a bare SELECT of the same rows, as often.

python -m benchmarks.api [--anomalies N] [--rate R] [--seconds S] [--rounds N] [--json]

The API is the product's role as a process of its own over the embedded PostgreSQL, asked with a token of the database.
`benchmarks.api_load` asks, in a process of its own: a request's time begins when it was meant to be sent. The two take
turns in one run, and each question's rows are compared before anything is measured. The last line on stdout is one
JSON object: milliseconds over all rounds, and a request's processor time and wait for a core in the API's loop.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from benchmarks.command import parser_of, report, server_folder
from benchmarks.measure import WrongResultError
from stream_detector.devstack.ports import free_port
from stream_detector.devstack.postgres import Postgres
from stream_detector.devstack.tansu import Tansu
from stream_detector.events.encode import encode
from stream_detector.kafka.create_topics import make_topics
from stream_detector.settings import Settings, environ_of
from stream_detector.store import credentials
from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate
from tests.events_made import anomaly

OF_EACH = 200
"""Anomalies of one workflow."""
YEAR = timedelta(days=365)
_READY_S, _LOAD_S = 60.0, 600.0
_FILL = """
    INSERT INTO anomalies (id, incident_id, state, detected_at, anomaly_type, severity, description, entity_kind,
        entity_id, entity_name, execution_id, current_value, baseline_value, deviation, direction, detector, profile,
        event)
    SELECT id, id, state, at, kind, severity, 'd', 'workflow', entity, entity, 'e' || n, 121, 100, 21, 'up', 'd',
        'classic', convert_to(format($1, id, state, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        kind, severity, entity), 'UTF8')
    FROM (SELECT n, md5(n::text)::uuid AS id, 'workflow-' || n % $3::integer AS entity,
            now() - n * ($4::interval / $2) AS at,
            (ARRAY['opened', 'opened', 'ongoing', 'resolved'])[1 + n % 4] AS state,
            (ARRAY['SpikeInFailures', 'UnusualExecutionTime', 'PerformanceDegradation'])[1 + n % 3] AS kind,
            (ARRAY['info', 'warning', 'warning', 'critical', 'info'])[1 + n % 5] AS severity
        FROM generate_series(1, $2::integer) n) AS made
"""


def template() -> str:
    """An anomaly's JSON for `format()` of PostgreSQL: places for id, state, time, type, severity and entity."""
    one = json.loads(encode(anomaly()))
    one |= {"id": "%1$s", "incident_id": "%1$s", "state": "%2$s", "detected_at": "%3$s", "anomaly_type": "%4$s"}
    one |= {"severity": "%5$s", "entity_id": "%6$s", "entity_name": "%6$s"}
    return json.dumps(one, separators=(",", ":"))


async def fill(pool: asyncpg.Pool, count: int) -> None:
    """So many, over a year; the indexes are built afterwards, which is quicker and leaves the same table."""
    indexes = await pool.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'anomalies' AND indexname <> 'anomalies_pkey'"
    )
    for each in indexes:
        await pool.execute(f"DROP INDEX {each['indexname']}")
    await pool.execute(_FILL, template(), count, max(count // OF_EACH, 1), YEAR, timeout=_LOAD_S)
    for each in indexes:
        await pool.execute(each["indexdef"], timeout=_LOAD_S)
    await pool.execute("VACUUM ANALYZE anomalies", timeout=_LOAD_S)
    await pool.execute("CHECKPOINT", timeout=_LOAD_S)


@contextmanager
def running_api(settings: Settings) -> Iterator[tuple[str, int]]:
    """(address, process id) of the api role; it answers."""
    command = [sys.executable, "-m", "stream_detector", "api"]
    process = subprocess.Popen(command, env=environ_of(settings), stdout=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + _READY_S
        while not answers(f"http://127.0.0.1:{settings.metrics_port}/readyz"):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise WrongResultError("the api does not become ready")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{settings.api_port}", process.pid
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    """Whether it says 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def measure(arguments: argparse.Namespace, url: str, broker: str) -> dict[str, Any]:
    """All figures."""
    pool = await open_pool(url, name="benchmark", size=2)
    await migrate(pool)
    print(f"storing {arguments.anomalies} anomalies", file=sys.stderr)
    await fill(pool, arguments.anomalies)
    token, _ = await credentials.create_token(pool, name="benchmark", role="viewer", expires_at=None)
    await pool.close()
    ports = {"api_port": free_port(), "metrics_port": free_port()}
    settings = Settings(database_url=url, broker=broker, **ports, log_level="warning")
    await make_topics(settings)
    with running_api(settings) as (root, pid):
        orders = {
            "root": root, "token": token, "database_url": url, "rate": arguments.rate, "seconds": arguments.seconds,
            "rounds": arguments.rounds, "pid": pid,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.api_load", env={**os.environ, "ORDERS": json.dumps(orders)},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        if process.returncode:
            raise WrongResultError("the load found a wrong answer or did not end well")
        return {"anomalies": arguments.anomalies, "rate": arguments.rate, **json.loads(out.splitlines()[-1])}


def main() -> int:
    """Exit code 0, or 1 where a result was wrong."""
    parser = parser_of("api", __doc__)
    parser.add_argument("--anomalies", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each round and side")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with server_folder() as folder:
        (folder / "tansu").mkdir()
        with Postgres.start(folder / "postgres") as server, Tansu.start(folder / "tansu") as broker:
            return report(lambda: asyncio.run(measure(arguments, server.url(), broker.address)))


if __name__ == "__main__":
    sys.exit(main())
