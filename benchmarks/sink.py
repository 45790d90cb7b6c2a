"""Execution rows a second into a real PostgreSQL: the recorder's writer, and COPY into the same indexed table.

python -m benchmarks.sink [--rows N] [--batch N] [--rounds N] [--json]

The two take turns in one run; each starts with an empty table, and the rows found afterwards are counted. COPY gets
its columns ready-made; the writer starts from typed events, as the recorder does. The last line on stdout is one JSON
object; everything else goes to stderr.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.command import parser_of, report, server_folder
from stream_detector.devstack.postgres import Postgres
from stream_detector.events import Completion
from stream_detector.store.connect import open_pool
from stream_detector.store.migrate import migrate
from stream_detector.store.rows import Row, Rows
from stream_detector.store.tables import EXECUTIONS
from stream_detector.store.write import Writer

_START = datetime(2026, 1, 1, tzinfo=UTC)


class WrongResultError(Exception):
    """The table does not hold what was written: there is no figure."""


def made(count: int) -> list[Row[Completion]]:
    """Executions of 10,000 workflows in 4 partitions, a second apart."""
    rows = []
    for n in range(count):
        at = _START + timedelta(seconds=n)
        event = Completion(
            execution_id=f"execution-{n:012d}", workflow_id=f"workflow-{n * 7919 % 10_000:06d}", status="success",
            started_at=at - timedelta(seconds=90), finished_at=at, duration_s=90.0 + n % 13,
            labels={"branch": "main", "team": "core"},
        )  # fmt: skip
        rows.append(Row(event, "workflow-completions", n % 4, n, int(at.timestamp() * 1000)))
    return rows


def batches(rows: list[Row[Completion]], size: int) -> Iterator[list[Row[Completion]]]:
    """The rows in batches."""
    return (rows[at : at + size] for at in range(0, len(rows), size))


async def by_writer(pool: asyncpg.Pool, rows: list[Row[Completion]], size: int) -> float:
    """Rows a second."""
    writer, started = Writer(pool), time.perf_counter()
    for batch in batches(rows, size):
        if bad := await writer.write(Rows(executions=batch)):
            raise WrongResultError(f"{len(bad)} rows were refused")
    return len(rows) / (time.perf_counter() - started)


async def by_copy(pool: asyncpg.Pool, rows: list[Row[Completion]], size: int) -> float:
    """Rows a second, in transactions of the same size."""
    ready = [list(zip(*EXECUTIONS.values(batch), strict=True)) for batch in batches(rows, size)]
    columns, started = [each.name for each in EXECUTIONS.columns], time.perf_counter()
    async with pool.acquire() as connection:
        for records in ready:
            await connection.copy_records_to_table("executions", records=records, columns=columns)
    return len(rows) / (time.perf_counter() - started)


async def contest(url: str, arguments: argparse.Namespace) -> dict[str, float]:
    """The medians of the rounds."""
    pool, rows = await open_pool(url, name="benchmark"), made(arguments.rows)
    await migrate(pool)
    found: dict[str, list[float]] = {"writer": [], "copy": []}
    for number in range(arguments.rounds):
        for name, run in (("writer", by_writer), ("copy", by_copy)):
            await pool.execute("TRUNCATE executions")
            await pool.execute("CHECKPOINT")  # so that none pays for the other's
            rate = await run(pool, rows, arguments.batch)
            stored = await pool.fetchval("SELECT count(*) FROM executions")
            if stored != len(rows):
                raise WrongResultError(f"{name} stored {stored} of {len(rows)} rows")
            found[name].append(rate)
            print(f"round {number + 1}: {name:<6} {rate:>10,.0f} rows/s", file=sys.stderr)
    await pool.close()
    rows_per_s, copy_rows_per_s = (round(statistics.median(found[name])) for name in ("writer", "copy"))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(found["writer"], found["copy"], strict=True))
    return {"rows_per_s": rows_per_s, "copy_rows_per_s": copy_rows_per_s, "ratio_copy": round(ratio, 3)}


def main() -> int:
    """Exit code 0, or 1 where a result was wrong."""
    parser = parser_of("sink", __doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with server_folder() as folder, Postgres.start(folder / "postgres") as server:
        return report(lambda: asyncio.run(contest(server.url(), arguments)))


if __name__ == "__main__":
    sys.exit(main())
