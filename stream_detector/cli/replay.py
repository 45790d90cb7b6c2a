"""`replay`: history from a file through the very `step` of the live detector, without any server."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_detector.cli import StopsWith
from stream_detector.cli.options import ON_COMMAND_LINE, add_flags
from stream_detector.detect import Config, profile_rules
from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.events import Anomaly, AnomalyTypeName, ScoreRun, SeverityName
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.events.encode import encode
from stream_detector.events.files import HistoryError, Line, read_history
from stream_detector.events.times import epoch_ms
from stream_detector.settings import SPECS, Settings, load

SHOWN_KEYS = 15


@dataclass
class Found:
    """What one profile found: counts by (type, severity), by key, and what would have been sent by default."""

    profile: str
    by_type: Counter[tuple[AnomalyTypeName, SeverityName]] = field(default_factory=Counter)
    by_key: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    resolved: int = 0
    sent: int = 0
    runs: int = 0
    run_messages: int = 0


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--compare", metavar="PROFILES", help="Several profiles side by side: classic,robust")
@click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="Any setting, for this replay alone")
@click.option("--builds", is_flag=True, help="Of a CI table: a build is one execution, its tests are the steps")
@click.option("--json", "as_json", is_flag=True, help="Anomalies as JSON lines on stdout, the table on stderr")
@add_flags
def command(
    file: Path, compare: str | None, changes: tuple[str, ...], builds: bool, as_json: bool, **options: Any
) -> None:
    """Replay a history: which anomalies it holds, counted by type, severity and key, and what would have been sent.

    FILE holds JSON lines or a CSV with a header, plain or gzipped, in the order in which the events came.

    \b
    Example: stream-detector replay history.jsonl --compare classic,robust --set score_threshold=0.3
    """
    settings = _settings(options, changes)
    profiles = compare.split(",") if compare else [settings.profile]
    try:
        # Side by side, each profile judges every workflow; else the rules for single workflows hold.
        rules = () if compare else profile_rules(settings.profile_rules)
        configs = [Config(name, settings.score_threshold, profile_rules=rules) for name in profiles]  # type: ignore[arg-type]
    except ValueError as error:
        raise StopsWith(f"--compare {compare}: {error}", 2) from None
    try:
        found, refused = _replay(file, configs, settings, builds=builds, as_json=as_json)
    except HistoryError as error:
        raise StopsWith(str(error), 2) from None
    _show(Console(stderr=as_json), found, refused, settings)


def _settings(options: dict[str, Any], changes: tuple[str, ...]) -> Settings:
    config = options.pop("config")
    flags = {name: options.pop(f"setting_{name}") for name in ON_COMMAND_LINE}
    for change in changes:
        name, equals, value = change.partition("=")
        name = name.strip().lower()
        if not equals or name not in SPECS:
            raise StopsWith(f"--set {change}: must be NAME=VALUE with the name of a setting", 2)
        flags[name] = value
    return load(flags=flags, config=config)


def _replay(
    file: Path, configs: list[Config], settings: Settings, *, builds: bool, as_json: bool
) -> tuple[list[Found], Counter[str]]:
    """Feed every line to one fold a profile."""
    folds = [(Replayer(config), Found(config.profile)) for config in configs]
    refused: Counter[str] = Counter()
    rising: dict[tuple[str, str], SeverityName] = {}

    def tell(found: Found, anomalies: Iterable[Anomaly]) -> None:
        for anomaly in anomalies:
            _count(found, anomaly, settings, rising)
            if as_json:
                sys.stdout.buffer.write(encode(anomaly) + b"\n")

    for line in _watched(read_history(file, record_ms=int(time.time() * 1000), builds=builds), file):
        event = line.event
        if event is None:
            assert line.error is not None
            refused[line.error.reason] += 1
            continue
        for folding, found in folds:
            if isinstance(event, ScoreRun):
                told = folding.put(run_event_part(event), epoch_ms(event.at))
            else:
                outcome = folding.apply(event)
                found.outcomes[outcome.kind] += 1
                told = list(outcome.anomalies)
                if line.kind == "score":
                    told += folding.gather(event, outcome, epoch_ms(event.scored_at))  # type: ignore[arg-type, union-attr]
            tell(found, told)
    for folding, found in folds:
        tell(found, folding.missing(sys.maxsize))
    sys.stdout.buffer.flush()
    for folding, found in folds:
        for summary in folding.summaries(sys.maxsize):
            found.runs += summary.part == 1
            found.run_messages += summary.part == 1 and summary.anomaly_count > 0
    return [found for _, found in folds], refused


def _watched(lines: Iterator[Line], file: Path) -> Iterator[Line]:
    """The same lines, with a progress bar on stderr where somebody looks."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(file.name, total=None)
        for number, line in enumerate(lines, 1):
            if number % 1000 == 0:
                progress.update(task, completed=number)
            yield line


def _count(found: Found, anomaly: Anomaly, settings: Settings, rising: dict[tuple[str, str], SeverityName]) -> None:
    if anomaly.state == "resolved":
        found.resolved += 1
        return
    found.by_type[anomaly.anomaly_type, anomaly.severity] += 1
    found.by_key[f"{anomaly.entity_kind}:{anomaly.entity_id}"] += 1
    # A record is sent where its severity passes the threshold and is news: an opening, or a rise while ongoing.
    place = found.profile, anomaly.incident_id
    before = rising.get(place)
    rank = SEVERITIES.index(anomaly.severity)
    news = before is None or rank > SEVERITIES.index(before)
    if news:
        rising[place] = anomaly.severity
    if news and rank >= SEVERITIES.index(settings.notify_severity) and anomaly.run_id is None:
        found.sent += 1


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
        console.print(
            f"{one.profile}: would be sent from {settings.notify_severity} on, before the rate limit: "
            f"{one.sent + one.run_messages} messages"
            + (f" ({one.run_messages} of {one.runs} score runs in one message each)" if one.runs else "")
        )
        keys = ", ".join(f"{key} {count}" for key, count in one.by_key.most_common(SHOWN_KEYS))
        if keys:
            console.print(f"{one.profile}: keys: {keys}", markup=False, highlight=False)
    if refused:
        console.print("refused: " + ", ".join(f"{count} {reason}" for reason, count in refused.most_common()))
