"""Kafka and PostgreSQL of an `up --broker apache` that is stopped, for a command that needs them without the roles."""

import contextlib
from collections.abc import Iterator

import click

from stream_detector.cli import CommandError
from stream_detector.settings import Settings

CATCH_UP = (
    "The roles of `up` catch up while it runs: start it again without producers, wait until `stream-detector doctor` "
    "shows no lag, and stop it"
)


def is_stopped_stack(settings: Settings) -> bool:
    """Whether the settings name no broker, and DATA_DIR has the Kafka of an `up --broker apache`."""
    return not settings.broker and (settings.data_path / "kafka" / "cluster-id").exists()


@contextlib.contextmanager
def with_services(settings: Settings) -> Iterator[Settings]:
    """Settings with broker and database: those that are named, else those of DATA_DIR, which run for this command.

    Raises:
        CommandError: an `up` uses DATA_DIR, or they do not start.
    """
    if not is_stopped_stack(settings):
        yield settings
        return
    from stream_detector.devstack.owned import ChildError
    from stream_detector.devstack.stack import start_stack

    try:
        stack = start_stack(settings, apache=True, fresh=False, report=lambda line: click.echo(line, err=True))
    except ChildError as error:
        raise CommandError(f"{error}. This command starts Kafka and PostgreSQL by itself, without the roles") from None
    try:
        yield stack.settings
    finally:
        stack.stop()
