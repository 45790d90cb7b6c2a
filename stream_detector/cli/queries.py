"""`check`, `anomalies`, `why`: queries to the API from a terminal."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import call_api, use_running_stack
from stream_detector.cli.options import settings_flags
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.events.variant import shown_name
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import Settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the API's response as JSON")
_LINE_LIMIT = 4_000
_AI = "/api/v1/ai"


@click.command()
@click.argument("execution_id")
@click.option("--attempt", type=click.IntRange(1), help="Attempt of the execution; default: the last one")
@settings_flags
@_JSON
def check(execution_id: str, attempt: int | None, settings: Settings, as_json: bool) -> None:
    """Print the anomalies that the detector found in one execution. Exit code 1 if there are any.

    Waits up to 15 s until the detector has evaluated the execution; exit code 3 if it has not.

    \b
    Example: stream-detector check build-1842
    """
    body = {"workflow_execution_id": execution_id} | ({"attempt": attempt} if attempt else {})
    headers: dict[str, str] = {}
    found = call_api(use_running_stack(settings), f"{_AI}/check-anomalies", body=body, headers=headers)
    deleted = headers.get("x-deleted-anomalies", "")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif not found and not deleted:
        click.echo(f"{execution_id}: no anomalies")
    else:
        _lines(found)
    if deleted:
        click.echo(
            f"{execution_id}: an operator deleted: {deleted} (`stream-detector why {execution_id}`)", err=as_json
        )
    raise SystemExit(1 if found else 0)


def _unknown(kinds: tuple[str, ...], severities: tuple[str, ...]) -> str:
    """A hint about a misspelled filter. Anomalies of a later version may have other types, so it is no error."""
    names = [name for name in kinds if name not in TYPES] + [name for name in severities if name not in SEVERITIES]
    return f"; not known to this version: {', '.join(names)}" if names else ""


@click.command()
@click.option("--type", "kinds", metavar="TYPE", multiple=True, help=f"Can be repeated: {', '.join(TYPES)}")
@click.option(
    "--severity", "severities", metavar="SEVERITY", multiple=True, help=f"Can be repeated: {', '.join(SEVERITIES)}"
)
@click.option("--hours", type=click.IntRange(1), default=24, show_default=True, help="How far back to look")
@click.option("--entity", help="Workflow or entity: its id, or its key, for example workflow:<id>")
@click.option("--variant", help="Variant of a workflow, for example schedule")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many to list")
@settings_flags
@_JSON
def anomalies(
    kinds: tuple[str, ...],
    severities: tuple[str, ...],
    hours: int,
    entity: str | None,
    variant: str | None,
    limit: int,
    settings: Settings,
    as_json: bool,
) -> None:
    """List stored anomalies, newest first, one per line: time, severity, id, description.

    \b
    Example: stream-detector anomalies --severity critical --hours 168
    """
    query = {
        "type": kinds,
        "severity": severities,
        "hours": hours,
        "entity": entity,
        "variant": variant,
        "limit": limit,
    }
    found = call_api(use_running_stack(settings), f"{_AI}/anomalies", query)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    _lines(found["items"])
    if not found["items"]:
        click.echo(f"no anomalies in the last {hours} hours{_unknown(kinds, severities)}", err=True)
    elif found["next"]:
        click.echo(f"showing the newest {limit}; use --limit for more", err=True)


@click.command()
@click.argument("subject", metavar="ID")
@click.option("--attempt", type=click.IntRange(1), help="Attempt of the execution; default: the last one")
@settings_flags
@_JSON
def why(subject: str, attempt: int | None, settings: Settings, as_json: bool) -> None:
    """Explain why there was, or was not, an alert: every decision in order.

    ID is the id of an anomaly or of an execution.

    \b
    Example: stream-detector why build-1842
    """
    settings = use_running_stack(settings)
    found = _explanation(settings, {"anomaly": subject}) if len(subject) == 36 and not attempt else None
    if found is None:
        query = {"execution": subject, "attempt": attempt}
        found = call_api(
            settings, "/api/v1/why", query, missing=f"there is no anomaly and no execution with the id {subject}"
        )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for sentence in found["sentences"]:
        click.echo(one_line(sentence, _LINE_LIMIT))
    if found["approximate"]:
        click.echo(f"The live detector may have decided differently: {found['approximate']}", err=True)


def _explanation(settings: Settings, query: dict[str, Any]) -> Any:
    """None if there is no such anomaly."""
    try:
        return call_api(settings, "/api/v1/why", query, missing=_MISSING)
    except CommandError as error:
        if error.message == _MISSING:
            return None
        raise


_MISSING = "there is no such anomaly"


def _lines(found: list[dict[str, Any]]) -> None:
    for each in found:
        name = f"{shown_name(each['entity_name'], each.get('variant'))} ({each['anomaly_type']})"
        at = datetime.fromisoformat(each["detected_at"]).astimezone(UTC)
        shown = one_line(f"{name}: {each['description']}", _LINE_LIMIT)
        click.echo(f"{at:%Y-%m-%d %H:%M} UTC  {one_line(each['severity'], 32):<8}  {each['id']}  {shown}")
