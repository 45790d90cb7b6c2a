"""The one program, `stream-detector`: each command is a file of its own and is imported when it is called.

Receives words from a person; returns what the stages answer, and an exit code: 0 done, 1 found something wrong, 2 wrong
usage or a setting that cannot be used. Never decides anything that a stage decides.
"""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

import click

from stream_detector import __version__
from stream_detector.settings import SettingsError

COMMANDS = {
    "up": ("up", "command"),
    "detector": ("roles", "detector"),
    "recorder": ("roles", "recorder"),
    "notifier": ("roles", "notifier"),
    "api": ("roles", "api"),
    "setup": ("setup", "command"),
    "acls": ("acls", "command"),
    "grants": ("grants", "command"),
    "doctor": ("doctor", "command"),
    "publish": ("publish", "command"),
    "validate": ("validate", "command"),
    "replay": ("replay", "command"),
    "check": ("asking", "check"),
    "anomalies": ("asking", "anomalies"),
    "why": ("asking", "why"),
    "notify": ("notify", "command"),
    "dead-letters": ("dead_letters", "command"),
    "token": ("token", "command"),
    "config": ("config", "command"),
}
"""Name on the command line -> (module of this package, its click command)."""


class StopsWith(click.ClickException):
    """Ends the program with a message and a code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Lazy(click.Group):
    """Imports a command when it is called: `--help` of one needs none of the others' libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"stream_detector.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} Commands: {', '.join(COMMANDS)}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that a person can act on becomes its message and exit code, without a traceback."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise StopsWith(str(error), 2) from None
        except _expected() as error:
            raise StopsWith(str(error) or type(error).__name__) from None


def _expected() -> tuple[type[BaseException], ...]:
    """Errors with a message for people; imported only once something went wrong."""
    from aiokafka.errors import KafkaError

    from stream_detector.devstack.owned import ChildError
    from stream_detector.kafka.preflight import SetupError
    from stream_detector.store.connect import StoreAwayError
    from stream_detector.store.grants import GrantError
    from stream_detector.store.migrate import MigrationError

    return (ChildError, GrantError, KafkaError, MigrationError, SetupError, StoreAwayError, asyncio.TimeoutError)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="stream-detector")
def main() -> None:
    """Finds failing, slowing and drifting workflows and scores in events on Kafka.

    Try `stream-detector up --demo`. Settings come from a TOML file (--config), the environment (STREAM_DETECTOR_...)
    and flags, in rising order; `stream-detector config docs` explains each.
    """


def run(arguments: Sequence[str] | None = None) -> None:
    """Start the program with these words, or the process's own."""
    main(args=arguments, prog_name="stream-detector")
