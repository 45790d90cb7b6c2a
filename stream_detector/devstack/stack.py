"""The broker and the database that `up` uses: the user's where an address is set, else embedded ones, started here."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stream_detector.devstack.apache import Apache
from stream_detector.devstack.folder import DataFolder
from stream_detector.devstack.owned import Owned
from stream_detector.devstack.ports import free_port, is_free
from stream_detector.devstack.postgres import Postgres, erase
from stream_detector.devstack.supervise import Backoff
from stream_detector.devstack.tansu import Tansu
from stream_detector.settings import Settings, SettingsError, is_loopback
from stream_detector.telemetry.health import ROLE_PORTS

Report = Callable[[str], None]

EMBEDDED_WARNING = (
    "the embedded broker keeps records in memory only: what is not yet stored if it is killed is lost. "
    "`up --broker apache --data DIR` keeps records on disk"
)

TANSU_SESSION_S = 6.0


@dataclass
class Stack:
    """The running services and the settings with their addresses. Stop the roles before calling `stop`."""

    settings: Settings
    folder: DataFolder
    broker: Tansu | Apache | None
    database: Postgres | None
    backoffs: dict[str, Backoff] = field(default_factory=dict)

    def has_lost_broker(self) -> bool:
        """Whether the embedded broker died, and all that it held with it."""
        return isinstance(self.broker, Tansu) and not self.broker.child.alive()

    def restart_dead(self, report: Report) -> None:
        """Start again what was started here and died, with exponential backoff; does not wait until it answers."""
        broker = self.broker
        if self.database is not None:
            self._restart(self.database.child, self.database.relaunch, report)
        if isinstance(broker, Apache):
            for index, child in enumerate(broker.children):
                if child is not None:
                    self._restart(child, partial(broker.relaunch, index), report)
        elif broker is not None:
            self._restart(broker.child, broker.relaunch, report)

    def _restart(self, child: Owned, relaunch: Callable[[], None], report: Report) -> None:
        backoff, now_s = self.backoffs.setdefault(child.name, Backoff()), time.monotonic()
        if child.alive():
            return
        if not backoff.restart_at_s:
            code, wait_s = child.process.returncode, backoff.schedule(now_s)
            report(f"{child.name} exited with code {code}, restarting in {wait_s:.1f} s: {child.last_lines(1)}")
        if not backoff.is_due(now_s):
            return
        backoff.note_start(now_s)
        relaunch()

    def stop(self) -> None:
        """Stop what was started here, the database last: everything stored is on disk."""
        if self.broker:
            self.broker.stop()
        if self.database:
            self.database.stop()
        self.folder.close()


def start_stack(settings: Settings, *, apache: bool, fresh: bool, report: Report) -> Stack:
    """Start the services that have no address; both answer afterwards.

    Args:
        settings: an empty `broker` or `database_url` means: start one.
        apache: start Apache Kafka instead of the embedded broker; it keeps its stream in DATA_DIR.
        fresh: remove the data of earlier starts in DATA_DIR.
        report: called with where each part runs.

    Raises:
        ChildError: something does not start, or another `up` uses DATA_DIR.
        SettingsError: DATA_DIR cannot be used.
    """
    folder = DataFolder(settings.data_path)
    stack = Stack(settings, folder, None, None)
    try:
        if not settings.broker:
            stack.broker = _start_broker(folder, apache=apache, fresh=fresh, report=report)
            stack.settings = replace(stack.settings, broker=stack.broker.address)
            if isinstance(stack.broker, Tansu):
                stack.settings = replace(stack.settings, starts_file=folder.forget_starts())
            if isinstance(stack.broker, Tansu) and settings.origin.get("session_timeout_s", "default") == "default":
                # It holds a join for half the rebalance timeout, so this is how long everybody waits at the start.
                stack.settings = replace(stack.settings, session_timeout_s=TANSU_SESSION_S)
        if not settings.database_url:
            home = folder.path / "postgres"
            if fresh:
                erase(home)
            stack.database = Postgres.start(home)
            stack.settings = replace(stack.settings, database_url=stack.database.url())
            report(f"database: embedded {stack.database.note}")
        if not settings.secret_key:
            stack.settings = replace(stack.settings, secret_key=folder.secret_key())
        if not settings.api_token and is_loopback(settings.api_host):
            stack.settings = replace(stack.settings, api_token=folder.api_token())
        if settings.api_local_session == "auto":
            stack.settings = replace(stack.settings, api_local_session="on")
        running = {
            name: getattr(stack.settings, name)
            for name in ("broker", "database_url", "api_token", "topic_prefix", "probe_urls")
        }
        folder.write_running(running | {"api_port": str(stack.settings.api_port)})
    except BaseException:
        stack.stop()
        raise
    return stack


def _start_broker(folder: DataFolder, *, apache: bool, fresh: bool, report: Report) -> Tansu | Apache:
    if not apache:
        broker = Tansu.start(folder.path / "logs")
        report(f"broker: embedded, {broker.address}")
        report(f"  note: {EMBEDDED_WARNING}")
        return broker
    home = folder.path / "kafka"
    if fresh:
        _remove(home)
    kafka = Apache.start(home, report=report)
    report(f"broker: Apache Kafka, {kafka.address}, data in {home}")
    return kafka


def _remove(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)


def choose_ports(settings: Settings, *, pick_free: bool) -> tuple[Settings, dict[str, int]]:
    """Settings whose API port is free, and each role's free metrics port. METRICS_PORT N means N, N+1, N+2, N+3.

    Args:
        settings: API_PORT 0 picks a free one.
        pick_free: where a default port is in use take another; a port that the user named is never replaced.

    Raises:
        SettingsError: a port is in use.
    """
    api_port = settings.api_port
    if api_port and not is_free(settings.api_host, api_port):
        if not pick_free or settings.origin.get("api_port", "default") != "default":
            raise _in_use("STREAM_DETECTOR_API_PORT", api_port, f"--api-port {api_port + 1}, or 0 for any free one")
        api_port = 0
    api_port = api_port or free_port()
    base_url = settings.base_url
    if settings.origin.get("base_url", "default") == "default":
        base_url = f"http://127.0.0.1:{api_port}"
    ports: dict[str, int] = {}
    for number, (role, usual) in enumerate(ROLE_PORTS.items()):
        port = settings.metrics_port + number if settings.metrics_port else usual
        if not is_free(settings.metrics_host, port):
            if settings.metrics_port or not pick_free:
                advice = "--metrics-port 9201, for example: `up` uses four consecutive ports"
                raise _in_use(f"STREAM_DETECTOR_METRICS_PORT of the {role}", port, advice)
            port = free_port()
        ports[role] = port
    host = settings.metrics_host if is_loopback(settings.metrics_host) else "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    probe_urls = ",".join(f"{role}=http://{host}:{port}" for role, port in ports.items() if role != "api")
    return replace(settings, api_port=api_port, base_url=base_url, probe_urls=probe_urls), ports


def _in_use(name: str, port: int, advice: str) -> SettingsError:
    return SettingsError(name, str(port), f"the port is in use by another program; use {advice}")
