"""`schedule`: when runs are expected, and what is missed; from a terminal."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from stream_detector.cli.api_client import call_api, use_running_stack
from stream_detector.cli.options import settings_flags
from stream_detector.detect.wording import duration
from stream_detector.events.variant import shown_name
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import Settings

_LINE_LIMIT = 1_000


@click.command("schedule")
@click.argument("workflow", required=False)
@click.option("--variant", help="Variant of the workflow, for example schedule")
@click.option("--missed", is_flag=True, help="Only workflows of which a run is missed now")
@click.option("--source", help="Only workflows whose runs come from this source, for example github")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many to list")
@click.option("--json", "as_json", is_flag=True, help="Print the API's response as JSON")
@settings_flags
def command(
    workflow: str | None,
    variant: str | None,
    missed: bool,
    source: str | None,
    limit: int,
    settings: Settings,
    as_json: bool,
) -> None:
    """List when runs of workflows are expected, the next due first, one per line: when they start, what is missed.

    Times are learned after ten runs, or given by EXPECT_RULES. Exit code 1 if a listed workflow has a missed run.

    \b
    Example: stream-detector schedule --missed
    """
    query = {"workflow": workflow, "variant": variant, "source": source, "limit": limit}
    query["missed"] = "true" if missed else None
    found = call_api(use_running_stack(settings), "/api/v1/schedule", query)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        for each in found["items"]:
            click.echo(one_line(_line(each), _LINE_LIMIT))
        _remarks(found, missed, limit)
    raise SystemExit(1 if any(each["missed"] for each in found["items"]) else 0)


def _remarks(found: dict[str, Any], missed: bool, limit: int) -> None:
    if found["next"]:
        click.echo(f"showing the first {limit}; use --limit for more", err=True)
    if found["items"]:
        return
    if not found["clock"]:
        click.echo("missed runs are not detected: CLOCK is off, or auto in profile classic", err=True)
    elif missed:
        click.echo("no run is missed", err=True)
    else:
        click.echo("no times are known: they are learned after ten runs, or given by EXPECT_RULES", err=True)


def _line(each: dict[str, Any]) -> str:
    words = [each["text"]]
    if each["expected"]:
        words.append(f"{each['came']} of {each['expected']} came")
    if each["due_at"]:
        words.append(f"next {_at(each['next_at'])}, due by {_at(each['due_at'])} UTC")
    if each["usual_duration_s"]:
        words.append(f"usually takes {duration(each['usual_duration_s'])}")
    if each["missed"]:
        words.append(f"MISSED since {_at(each['missed_since'])} UTC, {each['missed']} in a row")
    if each["retired"]:
        words.append("taken for retired")
    return f"{shown_name(each['workflow_name'], each['variant'])}: {'; '.join(words)}"


def _at(text: str | None) -> str:
    return "" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M}"
