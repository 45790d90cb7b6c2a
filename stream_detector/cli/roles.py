"""One command per role: each runs as its own process and consumer group. That of the recorder is in `recorder`."""

import importlib
from collections.abc import Callable
from pathlib import Path

import click

from stream_detector.cli import CommandError
from stream_detector.cli.options import settings_flags
from stream_detector.events.mapping import MappingError, use_folder
from stream_detector.events.sources import SOURCES
from stream_detector.settings import Settings
from stream_detector.store.connector import check_database_url
from stream_detector.telemetry.logs import start_logging

MODULES = {
    "detector": "stream_detector.roles.detector",
    "recorder": "stream_detector.roles.recorder",
    "notifier": "stream_detector.roles.notifier",
    "api": "stream_detector.serve.server",
}
_NEEDS_DATABASE = ("recorder", "api")


def run_role(name: str, settings: Settings) -> None:
    """Run a role until it ends; exits with its code. Raises `CommandError` where it lacks an address."""
    if not settings.broker:
        raise CommandError(
            f"STREAM_DETECTOR_BROKER is not set (--broker): the {name} needs a broker. "
            "`stream-detector up` starts an embedded one",
            2,
        )
    if name in _NEEDS_DATABASE and not settings.database_url:
        raise CommandError(
            f"STREAM_DETECTOR_DATABASE_URL is not set (--database-url): the {name} needs a database. "
            "`stream-detector up` starts an embedded one",
            2,
        )
    if name in _NEEDS_DATABASE:
        check_database_url(settings.database_url)
    if settings.mappings_dir:
        try:
            use_folder(Path(settings.mappings_dir), taken=SOURCES)
        except MappingError as error:
            raise CommandError(f"STREAM_DETECTOR_MAPPINGS_DIR: {error}", 2) from None
    start_logging(name, form=settings.log_format, level=settings.log_level)
    run: Callable[[Settings], int] = importlib.import_module(MODULES[name]).run
    raise SystemExit(run(settings))


def _role(name: str, text: str) -> click.Command:
    @settings_flags
    def command(settings: Settings) -> None:
        run_role(name, settings)

    command.__doc__ = f"""{text}

    \b
    Example: stream-detector {name} --broker kafka:9092
    """
    return click.command(name)(command)


detector = _role("detector", "Detect anomalies in workflow executions and scores; publish alerts and run summaries.")
notifier = _role("notifier", "Send notifications to the inbox and all configured channels.")
api = _role("api", "Serve the HTTP API and the dashboard.")
