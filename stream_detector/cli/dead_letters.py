"""`dead-letters`: what was refused, why, and back again. Reads Kafka itself, so it works without database and API."""

import asyncio
import json
import re
from typing import Any

import click

from stream_detector.cli import StopsWith
from stream_detector.cli.local import reached
from stream_detector.cli.options import settings_flags
from stream_detector.events.times import from_epoch_ms
from stream_detector.kafka.dead_letters import (
    DeadLetterError,
    StoredDeadLetter,
    fetch_dead_letter,
    printable,
    read_dead_letters,
    retry,
)
from stream_detector.settings import PREFIX, Settings


@click.group("dead-letters")
def command() -> None:
    """Events that were refused: list them with their reasons, show one, send it again."""


@command.command("list")
@click.option("--reason", help="Only those with this reason")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="A JSON array, without payloads")
def list_all(reason: str | None, limit: int, settings: Settings, as_json: bool) -> None:
    """Where each lies and why, oldest first. Never the payload.

    \b
    Example: stream-detector dead-letters list --reason future
    """
    settings = _reached(settings)

    async def go() -> list[StoredDeadLetter]:
        found = [each async for each in read_dead_letters(settings) if reason in (None, each.why.reason)]
        return sorted(found, key=lambda each: each.why.timestamp_ms)[-limit:]

    found = asyncio.run(go())
    if as_json:
        click.echo(json.dumps([_told(each) for each in found], ensure_ascii=False))
        return
    for each in found:
        told = _told(each)
        click.echo(f"{told['id']:<12}  {told['at']}  {told['came_from']}  {told['reason']}: {told['message']}")
    if not found:
        click.echo("none", err=True)


@command.command()
@click.argument("place", metavar="PARTITION-OFFSET")
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON object")
def show(place: str, settings: Settings, as_json: bool) -> None:
    """One with what came. It may hold secrets: mind who sees the screen.

    \b
    Example: stream-detector dead-letters show 0-17
    """
    settings = _reached(settings)
    found = asyncio.run(_found(settings, place))
    told = _told(found) | {
        "key": printable(found.key),
        "headers": {name: printable(value) for name, value in found.why.headers},
        "value": printable(found.value),
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for name, value in told.items():
        click.echo(f"{name}: {value}")


@command.command("retry")
@click.argument("places", metavar="PARTITION-OFFSET...", nargs=-1, required=True)
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="A JSON array: where each is now")
def send_again(places: tuple[str, ...], settings: Settings, as_json: bool) -> None:
    """Publish again as it came: key, value and headers, to the topic it came from. The letter itself stays.

    \b
    Example: stream-detector dead-letters retry 0-17 2-4
    """
    settings = _reached(settings)

    async def go() -> list[dict[str, Any]]:
        done = []
        for place in places:
            topic, partition, offset = await _sent(settings, place)
            done.append({"id": place, "topic": topic, "partition": partition, "offset": offset})
        return done

    done = asyncio.run(go())
    if as_json:
        click.echo(json.dumps(done))
        return
    for each in done:
        click.echo(f"{each['id']} is on {each['topic']}-{each['partition']}@{each['offset']}")


async def _found(settings: Settings, place: str) -> StoredDeadLetter:
    named = re.fullmatch(r"(\d{1,6})-(\d{1,18})", place, re.ASCII)
    if not named:
        raise StopsWith(f"{place[:80]}: name it by its place, <partition>-<offset>, as `dead-letters list` does", 2)
    try:
        return await fetch_dead_letter(settings, int(named[1]), int(named[2]))
    except DeadLetterError as error:
        raise StopsWith(str(error)) from None


async def _sent(settings: Settings, place: str) -> tuple[str, int, int]:
    try:
        return await retry(settings, await _found(settings, place))
    except DeadLetterError as error:
        raise StopsWith(str(error)) from None


def _told(letter: StoredDeadLetter) -> dict[str, Any]:
    why = letter.why
    return {
        "id": f"{letter.partition}-{letter.offset}",
        "at": f"{from_epoch_ms(why.timestamp_ms):%Y-%m-%d %H:%M:%S}" if why.timestamp_ms >= 0 else "-",
        "came_from": f"{why.topic}-{why.partition}@{why.offset}",
        "stage": why.stage,
        "reason": why.reason,
        "message": why.message,
        "value_bytes": len(letter.value) if letter.value is not None else None,
    }


def _reached(settings: Settings) -> Settings:
    settings = reached(settings)
    if not settings.broker:
        raise StopsWith(f"{PREFIX}BROKER is not set, and no `up` of yours is running", 2)
    return settings
