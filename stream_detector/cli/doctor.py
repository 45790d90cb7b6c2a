"""`doctor`: checks the installation and names the fix for each problem."""

import asyncio
import json
import logging

import click

from stream_detector.cli.api_client import use_running_stack
from stream_detector.cli.checks import Check, run_checks
from stream_detector.cli.options import settings_flags
from stream_detector.settings import Settings


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per check")
def command(settings: Settings, as_json: bool) -> None:
    """Check broker, topics, roles, database, clock and channels. Exit code 1 if a check fails.

    Without settings it checks the `up` of this user.

    \b
    Example: stream-detector doctor --broker kafka:9092 --database-url postgresql://db/detector
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # each check reports its own error
    raise SystemExit(asyncio.run(_report(use_running_stack(settings), as_json=as_json)))


async def _report(settings: Settings, *, as_json: bool) -> int:
    code = 0
    async for line in run_checks(settings):
        _print(line, as_json=as_json)
        code = code if line.ok else 1
    return code


def _print(line: Check, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"name": line.name, "ok": line.ok, "found": line.found, "advice": line.advice}))
        return
    mark = click.style("ok   ", fg="green") if line.ok else click.style("wrong", fg="red")
    click.echo(f"{mark} {line.name}: {line.found}")
    if line.advice:
        click.echo(f"      -> {line.advice}")
