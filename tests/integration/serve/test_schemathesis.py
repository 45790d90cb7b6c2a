"""W43, W54: every route in the published document against the real server, by schemathesis: 0 failures.

Valid and invalid requests, each parameter at its edges, and walks along the document's links; answers are held against
the document, those of errors too.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.tansu import Tansu
from stream_detector.events import RefusedError
from stream_detector.events.dead_letter import dead_letter_headers
from stream_detector.serve.routes import ROUTES
from stream_detector.settings import Settings
from stream_detector.store.rows import BaselineState, DeadLetterNote, NamedValue, Rows
from stream_detector.store.write import Writer
from tests.events_made import anomaly, notification, row, run_event, score, score_change, summary
from tests.integration.serve.histories import history
from tests.servers.installation import Installation, wait_until

HERE = Path(__file__).parent
PUBLISHED = HERE.parents[2] / "schemas" / "openapi.yaml"
BIN = Path(sys.executable).parent
SAME_HANDLER = r"/webhooks/(?!github|gitlab|\{)"
"""One handler serves the webhooks of all sources, whose payloads have a matrix and a fuzz test of their own."""


async def fill(pool: asyncpg.Pool, settings: Settings) -> None:
    """Something of everything, so that links lead somewhere."""
    named = {"execution_time": NamedValue(100.0, 10.0, 30)}
    states = [BaselineState(key=key, packed=b"x", named=named) for key in ("workflow:nightly", "score:lido")]
    place = {"topic": settings.topic("workflow-completions"), "partition": 2, "offset": 7}
    place["timestamp_ms"] = 1_769_040_300_000
    note = DeadLetterNote(**place, stage="decode", reason="not_json", message="not JSON", value_bytes=1)
    rows = Rows(
        executions=history(60),
        scores=[row(score("lido", "7.5", run_id="r0"), 0), row(score("lido", "5.8", run_id="r1"), 1)],
        score_runs=[row(run_event("started")), row(run_event("completed"), 1)],
        summaries=[row(summary())],
        anomalies=[row(anomaly("a", execution_id="50")), row(anomaly("b"), 1), row(score_change(), 2)],
        notifications=[row(notification("n1")), row(notification("n2", channel="slack"), 1)],
        baselines=[row(state, offset) for offset, state in enumerate(states)],
        dead_letters=[row(note, partition=1)],
    )
    assert await Writer(pool).write(rows) == []
    error = RefusedError("decode", "not_json", "not JSON")
    headers = dead_letter_headers([], **place, error=error)
    async with AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer:
        await producer.send_and_wait(settings.topic("dead-letters"), b"{", partition=1, headers=headers)


async def test_w43_w54_schemathesis_finds_nothing(
    tansu: Tansu, postgres_url: str, pool: asyncpg.Pool, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(
        broker=tansu.address,
        database_url=postgres_url,
        github_webhook_secret="hub",
        gitlab_webhook_token="lab",
        intake_rate_limit=100_000,
    )
    async with Installation(settings, tmp_path / "data", roles=("api",)) as running:
        await fill(pool, settings)
        await wait_until(lambda: running.api("/api/v1/health")[1]["broker"] == "ok", "the API has its broker")
        root = f"http://127.0.0.1:{running.settings.api_port}"
        process = await asyncio.create_subprocess_exec(
            str(BIN / "schemathesis"), "--no-color", "--config-file", str(HERE / "schemathesis.toml"), "run",
            str(PUBLISHED), "--url", root, "--checks", "all", "--header", f"Authorization: Bearer {settings.api_token}",
            "--exclude-path-regex", SAME_HANDLER,
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said[-20_000:]
        tested = sum(not re.search(SAME_HANDLER, route.path) for route in ROUTES)
        assert re.search(rf"Tested: {tested}\b", said) and "Stateful" in said, said
