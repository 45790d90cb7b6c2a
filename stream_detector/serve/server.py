"""The api role: the server's life from the settings to its end."""

import asyncio
import logging
import sys
from typing import Any

from aiohttp import web

from stream_detector.detect.loading import load_in_background
from stream_detector.kafka.aiokafka_patches import AiokafkaError
from stream_detector.kafka.event_loop import new_event_loop
from stream_detector.serve.app import make_app
from stream_detector.serve.connections import IDLE_S, PROXY_IDLE_S, Connections, file_limit_for
from stream_detector.serve.database import Database
from stream_detector.serve.guard import demand_token
from stream_detector.serve.hosts import accepted_hosts
from stream_detector.serve.runner import Runner
from stream_detector.settings import Settings, SettingsError, is_loopback
from stream_detector.shutdown import GracefulShutdown
from stream_detector.telemetry.health import ROLE_PORTS, HealthServer
from stream_detector.telemetry.log_events import ApiListening, HostsAccepted, RoleFailed, RoleStopped

_END_WITHIN_S = 3.0


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 after a signal, 1 cannot continue, 2 wrong settings."""
    try:
        demand_token(settings)
        if not settings.database_url:
            raise SettingsError("STREAM_DETECTOR_DATABASE_URL", "(not set)", "the API needs the address of PostgreSQL")
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs each attempt; what matters is in `/health`
    load_in_background()  # else the first request about a score would wait for it
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_serve(settings))
    except AiokafkaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


async def _serve(settings: Settings) -> int:
    database = Database(settings)
    app = make_app(settings, database)
    proxied = settings.api_behind_proxy
    connections = Connections(
        file_limit_for(settings.api_max_connections), settings.api_max_connections_per_source, proxied=proxied
    )
    runner = Runner(app, connections, idle_s=PROXY_IDLE_S if proxied else IDLE_S, end_within_s=_END_WITHIN_S)
    health = HealthServer(
        settings.metrics_host,
        settings.metrics_port or ROLE_PORTS["api"],
        live=lambda: (True, ""),
        # With the database away it serves what needs none, and says so: a balancer that took it out would hide that.
        ready=lambda: (database.was_tried, f"connecting to the database: {database.why_away}"),
    )
    ended = asyncio.Event()
    shutdown = GracefulShutdown("api")
    shutdown.stop = ended.set
    shutdown.handle_signals(asyncio.get_running_loop())
    try:
        await runner.setup()
        await _listen(health.start(), "STREAM_DETECTOR_METRICS_PORT")
        await _listen(web.TCPSite(runner, settings.api_host, settings.api_port).start(), "STREAM_DETECTOR_API_PORT")
        host, port = runner.addresses[0][:2]
        ApiListening(f"http://{f'[{host}]' if ':' in host else host}:{port}/").emit()
        if not is_loopback(settings.api_host):
            HostsAccepted(", ".join(sorted({"localhost", *accepted_hosts(settings)}))).emit()
        return await _until(ended, database)
    except _PortError as error:
        RoleFailed("api", str(error)).emit()
        return 1
    finally:
        await runner.cleanup()
        await health.stop()
        await database.stop()
        RoleStopped("api").emit()


class _PortError(Exception):
    """An address cannot be listened on."""


async def _listen(starting: Any, setting: str) -> None:
    try:
        await starting
    except OSError as error:
        raise _PortError(f"{error.strerror or error}; change {setting} or stop the program that uses it") from error


async def _until(ended: asyncio.Event, database: Database) -> int:
    """Return at a signal, or at an error that waiting cannot solve, for example a database too new for this program."""
    stopping = asyncio.create_task(ended.wait())
    connecting = database.start()
    await asyncio.wait([stopping, connecting], return_when=asyncio.FIRST_COMPLETED)
    if connecting.done() and (error := connecting.exception()):
        stopping.cancel()
        RoleFailed("api", str(error)).emit()
        return 2 if isinstance(error, SettingsError) else 1
    await stopping
    return 0
