"""`validate --suggest`: a mapping for a file of another system, tried on the file before it is shown."""

import time
from collections import Counter
from dataclasses import replace

import click

from stream_detector.cli import CommandError
from stream_detector.cli.file_options import FileOptions, kept_file
from stream_detector.cli.file_report import counted
from stream_detector.events.files import HistoryError, read_sample
from stream_detector.events.mapping.load import MappingError, parse_mapping
from stream_detector.events.mapping.sampled import SAMPLE
from stream_detector.events.mapping.suggest import NotFoundError, suggest_mapping
from stream_detector.notify.rendering.escape import one_line


def propose_mapping(options: FileOptions) -> None:
    """Print the mapping to stdout, and to stderr what it reads. Raises `CommandError`; exits with 1 if not all."""
    try:
        with kept_file(options) as kept:
            sample = read_sample(kept.file, most=SAMPLE, encoding=kept.encoding)
            text = suggest_mapping(sample)
            mapping = parse_mapping(text, "suggested", "the proposal")
            counts: Counter[str] = Counter()
            first = ""
            for line in replace(kept, mapping=mapping).read(record_ms=int(time.time() * 1000)):
                counts["rejected" if line.error else "valid"] += 1
                if line.error and not first:
                    first = f"{options.file}:{line.number}: {one_line(str(line.error), 1_000)}"
    except NotFoundError as error:
        what = f"{options.file}: no mapping can be proposed: {error}"
        raise CommandError(f"{what}; docs/files.md describes how to write one") from None
    except MappingError as error:
        raise CommandError(f"{options.file}: no mapping can be proposed: {error}") from None
    except HistoryError as error:
        raise CommandError(str(error), 2) from None
    click.echo(text, nl=False)
    read = f"it reads {counted(counts['valid'], 'event')} of {options.file}, {counts['rejected']} rejected"
    click.echo(f"check the proposal and save it, for example as mapping.toml, for --map mapping.toml: {read}", err=True)
    if first:
        click.echo(first, err=True)
    if counts["rejected"] or not counts["valid"]:
        raise SystemExit(1)
