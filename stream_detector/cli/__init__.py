"""The command line program `stream-detector`: one file per command, imported when the command is called.

Receives arguments from a person; prints what the stages return. Exit codes: 0 success, 1 a problem was found, 2 wrong
usage or an invalid setting. Never decides anything that a stage decides.
"""

import importlib
import re
from collections.abc import Sequence
from typing import Any

import click

from stream_detector import __version__

COMMANDS = {
    "up": ("up", "command"),
    "detector": ("roles", "detector"),
    "recorder": ("recorder", "command"),
    "notifier": ("roles", "notifier"),
    "api": ("roles", "api"),
    "setup": ("setup", "command"),
    "acls": ("acls", "command"),
    "grants": ("grants", "command"),
    "doctor": ("doctor", "command"),
    "run": ("run_command", "command"),
    "import": ("import_history", "command"),
    "publish": ("publish", "command"),
    "validate": ("validate", "command"),
    "replay": ("replay", "command"),
    "check": ("queries", "check"),
    "anomalies": ("queries", "anomalies"),
    "why": ("queries", "why"),
    "schedule": ("schedule", "command"),
    "notify": ("notify", "command"),
    "dead-letters": ("dead_letters", "command"),
    "baselines": ("baselines", "command"),
    "rename": ("rename", "command"),
    "reset-source": ("reset_source", "command"),
    "token": ("token", "command"),
    "session": ("session", "command"),
    "config": ("config", "command"),
}
"""Name on the command line -> (module of this package, its click command)."""


_URL_WITH_PASSWORD = re.compile(r"\w+://.*@.*", re.DOTALL)
"""An argument that was no argument, in an error of click's."""


class CommandError(click.ClickException):
    """Ends the program with a message and an exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _LazyGroup(click.Group):
    """Imports a command when it is called: `--help` of one does not need the libraries of the others."""

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
        """Run the command. Errors that a person can act on are printed without a traceback, with their exit code."""
        try:
            return super().invoke(ctx)
        except (SystemExit, click.exceptions.Exit):
            raise  # before the errors below, whose imports take a second
        except click.UsageError as error:
            error.message = _URL_WITH_PASSWORD.sub("(hidden)", error.message)
            raise
        except Exception as error:
            known = _as_command_error(error)
            if known is None:
                raise
            raise known from None


def _as_command_error(error: Exception) -> CommandError | None:
    """The error for a person; None where it is click's own or a defect. Imports only where something failed."""
    if isinstance(error, click.ClickException | click.Abort):
        return None
    from stream_detector.settings import SettingsError

    if isinstance(error, SettingsError):
        return CommandError(str(error), 2)
    return CommandError(str(error) or type(error).__name__) if isinstance(error, _expected_errors()) else None


def _expected_errors() -> tuple[type[BaseException], ...]:
    """Errors whose message is written for people."""
    from aiokafka.errors import KafkaError

    from stream_detector.devstack.owned import ChildError
    from stream_detector.history.errors import HistoryImportError
    from stream_detector.kafka.preflight import SetupError
    from stream_detector.store.connect import StoreAwayError
    from stream_detector.store.grants import GrantError
    from stream_detector.store.migrate import MigrationError

    return (
        ChildError,
        GrantError,
        HistoryImportError,
        KafkaError,
        MigrationError,
        SetupError,
        StoreAwayError,
        TimeoutError,
    )


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="stream-detector")
def main() -> None:
    """Detect anomalies in workflow executions and scores from events on Kafka.

    For a demo: `stream-detector up --demo`. Settings are read from a TOML file (--config), the environment
    (STREAM_DETECTOR_...) and flags; each overrides the one before. `stream-detector config docs` lists all settings.
    """


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the program with these arguments, or with those of the process."""
    main(args=arguments, prog_name="stream-detector")
