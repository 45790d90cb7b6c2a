"""`replay`: a history from a file through the live detector's `step` function, without any server."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_detector.cli import CommandError
from stream_detector.cli.file_options import FileOptions, file_options
from stream_detector.cli.options import ON_COMMAND_LINE, add_flags
from stream_detector.composition import detection_config
from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.events import Anomaly, AnomalyTypeName, RunSummary, Score, ScoreRun, SeverityName
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.events.encode import encode
from stream_detector.events.files import HistoryError
from stream_detector.events.inputs import Event
from stream_detector.events.label_counts import LabelCounts
from stream_detector.events.lines import Line
from stream_detector.events.times import epoch_ms
from stream_detector.events.variant import shown_name
from stream_detector.notify.configure import notify_config
from stream_detector.notify.forecast import Forecast
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import SPECS, Settings, load

SHOWN_KEYS = 15


@dataclass
class Found:
    """What one profile found: counts by (type, severity) and by key, and what would have been sent."""

    profile: str
    by_type: Counter[tuple[AnomalyTypeName, SeverityName]] = field(default_factory=Counter)
    by_key: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    resolved: int = 0
    runs: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """Messages by channel."""


@click.command()
@file_options
@click.option("--compare", metavar="PROFILES", help="Compare profiles, for example classic,robust")
@click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="Override a setting; can be repeated")
@click.option("--json", "as_json", is_flag=True, help="Print anomalies as JSON lines to stdout and the table to stderr")
@add_flags
def command(options: FileOptions, compare: str | None, changes: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Run the detector on a file and count anomalies and notifications.

    FILE contains JSON or a table (CSV, Parquet), optionally compressed, in the order in which the events arrived; - is
    standard input.

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
    replays = [_Replay(config, settings, as_json) for config in configs]
    refused: Counter[str] = Counter()

    for line in _with_progress(options.read(record_ms=-1), options.file):
        event = line.event
        if event is None:
            assert line.error is not None
            refused[line.error.reason] += 1
            continue
        for replay in replays:
            replay.apply(event)
    for replay in replays:
        replay.finish()
    sys.stdout.buffer.flush()
    return [replay.found for replay in replays], refused


class _Replay:
    """One profile: what the detector finds, and what the notifier would send of it on the clock of the data."""

    def __init__(self, config: Config, settings: Settings, as_json: bool) -> None:
        self.found, self._as_json = Found(config.profile), as_json
        self._replayer = Replayer(config)
        self._items: list[tuple[float, Anomaly | RunSummary, LabelCounts | None]] = []
        self._notify = notify_config(settings)

    def apply(self, event: Event) -> None:
        """Judge one event."""
        if isinstance(event, ScoreRun):
            self._take(self._replayer.put(run_event_part(event), epoch_ms(event.at)))
            return
        outcome = self._replayer.apply(event, -1)
        self.found.outcomes["changed duplicate" if outcome.correction else outcome.kind] += 1
        self._take(outcome.anomalies)
        if isinstance(event, Score):
            self._take(self._replayer.gather(event, outcome, epoch_ms(event.scored_at)))

    def finish(self) -> None:
        """End every run, then let all that was found come to the notifier in the order of its times."""
        self._take(self._replayer.missing(sys.maxsize))
        for summary in self._replayer.summaries(sys.maxsize):
            self.found.runs += summary.part == 1
            self._items.append((summary.ended_at.timestamp(), summary, None))
        forecast = Forecast(self._notify)
        for at_s, item, counts in sorted(self._items, key=lambda one: one[0]):
            forecast.accept(item, at_s, counts)
        forecast.finish()
        self.found.sent.update({channel: forecast.count(channel) for channel in forecast.channels})

    def _take(self, anomalies: Iterable[Anomaly]) -> None:
        found = self.found
        for anomaly in anomalies:
            counts = self._replayer.label_counts(anomaly)
            self._items.append((anomaly.detected_at.timestamp(), anomaly, counts))
            if self._as_json:
                sys.stdout.buffer.write(encode(anomaly) + b"\n")
            if anomaly.state == "resolved":
                found.resolved += 1
                continue
            found.by_type[anomaly.anomaly_type, anomaly.severity] += 1
            found.by_key[shown_name(f"{anomaly.entity_kind}:{anomaly.entity_id}", anomaly.variant)] += 1


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
        sent = ", ".join(f"{channel} {count}" for channel, count in one.sent.items())
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
