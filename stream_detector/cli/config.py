"""`config show` and `config docs`."""

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from stream_detector.cli.options import settings_flags
from stream_detector.cli.settings_page import env_example, settings_page
from stream_detector.settings import SPECS, Settings


@click.group("config")
def command() -> None:
    """Show the current settings, or the documentation of all settings."""


@command.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: name -> value and origin")
def show(settings: Settings, as_json: bool) -> None:
    """Print every setting with its value and where it comes from; secrets only as set or not set.

    \b
    Example: STREAM_DETECTOR_SCORE_THRESHOLD=0.8 stream-detector config show
    """
    if as_json:
        shown = {name: {"value": settings.shown(name), "origin": settings.origin[name]} for name in SPECS}
        click.echo(json.dumps(shown, indent=2))
        return
    table = Table("setting", "value", "origin", box=None, pad_edge=False)
    for name in SPECS:
        table.add_row(name, settings.shown(name), settings.origin[name])
    Console(file=sys.stdout).print(table)


@command.command()
@click.option("--env", is_flag=True, help="Print an example environment file instead, with every setting commented out")
def docs(env: bool) -> None:
    """Print the documentation of all settings as Markdown, or an example environment file.

    \b
    Example: stream-detector config docs > docs/settings.md
             stream-detector config docs --env > .env.example
    """
    click.echo(env_example() if env else settings_page(), nl=False)
