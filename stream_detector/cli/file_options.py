"""What every command that reads a file takes: the file, and how to read it."""

import functools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import IO, Any, cast

import click

from stream_detector.cli import CommandError
from stream_detector.events.files import STDIN, read_history
from stream_detector.events.lines import Line
from stream_detector.events.mapping import Mapping, MappingError, load_mapping
from stream_detector.events.mapping.units import zone_of
from stream_detector.events.sources.source import NO_CHOICES, Choices


@dataclass(frozen=True)
class FileOptions:
    """A file and how to read it."""

    file: Path
    builds: bool = False
    choices: Choices = NO_CHOICES
    encoding: str | None = None
    mapping: Mapping | None = None
    title: str | None = None
    """What messages call the file, if not by its path."""

    def read(self, *, record_ms: int, quietly: bool = False) -> Iterator[Line]:
        """Its lines; what is to be known of the file as a whole goes to stderr. Raises `HistoryError`."""
        note = (lambda text: None) if quietly else (lambda text: click.echo(text, err=True))
        return read_history(
            self.file,
            title=self.title,
            record_ms=record_ms,
            builds=self.builds,
            choices=self.choices,
            encoding=self.encoding,
            mapping=self.mapping,
            note=note,
        )


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the flags; the command is called without them and with `options`."""

    @click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
    @click.option("--builds", is_flag=True, help="CI tables only: one execution per build, with its tests as steps")
    @click.option("--models", is_flag=True, help="dbt results only: each model or other node is a workflow")
    @click.option("--zone", metavar="ZONE", help="Zone of the times of JUnit reports without one; default: UTC")
    @click.option("--encoding", metavar="NAME", help="Encoding of FILE if not UTF-8 or UTF-16, for example cp1252")
    @click.option("--map", "mapping", metavar="MAPPING", help="TOML file that maps the fields of FILE")
    @functools.wraps(function)
    def call(
        *args: Any,
        file: Path,
        builds: bool,
        models: bool,
        zone: str | None,
        encoding: str | None,
        mapping: str | None,
        **others: Any,
    ) -> Any:
        try:
            mapped = load_mapping(Path(mapping)) if mapping else None
            choices = Choices(models, zone_of(zone) if zone else UTC)
        except MappingError as error:
            raise CommandError(str(error), 2) from None
        except ValueError as error:
            raise CommandError(f"--zone: {error}; for example UTC, +02:00 or Europe/Berlin", 2) from None
        return function(*args, options=FileOptions(file, builds, choices, encoding, mapped), **others)

    return call


@contextmanager
def kept_file(options: FileOptions) -> Iterator[FileOptions]:
    """The same for a file that is read several times: standard input is copied to a temporary file."""
    if options.file != STDIN:
        yield options
        return
    with tempfile.NamedTemporaryFile(prefix="stream-detector-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, cast(IO[bytes], copy))
        copy.flush()
        yield replace(options, file=Path(copy.name), title="-")
