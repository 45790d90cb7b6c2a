"""`notify test`, `preview` and `validate`: send a test message, show a message, check a routes file."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import click
import msgspec

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import call_api, use_running_stack
from stream_detector.cli.options import settings_flags
from stream_detector.events import Anomaly, Metrics, RunSummary
from stream_detector.notify.channels.registry import CHANNELS, PROVIDERS
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.configure import connect_channels, notify_config, read_routes_file
from stream_detector.notify.message import Delivered, Message, Result
from stream_detector.notify.stages.matching import facts_of, matching_routes
from stream_detector.notify.stages.render import message_about
from stream_detector.notify.subject import Run, Subject, message_id
from stream_detector.settings import PREFIX, SPECS, Settings, SettingsError


@click.group("notify")
def command() -> None:
    """Notifications: send a test message, preview a message, or check a routes file."""


@command.command("test")
@click.argument("channel", type=click.Choice(PROVIDERS))
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: delivered, and the response")
def try_channel(channel: str, settings: Settings, as_json: bool) -> None:
    """Send a test message to a channel and print the provider's response.

    Exit code 1 if it was not delivered, 2 if the channel is not configured.

    \b
    Example: stream-detector notify test slack
    """
    found = connect_channels(settings)
    if channel not in found:
        switched_off = channel in notify_config(settings).channels
        what = f"{PREFIX}{CHANNELS[channel].switch.upper()} is false" if switched_off else f"set {_needed(channel)}"
        raise CommandError(f"{channel} is not configured: {what}", 2)

    async def send() -> Result:
        try:
            message = message_about(channel, _example(), notify_config(settings), f"test-{uuid4()}")
            return await found[channel].deliver(message)
        finally:
            await found[channel].close()

    result = asyncio.run(send())
    delivered = isinstance(result, Delivered)
    answer = result.detail if isinstance(result, Delivered) else result.reason
    if as_json:
        click.echo(json.dumps({"channel": channel, "delivered": delivered, "answer": answer}, ensure_ascii=False))
    else:
        click.echo(f"{channel}: {'delivered' if delivered else 'not delivered'}. {answer}")
    raise SystemExit(0 if delivered else 1)


def _needed(channel: str) -> str:
    """The settings that a channel needs, in words."""
    names = [(SPECS[name]["aliases"] or (PREFIX + name.upper(),))[0] for name in CHANNELS[channel].settings]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@settings_flags
@click.option("--for", "source", metavar="FILE_OR_ID", help="Also show which routes match these anomalies or runs")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: whether the file is valid, and the error")
def validate(file: Path, settings: Settings, source: str | None, as_json: bool) -> None:
    """Check a routes file and list its routes.

    Exit code 0 if the file is valid, 1 if not; the error names the place.

    \b
    Example: stream-detector notify validate routes.toml --for anomalies.jsonl
    """
    config = notify_config(dataclasses.replace(settings, routes_file=""))
    try:
        found = read_routes_file(dataclasses.replace(settings, routes_file=str(file)), config.fallback)
    except SettingsError as error:
        words = str(error).partition(": ")[2]
        click.echo(json.dumps({"valid": False, "error": words}) if as_json else f"{file}: {words}")
        raise SystemExit(1) from None
    config = dataclasses.replace(config, routes=found)
    ways = [_way(subject, config) for subject in _subjects(source, settings)] if source else []
    if as_json:
        click.echo(json.dumps({"valid": True, "routes": [one.name for one in found], "ways": ways}))
        return
    click.echo(f"{file}: valid, {len(found)} route{'' if len(found) == 1 else 's'}")
    for one in found:
        to = ", ".join(one.channels) if one.channels is not None else "every channel"
        what = ", ".join(f"{fact} {'|'.join(patterns)}" for fact, patterns in one.match.items()) or "everything"
        click.echo(f"  {one.name}: {what} from {one.threshold} on -> {to}{', and on' if one.continues else ''}")
    for way in ways:
        click.echo(f"  {way['about']}: {', '.join(way['routes'])}")


def _way(subject: Subject, config: NotifyConfig) -> dict[str, Any]:
    facts = facts_of(subject)
    about = subject.id if isinstance(subject, Anomaly) else f"run {subject.run_id}"
    return {"about": about, "routes": [one.name or "(the settings)" for one in matching_routes(facts, config)]}


@command.command()
@click.argument("source", metavar="FILE_OR_ID")
@settings_flags
@click.option("--channel", type=click.Choice(list(CHANNELS)), default="slack", show_default=True)
@click.option("--html", is_flag=True, help="Print the HTML of the email, to be opened in a browser")
@click.option("--json", "as_json", is_flag=True, help="Print the whole message as JSON, including Slack's blocks")
def preview(source: str, settings: Settings, channel: str, html: bool, as_json: bool) -> None:
    """Show the message about an anomaly or a score run, without sending it.

    FILE_OR_ID is a file of anomalies (v1) or run summaries (v1) as JSON or JSON lines, or the id of a stored anomaly.

    \b
    Examples: stream-detector notify preview anomaly.json --channel email --html > mail.html
              stream-detector notify preview 1065829a-cfbd-5714-97f3-df5ca44f533e
    """
    config = notify_config(settings)
    for subject in _subjects(source, settings):
        message = message_about("email" if html else channel, subject, config, message_id(subject))
        click.echo(_shown(message, html=html, as_json=as_json))


def _shown(message: Message, *, html: bool, as_json: bool) -> str:
    if as_json:
        return json.dumps(msgspec.to_builtins(message), ensure_ascii=False, indent=2)
    return message.html if html else f"{message.title}\n\n{message.text}"


def _subjects(source: str, settings: Settings) -> list[Subject]:
    path = Path(source)
    raw = path.read_text("utf-8").splitlines() if path.is_file() else [_from_api(source, settings)]
    if path.is_file() and not _is_json(raw[0] if raw else ""):
        raw = ["\n".join(raw)]
    return [_subject(line, source) for line in filter(str.strip, raw)]


def _subject(line: str, source: str) -> Subject:
    try:
        read: Anomaly | RunSummary
        if '"anomaly_count"' in line:
            read = msgspec.json.decode(line, type=RunSummary)
        else:
            read = msgspec.json.decode(line, type=Anomaly)
    except msgspec.DecodeError as error:
        raise CommandError(f"{source}: neither an anomaly (v1) nor a run summary (v1): {error}") from None
    if isinstance(read, Anomaly):
        return read
    listed = tuple(one for one in read.anomalies if read.revision == 1 or one.id in read.new)
    if not listed:
        raise CommandError(f"run {read.run_id} has no new anomalies, so no message is sent for it")
    return Run(run_id=read.run_id, ended_at=read.ended_at, anomalies=listed, revision=read.revision)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _from_api(anomaly_id: str, settings: Settings) -> str:
    path = f"/api/v1/ai/anomalies/{quote(anomaly_id, safe='')}"
    return json.dumps(
        call_api(use_running_stack(settings), path, missing=f"there is neither a file nor an anomaly {anomaly_id}")
    )


def _example() -> Anomaly:
    """An alert that says of itself that it is none."""
    return Anomaly(
        schema_version=1,
        id="test",
        incident_id="test",
        state="opened",
        detected_at=datetime.now(UTC).replace(microsecond=0),
        anomaly_type="PerformanceDegradation",
        severity="info",
        description="This is a test message: you asked for it with `notify test`, and nothing is wrong.",
        entity_id="test-workflow",
        entity_name="test-workflow",
        entity_kind="workflow",
        metrics=Metrics(
            current_value=130.0,
            baseline_value=100.0,
            deviation=30.0,
            z_score=3.0,
            confidence=0.99,
            unit="s",
            direction="up",
        ),
        affected_entities=[],
        investigation_steps=["Nothing to do: if you can read this, the channel works."],
        gates=[],
        detector="notify test",
        profile="classic",
    )
