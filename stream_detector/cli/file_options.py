"""What every command that reads a file takes: the file, and how to read it."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from stream_detector.events.files import read_history
from stream_detector.events.lines import Line


@dataclass(frozen=True)
class FileOptions:
    """A file and how to read it."""

    file: Path
    builds: bool = False
    encoding: str | None = None
    title: str | None = None
    """What messages call the file, if not by its path."""

    def read(self, *, record_ms: int, quietly: bool = False) -> Iterator[Line]:
        """Its lines; what is to be known of the file as a whole goes to stderr. Raises `HistoryError`."""
        note = (lambda text: None) if quietly else (lambda text: click.echo(text, err=True))
        return read_history(self.file, record_ms=record_ms, builds=self.builds, encoding=self.encoding, note=note)


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the flags; the command is called without them and with `options`."""

    @click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
    @click.option("--builds", is_flag=True, help="CI tables only: one execution per build, with its tests as steps")
    @click.option("--encoding", metavar="NAME", help="Encoding of FILE if not UTF-8 or UTF-16, for example cp1252")
    @functools.wraps(function)
    def call(*args: Any, file: Path, builds: bool, encoding: str | None, **others: Any) -> Any:
        return function(*args, options=FileOptions(file, builds, encoding), **others)

    return call
