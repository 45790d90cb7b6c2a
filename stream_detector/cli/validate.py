"""`validate`: the checks of the stream on a file, without publishing it."""

import json
import time
from collections import Counter
from pathlib import Path

import click

from stream_detector.cli import CommandError
from stream_detector.cli.file_options import FileOptions, file_options
from stream_detector.cli.file_report import FileReport, counted
from stream_detector.cli.suggest import propose_mapping
from stream_detector.events.files import HistoryError
from stream_detector.events.lines import Line
from stream_detector.notify.rendering.escape import one_line


@click.command()
@file_options
@click.option("--suggest", is_flag=True, help="Propose a mapping (--map) for FILE instead")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per rejected line and a summary")
def command(options: FileOptions, suggest: bool, as_json: bool) -> None:
    """Check every event of FILE: JSON or a table (CSV, Parquet), optionally compressed; - reads standard input.

    Exit code 0 if all events are valid, 1 if some are rejected; each is listed with its line and how to fix it. What is
    valid and would be ignored is reported.

    \b
    Example: stream-detector validate history.jsonl.gz
    """
    if suggest:
        propose_mapping(options)
        return
    report = FileReport()
    reasons: Counter[str] = Counter()
    try:
        for line in options.read(record_ms=int(time.time() * 1000)):
            if line.error is None:
                report.add(line)
            else:
                reasons[line.error.reason] += 1
                _show_refused(options.file, line, as_json)
    except HistoryError as error:
        raise CommandError(str(error), 2) from None
    refused = reasons.total()
    if as_json:
        summary = {"events": dict(report.kinds), "refused": refused, "reasons": dict(reasons)} | report.summary()
        click.echo(json.dumps(summary))
    else:
        kinds = ", ".join(counted(count, kind.replace("_", " ")) for kind, count in sorted(report.kinds.items()))
        click.echo(f"{options.file}: {kinds or 'no events'} valid, {refused} rejected")
        for text in report.lines():
            click.echo(text)
    if refused or not report.kinds:
        raise SystemExit(1)


def _show_refused(file: Path, line: Line, as_json: bool) -> None:
    error = line.error
    assert error is not None
    if as_json:
        bad = {"line": line.number, "stage": error.stage, "reason": error.reason, "message": error.message}
        click.echo(json.dumps(bad))
    else:
        click.echo(f"{file}:{line.number}: {one_line(str(error), 1_000)}")
