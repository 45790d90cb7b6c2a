"""`replay`: a history from a file through the live detector's `step` function, without any server."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_detector.cli import CommandError
from stream_detector.cli.file_options import FileOptions, file_options
from stream_detector.cli.options import ON_COMMAND_LINE, add_flags
from stream_detector.cli.replayed_history import Found, ReplayedHistory
from stream_detector.composition import detection_config
from stream_detector.detect import Config
from stream_detector.events import Anomaly
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.events.encode import encode
from stream_detector.events.files import HistoryError
from stream_detector.events.files.order import in_order_of_time
from stream_detector.events.lines import Line
from stream_detector.notify.configure import notify_config
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import SPECS, Settings, load

SHOWN_KEYS = 15


@click.command()
@file_options
@click.option("--compare", metavar="PROFILES", help="Compare profiles, for example classic,robust")
@click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="Override a setting; can be repeated")
@click.option("--json", "as_json", is_flag=True, help="Print anomalies as JSON lines to stdout and the table to stderr")
@add_flags
def command(options: FileOptions, compare: str | None, changes: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Run the detector on a file and count anomalies and notifications.

    FILE contains JSON or a table (CSV, Parquet), optionally compressed, in the order in which the events arrived; - is
    standard input. Payloads of other systems may be in any order, such as newest first in a dump of an API.

    \b
    Example: stream-detector replay history.jsonl --compare classic,robust --set score_threshold=0.3
    """
    settings = _settings(flags, changes)
    profiles = compare.split(",") if compare else [settings.profile]
    try:
        # To compare profiles, each judges every workflow; otherwise PROFILE_RULES apply.
        rules = "" if compare else settings.profile_rules
        configs = [detection_config(replace(settings, profile=name, profile_rules=rules)) for name in profiles]
    except ValueError as error:
        raise CommandError(f"--compare {compare}: {error}", 2) from None
    try:
        found, refused = _replay(options, configs, settings, as_json=as_json)
    except HistoryError as error:
        raise CommandError(str(error), 2) from None
    _show(Console(stderr=as_json), found, refused, settings)


def _settings(options: dict[str, Any], changes: tuple[str, ...]) -> Settings:
    config = options.pop("config")
    flags = {name: options.pop(f"setting_{name}") for name in ON_COMMAND_LINE}
    for change in changes:
        name, equals, value = change.partition("=")
        name = name.strip().lower()
        if not equals or name not in SPECS:
            raise CommandError(f"--set {change}: must be NAME=VALUE, with the name of a setting", 2)
        flags[name] = value
    return load(flags=flags, config=config)


def _replay(
    options: FileOptions, configs: list[Config], settings: Settings, *, as_json: bool
) -> tuple[list[Found], Counter[str]]:
    """Feed every line to one replayer per profile."""
    notify = notify_config(settings)
    replays = [ReplayedHistory(config, notify, _write_line if as_json else None) for config in configs]
    refused: Counter[str] = Counter()

    for line in in_order_of_time(_with_progress(options.read(record_ms=-1), options.file)):
        event = line.event
        if event is None:
            assert line.error is not None
            refused[line.error.reason] += 1
            continue
        for replay in replays:
            replay.apply(event, line.record_ms)
    for replay in replays:
        replay.finish()
    sys.stdout.buffer.flush()
    return [replay.found for replay in replays], refused


def _write_line(anomaly: Anomaly) -> None:
    sys.stdout.buffer.write(encode(anomaly) + b"\n")


def _with_progress(lines: Iterator[Line], file: Path) -> Iterator[Line]:
    """The same lines, with a progress bar if stderr is a terminal."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(file.name, total=None)
        for number, line in enumerate(lines, 1):
            if number % 1000 == 0:
                progress.update(task, completed=number)
            yield line


def _show(console: Console, found: list[Found], refused: Counter[str], settings: Settings) -> None:
    table = Table(title="Anomalies by type and severity")
    for column in ("profile", "type", *SEVERITIES, "all"):
        table.add_column(column, justify="left" if column in ("profile", "type") else "right")
    for one in found:
        for kind in TYPES:
            counts = [one.by_type[kind, severity] for severity in SEVERITIES]
            if any(counts):
                table.add_row(one.profile, kind, *map(str, counts), str(sum(counts)))
        table.add_row(one.profile, "all", *("" for _ in SEVERITIES), str(one.by_type.total()), end_section=True)
    console.print(table)
    for one in found:
        events = ", ".join(f"{count} {kind}" for kind, count in sorted(one.outcomes.items())) or "none"
        console.print(f"{one.profile}: events: {events}; incidents resolved: {one.resolved}")
        sent = ", ".join(f"{channel} {count}" for channel, count in one.sent_by_channel.items())
        runs = f" ({one.runs} score runs)" if one.runs else ""
        console.print(
            f"{one.profile}: messages at severity {settings.notify_severity} or higher as the notifier would send "
            f"them, grouped and within the rate limit: {sent}{runs}"
        )
        keys = ", ".join(f"{one_line(key, 100)} {count}" for key, count in one.by_key.most_common(SHOWN_KEYS))
        if keys:
            console.print(f"{one.profile}: most anomalies: {keys}", markup=False, highlight=False)
    if refused:
        console.print("rejected: " + ", ".join(f"{count} {reason}" for reason, count in refused.most_common()))
