"""`validate`: the checks of the stream on a file, without publishing it."""

import json
import time
from collections import Counter
from pathlib import Path

import click
from msgspec import UNSET

from stream_detector.cli import CommandError
from stream_detector.events import Completion, Score
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.files import HistoryError, read_history
from stream_detector.events.lookalikes import find_lookalikes, spelled
from stream_detector.notify.rendering.escape import one_line


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--builds", is_flag=True, help="CI tables only: one execution per build, with its tests as steps")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per rejected line and a summary")
def command(file: Path, builds: bool, as_json: bool) -> None:
    """Check every event of FILE: JSON lines or a table (CSV), optionally gzipped.

    Exit code 0 if all events are valid, 1 if some are rejected; each is listed with its line and how to fix it.

    \b
    Example: stream-detector validate history.jsonl.gz
    """
    good: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    durations: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    ids: set[str] = set()
    try:
        for line in read_history(file, record_ms=int(time.time() * 1000), builds=builds):
            if line.error is None:
                good[str(line.kind)] += 1
                ids.add(_entity_of(line.event))
                if isinstance(line.event, Completion):
                    durations[_duration_from(line.event)] += 1
                    if why := _why_no_duration(line.event):
                        absent[why] += 1
                continue
            error = line.error
            reasons[error.reason] += 1
            if as_json:
                bad = {"line": line.number, "stage": error.stage, "reason": error.reason, "message": error.message}
                click.echo(json.dumps(bad))
            else:
                click.echo(f"{file}:{line.number}: {one_line(str(error), 1_000)}")
    except HistoryError as error:
        raise CommandError(str(error), 2) from None
    refused = sum(reasons.values())
    if as_json:
        summary = {"events": dict(good), "refused": refused, "reasons": dict(reasons)}
        summary |= {"durations": dict(durations)} if durations else {}
        summary |= {"without_duration": dict(absent)} if absent else {}
        summary |= {"lookalikes": groups} if (groups := find_lookalikes(ids)) else {}
        click.echo(json.dumps(summary))
    else:
        kinds = ", ".join(_counted(count, kind.replace("_", " ")) for kind, count in sorted(good.items()))
        click.echo(f"{file}: {kinds or 'no events'} valid, {refused} rejected")
        _show_durations(durations, absent)
        _show_lookalikes(ids)
    if refused or not good:
        raise SystemExit(1)


def _entity_of(event: object) -> str:
    """The id that has a baseline; empty for the end of a score run."""
    return event.workflow_id if isinstance(event, Completion) else event.entity_id if isinstance(event, Score) else ""


def _show_lookalikes(ids: set[str]) -> None:
    """Ids that people take for one."""
    for group in find_lookalikes(ids):
        shown = " and ".join(map(spelled, group))
        click.echo(f"{shown} look the same, but each has its own baseline: send one spelling")


def _show_durations(durations: Counter[str], absent: Counter[str]) -> None:
    """Where durations come from, and why others are not recorded."""
    if computed := durations["computed"]:
        click.echo(f"{_counted(computed, 'duration')} computed as finished_at - started_at (no duration_s)")
    if absent:
        whys = ", ".join(f"{count} {_ABSENT[why]}" for why, count in absent.most_common())
        click.echo(
            f"{_counted(absent.total(), 'completion')} without a duration ({whys}): evaluated by the outcome alone"
        )
    if durations and durations["none"] == durations.total():
        click.echo("no event has a duration, so slow executions cannot be found: send duration_s, or the real start")


_ABSENT = {
    "equal_times": "with started_at = finished_at and no duration_s",
    "zero": "with duration_s 0",
    "null": "with duration_s null",
}


def _why_no_duration(event: Completion) -> str:
    """A key of `_ABSENT`; empty where there is a duration."""
    if recorded_duration_s(event):
        return ""
    if event.duration_s is UNSET:
        return "equal_times"
    return "null" if event.duration_s is None else "zero"


def _duration_from(event: Completion) -> str:
    if not recorded_duration_s(event):
        return "none"
    return "computed" if event.duration_s is UNSET else "given"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
