"""`up`: everything on this machine under one parent."""

import asyncio
import signal
import time
from dataclasses import replace
from typing import Any

import click

from stream_detector.cli.options import add_flags, settings_of
from stream_detector.settings import Settings, is_loopback


@click.command()
@add_flags
@click.option("--demo", is_flag=True, help="Replay a real history at speed, in a stack of its own made anew each time")
@click.option("--once", is_flag=True, help="With --demo: end when every role has caught up")
@click.option("--json", "as_json", is_flag=True, help="With --demo: what was found as one JSON object on the last line")
@click.option("--data", metavar="DIR", help="The same as --data-dir")
def command(demo: bool, once: bool, as_json: bool, data: str | None, **options: Any) -> None:
    """Run every role under one parent; with no broker or database set, embedded ones.

    --broker apache runs a real Apache Kafka (needs Java 17), which keeps its stream in DIR.

    \b
    Examples: stream-detector up --demo
              stream-detector up --broker apache --data ./watch
              stream-detector up --broker kafka:9092 --database-url postgresql://db/watch
    """
    started_s = time.monotonic()
    if (once or as_json) and not demo:
        raise click.UsageError("--once and --json go with --demo")
    if data and options["setting_data_dir"]:
        raise click.UsageError("--data and --data-dir are the same; name one")
    options["setting_data_dir"] = options["setting_data_dir"] or data
    apache = options["setting_broker"] == "apache"
    if apache:
        options["setting_broker"] = ""
    settings = settings_of(options)
    if demo:
        settings = _apart(settings)
    raise SystemExit(_run(settings, apache=apache, demo=demo, once=once, as_json=as_json, started_s=started_s))


def _apart(settings: Settings) -> Settings:
    """The demo's own broker, database, topics and folder: nothing of it may come among what the user watches."""
    if settings.broker or settings.database_url:
        _tell("the demo runs in a stack of its own, not on the broker and the database that are set")
    folder = str(settings.data_path / "demo")
    return replace(settings, broker="", database_url="", topic_prefix="", data_dir=folder)


def _run(settings: Settings, *, apache: bool, demo: bool, once: bool, as_json: bool, started_s: float) -> int:
    from stream_detector.cli.attend import attend
    from stream_detector.devstack.stack import choose_ports, start_stack
    from stream_detector.devstack.supervise import Supervisor
    from stream_detector.notify.configure import connect_channels, notify_config
    from stream_detector.serve.guard import demand_token
    from stream_detector.telemetry.logs import start_logging

    demand_token(settings)  # what a role would refuse stops the start before anything is started
    notify_config(settings)
    connect_channels(settings)
    start_logging("up", form=settings.log_format, level=settings.log_level)
    settings, ports = choose_ports(settings, pick_free=demo)
    stack = start_stack(settings, apache=apache, fresh=demo, tell=_tell)
    supervisor = Supervisor(stack.settings, stack.folder, ports, _tell)
    _tell(f"logs: {stack.folder.path / 'logs'}")

    async def work(running: Settings) -> int:
        if demo:
            from stream_detector.cli.demonstrate import demonstrate

            code = await demonstrate(running, started_s=started_s, as_json=as_json)
            if once:
                return code
        if is_loopback(running.api_host):
            from stream_detector.cli.token import sign_in_link

            _tell(f"sign in: {await sign_in_link(running)} (once, within 15 minutes; `token link` prints another)")
        _tell("a token for programs: stream-detector token create --role viewer")
        _tell("Ctrl-C ends everything")
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    try:
        return asyncio.run(attend(stack, supervisor, work, tell=_tell))
    finally:
        # A second Ctrl-C must not leave the rest behind half stopped: from here it takes some seconds at most.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        supervisor.stop()
        stack.stop()


def _tell(text: str) -> None:
    click.echo(text, err=True)
