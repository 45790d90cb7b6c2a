"""`check`, `anomalies`, `why`: the API from a terminal."""

import json
from typing import Any

import click

from stream_detector.cli import StopsWith
from stream_detector.cli.local import ask_api, reached
from stream_detector.cli.options import settings_flags
from stream_detector.events.anomaly_types import SEVERITIES, TYPES
from stream_detector.settings import Settings

_JSON = click.option("--json", "as_json", is_flag=True, help="What the API answered, as JSON")
_AI = "/api/v1/ai"


@click.command()
@click.argument("execution_id")
@click.option("--attempt", type=click.IntRange(1), help="Which try; the last one where it is not given")
@settings_flags
@_JSON
def check(execution_id: str, attempt: int | None, settings: Settings, as_json: bool) -> None:
    """What the detector says of one stored execution. Exit code 1 where it is anomalous.

    \b
    Example: stream-detector check build-1842
    """
    body = {"workflow_execution_id": execution_id} | ({"attempt": attempt} if attempt else {})
    found = ask_api(reached(settings), f"{_AI}/check-anomalies", body=body)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif not found:
        click.echo(f"{execution_id}: nothing unusual")
    else:
        _lines(found)
    raise SystemExit(1 if found else 0)


@click.command()
@click.option("--type", "kinds", type=click.Choice(tuple(TYPES)), multiple=True)
@click.option("--severity", "severities", type=click.Choice(SEVERITIES), multiple=True)
@click.option("--hours", type=click.IntRange(1), default=24, show_default=True, help="Of the last so many hours")
@click.option("--entity", help="An id, or workflow:<id> or score:<id>")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@settings_flags
@_JSON
def anomalies(
    kinds: tuple[str, ...],
    severities: tuple[str, ...],
    hours: int,
    entity: str | None,
    limit: int,
    settings: Settings,
    as_json: bool,
) -> None:
    """Stored anomalies, newest first, a line each: time, severity, id, what it is.

    \b
    Example: stream-detector anomalies --severity critical --hours 168
    """
    query = {"type": kinds, "severity": severities, "hours": hours, "entity": entity, "limit": limit}
    found = ask_api(reached(settings), f"{_AI}/anomalies", query)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    _lines(found["items"])
    if not found["items"]:
        click.echo(f"nothing in the last {hours} hours", err=True)
    elif found["next"]:
        click.echo(f"the newest {limit} are shown; there are more", err=True)


@click.command()
@click.argument("subject", metavar="ID")
@click.option("--attempt", type=click.IntRange(1), help="Of an execution; the last one where it is not given")
@settings_flags
@_JSON
def why(subject: str, attempt: int | None, settings: Settings, as_json: bool) -> None:
    """Why something was, or was not, alerted: every decision in order. ID is of an anomaly or an execution.

    \b
    Example: stream-detector why build-1842
    """
    settings = reached(settings)
    found = _story(settings, {"anomaly": subject}) if len(subject) == 36 and not attempt else None
    if found is None:
        query = {"execution": subject, "attempt": attempt}
        found = ask_api(settings, "/api/v1/why", query, missing=f"no anomaly and no execution {subject} is stored")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for sentence in found["sentences"]:
        click.echo(sentence)
    if found["approximate"]:
        click.echo(f"This may differ from what was said live: {found['approximate']}", err=True)


def _story(settings: Settings, query: dict[str, Any]) -> Any:
    """None where there is no such thing."""
    try:
        return ask_api(settings, "/api/v1/why", query, missing=_MISSING)
    except StopsWith as error:
        if error.message == _MISSING:
            return None
        raise


_MISSING = "there is no such anomaly"


def _lines(found: list[dict[str, Any]]) -> None:
    for each in found:
        name = f"{each['entity_name']} ({each['anomaly_type']})"
        click.echo(f"{each['detected_at'][:16]}  {each['severity']:<8}  {each['id']}  {name}: {each['description']}")
