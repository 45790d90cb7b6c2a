"""The load of `benchmarks.api`: questions at a steady rate, to the API and as bare SELECTs, by turns.

Started by it with its orders in the environment; prints one JSON object. A question's clock starts when it was meant to
be sent, so a server that stalls is charged for all that waits (coordinated omission).
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from benchmarks.latency import percentile
from stream_detector.store.connect import open_pool

PAGE = 50
WARM_UP_S = 5.0
_SELECT = (
    "SELECT id, detected_at, recorded_at, event FROM anomalies WHERE {} ORDER BY detected_at DESC, id DESC LIMIT 51"
)
Ask = Callable[["Question"], Awaitable[list[str]]]


@dataclass
class Question:
    """One list of anomalies, as the API is asked for it and as SQL; both give the ids of a page."""

    query: dict[str, str]
    where: str
    values: list[Any]


def questions(now: datetime) -> list[Question]:
    """What the dashboard asks: all, by each filter, by several, of a day and of a month."""
    month, day = now - timedelta(days=30), now - timedelta(days=1)
    span = {"from": month.isoformat(), "to": now.isoformat()}
    in_month = "detected_at >= $1 AND detected_at < $2"
    return [
        Question({}, "true", []),
        Question(span, in_month, [month, now]),
        Question({"from": day.isoformat()}, "detected_at >= $1", [day]),
        Question({"type": "SpikeInFailures"}, "anomaly_type = $1", ["SpikeInFailures"]),
        Question({"severity": "critical"}, "severity = $1", ["critical"]),
        Question(
            {"severity": "critical,warning"}, "severity = ANY($1::text[])", [["critical", "warning"]]
        ),
        Question({"state": "resolved"}, "state = $1", ["resolved"]),
        Question({"entity": "workflow-17"}, "entity_id = $1", ["workflow-17"]),
        Question(
            span | {"type": "UnusualExecutionTime", "severity": "warning"},
            f"{in_month} AND anomaly_type = $3 AND severity = $4",
            [month, now, "UnusualExecutionTime", "warning"],
        ),
    ]  # fmt: skip


def core_s(pid: int) -> tuple[float, float]:
    """(processor time, time in which it could have run but had no core) of a process's main thread so far, in s.

    The second tells a busy machine from a slow server (Linux's Documentation/scheduler/sched-stats).
    """
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


async def at_rate(ask: Ask, asked: list[Question], rate: float, seconds: float) -> list[float]:
    """ms of each question, from the time when it was meant to be sent."""
    began = time.perf_counter() + 0.1
    took: list[float] = []

    async def one(number: int, meant: float) -> None:
        if not await ask(asked[number % len(asked)]):
            sys.exit("an answer without an item")
        took.append((time.perf_counter() - meant) * 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            meant = began + number / rate
            if (pause := meant - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            group.create_task(one(number, meant))
    return took


async def main(orders: dict[str, Any]) -> dict[str, Any]:
    """The figures of both. Exits where their answers differ."""
    pool: asyncpg.Pool = await open_pool(orders["database_url"], name="benchmark", size=8)
    headers = {"Authorization": f"Bearer {orders['token']}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(orders["root"], headers=headers, connector=connector) as session:

        async def by_api(question: Question) -> list[str]:
            async with session.get("/api/v1/ai/anomalies", params=question.query) as answer:
                if answer.status != 200:
                    sys.exit(f"{answer.status}: {await answer.text()}")
                return [each["id"] for each in json.loads(await answer.read())["items"]]

        async def by_select(question: Question) -> list[str]:
            rows = await pool.fetch(_SELECT.format(question.where), *question.values)
            return [str(each["id"]) for each in rows[:PAGE]]

        asked = questions(datetime.now(UTC))
        for question in asked:
            if (one := await by_api(question)) != (other := await by_select(question)) or len(one) != PAGE:
                sys.exit(f"{question.query}: the API gives {len(one)} other rows than the {len(other)} of the table")
        async with session.get("/api/v1/settings/preview") as answer:
            await answer.read()  # detection is loaded now, which takes seconds of the api's first; not what is measured
        await at_rate(by_api, asked, orders["rate"], WARM_UP_S)
        found: dict[str, list[float]] = {"api": [], "select": []}
        cores = [0.0, 0.0]
        for number in range(orders["rounds"]):
            for name, ask in (("api", by_api), ("select", by_select)):
                ran_s, waited_s = core_s(orders["pid"])
                took = await at_rate(ask, asked, orders["rate"], orders["seconds"])
                if name == "api":
                    now_s, late_s = core_s(orders["pid"])
                    cores = [cores[0] + now_s - ran_s, cores[1] + late_s - waited_s]
                print(f"round {number + 1}: {name:<6} p99 {percentile(sorted(took), 0.99):6.1f} ms", file=sys.stderr)
                found[name] += took
    await pool.close()
    api, select = sorted(found["api"]), sorted(found["select"])
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    figures = {f"{name}_ms": round(percentile(api, share), 2) for name, share in shares.items()}
    figures |= {f"select_{name}_ms": round(percentile(select, share), 2) for name, share in shares.items()}
    figures["ratio_p50"] = round(figures["p50_ms"] / figures["select_p50_ms"], 2)
    figures["ratio_p99"] = round(figures["p99_ms"] / figures["select_p99_ms"], 2)
    ran, waited = (round(each / len(api) * 1000, 2) for each in cores)
    return {"requests": len(api), **figures, "loop_cpu_ms": ran, "loop_waited_for_a_core_ms": waited}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(os.environ["ORDERS"])))))
