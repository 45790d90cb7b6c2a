"""`up`: everything on this machine under one supervisor."""

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
@click.option("--demo", is_flag=True, help="Replay a real history in a separate, temporary stack")
@click.option("--once", is_flag=True, help="With --demo: exit when every role has processed the history")
@click.option("--json", "as_json", is_flag=True, help="With --demo: print the result as JSON on the last line")
@click.option("--data", metavar="DIR", help="Same as --data-dir")
def command(demo: bool, once: bool, as_json: bool, data: str | None, **options: Any) -> None:
    """Run all roles on this machine, with an embedded broker and database by default.

    If the settings name a broker or a database, that one is used. --broker apache starts Apache Kafka (needs Java
    17), which keeps its records in DIR.

    \b
    Examples: stream-detector up --demo
              stream-detector up --broker apache --data ./data
              stream-detector up --broker kafka:9092 --database-url postgresql://db/detector
    """
    started_s = time.monotonic()
    if (once or as_json) and not demo:
        raise click.UsageError("--once and --json need --demo")
    if data and options["setting_data_dir"]:
        raise click.UsageError("--data and --data-dir are the same; use one of them")
    options["setting_data_dir"] = options["setting_data_dir"] or data
    apache = options["setting_broker"] == "apache"
    if apache:
        options["setting_broker"] = ""
    settings = settings_of(options)
    if demo:
        settings = _isolated(settings)
    raise SystemExit(_run(settings, apache=apache, demo=demo, once=once, as_json=as_json, started_s=started_s))


def _isolated(settings: Settings) -> Settings:
    """The demo's own broker, database, topics and folder: its data must not mix with the user's."""
    if settings.broker or settings.database_url:
        _report("the demo uses its own broker and database, not the configured ones")
    folder = str(settings.data_path / "demo")
    # Its history is published now, and shows what messages look like.
    return replace(settings, broker="", database_url="", topic_prefix="", data_dir=folder, notify_max_age_s=0.0)


def _run(settings: Settings, *, apache: bool, demo: bool, once: bool, as_json: bool, started_s: float) -> int:
    from stream_detector.cli.run_stack import run_stack
    from stream_detector.devstack.stack import choose_ports, start_stack
    from stream_detector.devstack.supervise import Supervisor
    from stream_detector.notify.configure import connect_channels, notify_config
    from stream_detector.serve.guard import demand_token
    from stream_detector.telemetry.logs import start_logging

    demand_token(settings)  # settings that a role would reject stop `up` before anything is started
    notify_config(settings)
    connect_channels(settings)
    start_logging("up", form=settings.log_format, level=settings.log_level)
    settings, ports = choose_ports(settings, pick_free=demo)
    stack = start_stack(settings, apache=apache, fresh=demo, report=_report)
    supervisor = Supervisor(stack.settings, stack.folder, ports, _report)
    _report(f"logs: {stack.folder.path / 'logs'}")

    async def work(running: Settings) -> int:
        if demo:
            from stream_detector.cli.run_demo import run_demo

            code = await run_demo(running, started_s=started_s, as_json=as_json)
            if once:
                return code
        if is_loopback(running.api_host):
            from stream_detector.cli.token import sign_in_link

            _report(f"sign in: {await sign_in_link(running)} (valid once, for 15 minutes; `token link` prints another)")
        _report("token for programs: stream-detector token create --role viewer")
        _report("press Ctrl-C to stop everything")
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    try:
        return asyncio.run(run_stack(stack, supervisor, work, report=_report))
    finally:
        # A second Ctrl-C must not leave processes behind: from here on it takes a few seconds at most.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        supervisor.stop()
        stack.stop()


def _report(text: str) -> None:
    click.echo(text, err=True)
