"""`validate`: the checks of the stream on a file, nothing sent."""

import json
import time
from collections import Counter
from pathlib import Path

import click

from stream_detector.cli import StopsWith
from stream_detector.events.files import HistoryError, read_history


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--builds", is_flag=True, help="Of a CI table, make each build one execution with its tests as steps")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each bad line, the last line is the summary")
def command(file: Path, builds: bool, as_json: bool) -> None:
    """Check every event of FILE as the stream would: JSON lines or a table (CSV), also gzipped.

    Exit code 0: all can be published; 1: some are refused, each is named with its line and what to do.

    \b
    Example: stream-detector validate history.jsonl.gz
    """
    good: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    try:
        for line in read_history(file, record_ms=int(time.time() * 1000), builds=builds):
            if line.error is None:
                good[str(line.kind)] += 1
                continue
            error = line.error
            reasons[error.reason] += 1
            if as_json:
                bad = {"line": line.number, "stage": error.stage, "reason": error.reason, "message": error.message}
                click.echo(json.dumps(bad))
            else:
                click.echo(f"{file}:{line.number}: {error}")
    except HistoryError as error:
        raise StopsWith(str(error), 2) from None
    refused = sum(reasons.values())
    if as_json:
        click.echo(json.dumps({"events": dict(good), "refused": refused, "reasons": dict(reasons)}))
    else:
        kinds = ", ".join(f"{count} {kind.replace('_', ' ')}s" for kind, count in sorted(good.items()))
        click.echo(f"{file}: {kinds or 'no event'} can be published, {refused} refused")
    if refused or not good:
        raise SystemExit(1)
