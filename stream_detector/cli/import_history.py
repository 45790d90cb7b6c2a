"""`import`: the history of a CI system or scheduler from its API or from a dump, and what it would have sent."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stream_detector.cli import CommandError
from stream_detector.cli.import_steps import Asked, run_import
from stream_detector.cli.options import settings_flags
from stream_detector.events.files import HistoryError
from stream_detector.history.errors import PASSING, HistoryImportError
from stream_detector.history.provider import Provider
from stream_detector.history.registry import PROVIDERS
from stream_detector.settings import Settings

DAYS = 90
MOST_DAYS = 3_650


@click.group("import")
def command() -> None:
    """Fetch the history of another system, so that baselines are warm from the start.

    Publishes it as backfill, which is learned and never alerted, and prints which messages you would have got in that
    time. Repeating the command after an interruption continues it. Without settings it goes to the `up` of this user.

    \b
    Example: GITHUB_TOKEN=... stream-detector import github OWNER/REPO --days 90
    """


def _command_of(provider: Provider) -> click.Command:
    def call(settings: Settings, place: str | None, token: str | None, dump: Path | None, **options: Any) -> None:
        if token is not None:
            raise CommandError(
                "a token on the command line can be read by other users and stays in the shell's history: revoke it, "
                f"and set {provider.token_variables[0]} instead",
                2,
            )
        try:
            run_import(settings, _asked(provider, place, dump, options))
        except HistoryError as error:
            raise CommandError(str(error), 2) from None
        except HistoryImportError as error:
            raise CommandError(str(error), 1 if error.status == PASSING else 2) from None
        except KeyboardInterrupt:
            raise CommandError("interrupted: the same command continues") from None

    function: Callable[..., Any] = settings_flags(call)
    function = click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object")(function)
    function = click.option("--restart", is_flag=True, help="Begin again instead of continuing")(function)
    function = click.option("--dry-run", is_flag=True, help="Only the report: publishes nothing, needs no broker")(
        function
    )
    function = click.option("--ca-file", default="", metavar="FILE", help="CA of the API's certificate, PEM")(function)
    for name, text in provider.extras.items():
        function = click.option(f"--{name}", f"extra_{name}", is_flag=True, help=text)(function)
    known = f"; default: {provider.url}" if provider.url else ""
    function = click.option("--url", default="", metavar="URL", help=f"Address of the API{known}")(function)
    function = click.option("--token", hidden=True)(function)
    function = click.option("--encoding", metavar="NAME", help="Encoding of the dump if not UTF-8 or UTF-16")(function)
    function = click.option(
        "--from", "dump", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
        help="Read a dump of the API instead, plain, .gz or .zst; - reads standard input",
    )(function)  # fmt: skip
    function = click.option(
        "--days", type=click.IntRange(1, MOST_DAYS),
        help=f"How far back; default: {DAYS}, of a dump all of it",
    )(function)  # fmt: skip
    function = click.argument("place", metavar=f"[{provider.place}]", required=False)(function)
    return click.command(provider.name, help=_help(provider))(function)


def _help(provider: Provider) -> str:
    variables = " or ".join(provider.token_variables)
    address = "" if provider.url else " --url https://HOST"
    example = f"{provider.token_variables[0]}=... stream-detector import {provider.name} {provider.place}{address}"
    return (
        f"Import the history of {provider.title}: {provider.place} from its API, or a dump with --from FILE.\n\n"
        f"The token is read from the environment variable {variables}. {provider.advice}".rstrip()
        + f"\n\n\b\nExample: {example} --days {DAYS}"
    )


def _asked(provider: Provider, place: str | None, dump: Path | None, options: dict[str, Any]) -> Asked:
    if (place is None) == (dump is None):
        raise CommandError(f"name {provider.place}, or a dump with --from FILE", 2)
    url = options["url"].rstrip("/")
    if place is not None:
        provider.check_place(place)
        if not (url or provider.url):
            raise CommandError(f"name the address of {provider.title} with --url, for example https://HOST", 2)
        if url and not url.startswith(("https://", "http://")):
            raise CommandError(f"--url {url}: must begin with https:// or http://", 2)
    token = next((value for name in provider.token_variables if (value := os.environ.get(name, "").strip())), "")
    if place is not None and provider.needs_token and not token:
        raise CommandError(f"set {' or '.join(provider.token_variables)} to a token of {provider.title}", 2)
    if not token.isascii() or not token.isprintable():
        raise CommandError(f"{provider.token_variables[0]} holds characters that no token has: copy it again", 2)
    return Asked(
        provider=provider,
        place=place or "",
        dump=dump,
        encoding=options["encoding"],
        days=options["days"],
        url=url,
        token=token,
        ca_file=options["ca_file"],
        extras=frozenset(name for name in provider.extras if options[f"extra_{name}"]),
        dry_run=options["dry_run"],
        restart=options["restart"],
        as_json=options["as_json"],
    )


for _provider in PROVIDERS.values():
    command.add_command(_command_of(_provider))
