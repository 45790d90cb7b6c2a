"""The command line that every benchmark shares: its parser, its last line of JSON, its exit code."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.broker import split_cores
from benchmarks.measure import NoFigureError, quiet_clients


def parser_of(name: str, doc: str | None, *, kafka: str = "") -> argparse.ArgumentParser:
    """A parser with what all take: `--json`, and where `kafka` names a default, `--kafka` and `--jars`."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="accepted for scripts; the last line is JSON in any case")
    if kafka:
        parser.add_argument("--kafka", choices=("apache", "embedded"), default=kafka, help="the broker")
        parser.add_argument("--jars", help="folder of Kafka's jars; else the cache folder, filled by Maven")
    return parser


def words(text: str) -> list[str]:
    """What stands between the commas."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """The same as integers."""
    return [int(word) for word in words(text)]


def report(measure: Callable[[], Mapping[str, Any]]) -> int:
    """Measure and print the figures as the last line. Returns 0, or 1 where there is no figure to be had."""
    with quiet_clients():
        try:
            print(json.dumps(measure()))
        except NoFigureError as error:
            print(f"no figure: {error}", file=sys.stderr)
            return 1
    return 0


def conditions(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """What the figures depend on: the broker, the options named, and whether the measured worker has its own core."""
    return {
        "kafka": arguments.kafka,
        **{name: getattr(arguments, name) for name in names},
        "pinned": split_cores()[0] is not None,
    }


def note(line: str) -> None:
    """A line on stderr while something long goes on."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for a database server, which as root runs as nobody, who must pass through; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="stream-detector-benchmark-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
