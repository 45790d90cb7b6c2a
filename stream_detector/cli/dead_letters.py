"""`dead-letters`: lists rejected records and retries them. Reads Kafka directly, so it needs no database and no API."""

import asyncio
import json
import re
from typing import Any

import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import with_broker
from stream_detector.cli.options import settings_flags
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka.dlq import (
    DeadLetterError,
    StoredDeadLetter,
    fetch_dead_letter,
    printable,
    read_dead_letters,
    retry,
)
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import Settings


@click.group("dead-letters")
def command() -> None:
    """List rejected events with their reasons, show one, or retry it."""


@command.command("list")
@click.option("--reason", help="Only dead letters with this reason")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many of the newest to list")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, without payloads")
def list_all(reason: str | None, limit: int, settings: Settings, as_json: bool) -> None:
    """List dead letters with their position and reason, oldest first, without payloads.

    \b
    Example: stream-detector dead-letters list --reason future
    """
    settings = with_broker(settings)

    async def go() -> list[StoredDeadLetter]:
        found = [each async for each in read_dead_letters(settings) if reason in (None, each.why.reason)]
        return sorted(found, key=lambda each: each.why.timestamp_ms)[-limit:]

    found = asyncio.run(go())
    if as_json:
        click.echo(json.dumps([_as_dict(each) for each in found], ensure_ascii=False))
        return
    for each in found:
        shown = _as_dict(each)
        why = one_line(f"{shown['reason']}: {shown['message']}", 1_000)
        click.echo(f"{shown['id']:<12}  {shown['at']}  {shown['came_from']}  {why}")
    if not found:
        click.echo("no dead letters", err=True)


@command.command()
@click.argument("place", metavar="PARTITION-OFFSET")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
def show(place: str, settings: Settings, as_json: bool) -> None:
    """Show one dead letter with its key, headers and payload, which may contain secrets.

    \b
    Example: stream-detector dead-letters show 0-17
    """
    settings = with_broker(settings)
    found = asyncio.run(_fetch(settings, place))
    shown = _as_dict(found) | {
        "key": printable(found.key),
        "headers": {name: printable(value) for name, value in found.why.headers},
        "value": printable(found.value),
    }
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    for name, value in shown.items():
        click.echo(f"{name}: {value}")


@command.command("retry")
@click.argument("places", metavar="PARTITION-OFFSET...", nargs=-1, required=True)
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array: the new position of each")
def send_again(places: tuple[str, ...], settings: Settings, as_json: bool) -> None:
    """Publish dead letters to their original topic again: same key, value and headers.

    The dead letter itself is kept.

    \b
    Example: stream-detector dead-letters retry 0-17 2-4
    """
    settings = with_broker(settings)

    async def go() -> list[dict[str, Any]]:
        done = []
        for place in places:
            topic, partition, offset = await _publish_again(settings, place)
            done.append({"id": place, "topic": topic, "partition": partition, "offset": offset})
        return done

    done = asyncio.run(go())
    if as_json:
        click.echo(json.dumps(done))
        return
    for each in done:
        click.echo(f"{each['id']} is on {each['topic']}-{each['partition']}@{each['offset']}")


async def _fetch(settings: Settings, place: str) -> StoredDeadLetter:
    named = re.fullmatch(r"(\d{1,6})-(\d{1,18})", place, re.ASCII)
    if not named:
        raise CommandError(f"{place[:80]}: use <partition>-<offset> as printed by `dead-letters list`", 2)
    try:
        return await fetch_dead_letter(settings, int(named[1]), int(named[2]))
    except DeadLetterError as error:
        raise CommandError(str(error)) from None


async def _publish_again(settings: Settings, place: str) -> tuple[str, int, int]:
    try:
        return await retry(settings, await _fetch(settings, place))
    except DeadLetterError as error:
        raise CommandError(str(error)) from None


def _as_dict(letter: StoredDeadLetter) -> dict[str, Any]:
    why = letter.why
    return {
        "id": f"{letter.partition}-{letter.offset}",
        "at": f"{from_epoch_ms(why.timestamp_ms):%Y-%m-%d %H:%M:%S} UTC" if why.timestamp_ms >= 0 else "-",
        "came_from": f"{why.topic}-{why.partition}@{why.offset}" + (f"/{why.index}" if why.index is not None else ""),
        "stage": why.stage,
        "reason": why.reason,
        "message": why.message,
        "value_bytes": letter.value_bytes,
    }
