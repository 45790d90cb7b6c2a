"""The demo: publishes the bundled history, waits until every role has processed it, and prints what was found."""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_detector.devstack.demo import demo_events, demo_note
from stream_detector.events.decode import decode_anomaly, decode_run_summary
from stream_detector.events.label_counts import read_label_counts
from stream_detector.kafka.end_offsets import EndOffsets, read_topic, total_lag
from stream_detector.kafka.publish import publish
from stream_detector.kafka.topics import ALERTS, DEAD_LETTERS, RUN_SUMMARIES
from stream_detector.notify.configure import notify_config
from stream_detector.notify.forecast import Item, forecast_of
from stream_detector.notify.message import Message
from stream_detector.settings import Settings
from stream_detector.store.connect import open_pool
from stream_detector.store.counts import stored_counts

CAUGHT_UP_TIMEOUT_S = 300.0
EXAMPLES = {
    "run": "a score run",
    "group": "several anomalies together",
    "resolved": "an end",
    "new_normal": "a new normal",
}
"""Kind of message -> what it is about."""


async def run_demo(settings: Settings, *, started_s: float, as_json: bool) -> int:
    """Replay the demo's history through the running roles and print what was found.

    Returns:
        0, or 1 if the number of anomalies on `alerts` differs from that in the database.
    """
    click.echo(demo_note(), err=True)
    events = list(demo_events(datetime.now(UTC)))
    console = Console(file=sys.stderr)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as bars:
        publishing, detecting, storing = (
            bars.add_task(name, total=len(events)) for name in ("publish", "detect", "store")
        )
        began_s = time.monotonic()
        await publish(settings, events, progress=lambda done: bars.update(publishing, completed=done.events))
        async with EndOffsets(settings) as ends:
            detected_s = 0.0
            while True:
                lags = await ends.lags()
                behind = total_lag(lags, "detector")
                bars.update(detecting, completed=max(0, len(events) - behind))
                bars.update(storing, completed=max(0, len(events) - total_lag(lags, "recorder")))
                if not behind and not detected_s:
                    detected_s = time.monotonic() - began_s
                if not total_lag(lags):
                    break
                if time.monotonic() - began_s > CAUGHT_UP_TIMEOUT_S:
                    raise TimeoutError(f"the history was not processed within {CAUGHT_UP_TIMEOUT_S:.0f} s: {lags}")
                await asyncio.sleep(0.02)
    found = await _read_results(settings)
    found["events_per_s"] = round(len(events) / detected_s)
    found["seconds"] = round(time.monotonic() - started_s, 2)
    if not as_json:
        _print_examples(await _messages(settings))
    _print(found, settings, as_json=as_json)
    return 0 if sum(found["anomalies"].values()) == found["anomalies_in_postgres"] else 1


async def _read_results(settings: Settings) -> dict[str, Any]:
    """Counts at the end of the pipeline: anomalies by type from `alerts` (each id once), the rest from PostgreSQL."""
    by_id: dict[str, str] = {}
    async for record in read_topic(settings, ALERTS):
        anomaly = decode_anomaly(record.value)
        by_id[str(anomaly.id)] = str(getattr(anomaly.anomaly_type, "value", anomaly.anomaly_type))
    letters = 0
    async for _ in read_topic(settings, DEAD_LETTERS):
        letters += 1
    kinds = Counter(map(_kind_of, await _messages(settings)))
    pool = await open_pool(settings.database_url, name="demo", size=1)
    try:
        rows = await stored_counts(pool)
    finally:
        await pool.close()
    return {
        "executions": rows["executions"],
        "scores": rows["scores"],
        "score_runs": rows["score_runs"],
        "anomalies": dict(sorted(Counter(by_id.values()).items())),
        "anomalies_in_postgres": rows["anomalies"],
        "inbox": rows["inbox"],
        "messages": dict(sorted(kinds.items())),
        "dead_letters": letters,
    }


async def _messages(settings: Settings) -> list[Message]:
    """What a channel would have been sent of all that was found, on the clock of the data and as plain text."""
    items: list[Item] = []
    async for record in read_topic(settings, ALERTS):
        items.append((decode_anomaly(record.value), read_label_counts(record.headers)))
    async for record in read_topic(settings, RUN_SUMMARIES):
        items.append((decode_run_summary(record.value), None))
    return forecast_of(replace(notify_config(settings), channels={"webhook": True}), items).sent


def _kind_of(message: Message) -> str:
    return "new_normal" if message.title.startswith("New normal") else message.state


def _print_examples(messages: list[Message]) -> None:
    """The last message of each kind."""
    last = {_kind_of(message): message for message in messages}
    for kind in EXAMPLES:
        if kind in last:
            click.echo(f"--- a message ({EXAMPLES[kind]}) ---\n{last[kind].text}\n")


def _print(found: dict[str, Any], settings: Settings, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table("anomaly type", "count", box=None, pad_edge=False)
    for kind, count in found["anomalies"].items():
        table.add_row(kind, str(count))
    Console(file=sys.stdout).print(table)
    click.echo(
        f"from {found['executions']} executions and {found['scores']} scores of {found['score_runs']} runs, "
        f"{found['events_per_s']} events/s, {found['seconds']} s in total; "
        f"{found['inbox']} messages in the inbox, {found['dead_letters']} dead letters"
    )
    click.echo(f"dashboard: {settings.base_url}/anomalies")
