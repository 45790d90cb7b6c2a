"""`run`: wraps a command, for example of a cron job, and reports each of its runs as an execution."""

import os
import re
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from stream_detector.cli.ping_environment import KEY, URL
from stream_detector.cli.wrapped_process import Ended, Tail, WrappedProcess, exit_code_of

if TYPE_CHECKING:
    from stream_detector.cli.run_report import Report

_TAIL_BYTES = 64 * 1024
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(s|m|min|h|d)", re.ASCII)
_UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_MOST_S = 3e8
"""Ten years, as the server has it."""


class _Duration(click.ParamType):
    """A number with its unit, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuses what has no unit: nobody can see whether 90 means seconds or minutes."""
        found = _DURATION.fullmatch(str(value))
        seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
        if not 0 < seconds <= _MOST_S:
            self.fail(f"{value!r} must be a time with its unit, such as 90s, 30m, 2h or 1d", param, ctx)
        return seconds


DURATION = _Duration()


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
)
@click.option("--workflow", default="", metavar="NAME", help="Workflow of the run; a ping key names it by itself")
@click.option("--url", default="", metavar="URL", help=f"https://HOST or https://HOST/ping/KEY; better in {URL}")
@click.option("--key", default="", metavar="KEY", help=f"Ping key; better in {KEY}, other users can see arguments")
@click.option(
    "--limit", default=None, type=DURATION, metavar="TIME", help="The run should not take longer: 90s, 30m, 2h or 1d"
)
@click.argument("words", metavar="COMMAND [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(workflow: str, url: str, key: str, limit: float | None, words: tuple[str, ...]) -> None:
    """Run a command and report its start, end, exit code and last lines.

    Output, signals and exit code pass through. If the server does not answer, the command runs all the same, and at
    most 10 s after its end one line on standard error explains why it was not reported.

    \b
    Examples:
      STREAM_DETECTOR_PING_URL=https://HOST/ping/KEY stream-detector run -- backup.sh --full
      stream-detector run --workflow nightly-backup -- backup.sh    (to the `up` of this machine)
    """
    reports: list[Report] = []

    def begin() -> None:
        """In a thread: neither the start nor the end of the command waits for what only the report needs."""
        from stream_detector.cli.run_report import Report, find_target

        reports.append(Report(lambda: find_target(workflow, url, key), _warn, limit))
        reports[0].start()

    def hurry() -> None:
        for report in reports:
            report.hurry()

    beginning, tail = threading.Thread(target=begin, daemon=True), Tail(_TAIL_BYTES)
    process = WrappedProcess(words, tail, beginning.start, hurry)
    started_s = time.monotonic()
    try:
        code, ended_s = process.run()
    except OSError as error:
        code, ended_s = exit_code_of(error), time.monotonic()
        why = f"{words[0]}: {error.strerror or type(error).__name__}"
        _warn(why)
        tail.add(why.encode("utf-8", "replace"))
        beginning.start()
    beginning.join()
    reports[0].end(Ended(code, ended_s - started_s, tail.bytes()))
    sys.exit(code)


def _warn(text: str) -> None:
    line = " ".join(text.split())
    with suppress(OSError):
        os.write(2, f"stream-detector run: {line}\n".encode("utf-8", "replace"))
