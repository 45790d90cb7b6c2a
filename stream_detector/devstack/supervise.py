"""The four roles as child processes: started, monitored, restarted when they die, stopped together."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stream_detector.devstack.folder import DataFolder
from stream_detector.devstack.owned import ChildError, Owned, start_owned
from stream_detector.settings import Settings, environ_of

ROLES = ("detector", "recorder", "notifier", "api")
STOP_TIMEOUT_S = 6.0
"""A role that has not finished its checkpoint by then is killed; it resumes from the last one at the next start."""
_EXIT_WRONG_SETTING = 2
_BACKOFF_MIN_S, _BACKOFF_MAX_S, _STABLE_AFTER_S = 0.5, 30.0, 60.0


@dataclass
class Backoff:
    """When a child that died is started again: ever later, if it does not live long."""

    started_at_s: float = 0.0
    wait_s: float = _BACKOFF_MIN_S
    restart_at_s: float = 0.0
    """0: it runs, or was not started yet."""

    def note_start(self, now_s: float) -> None:
        """It runs."""
        self.started_at_s, self.restart_at_s = now_s, 0.0

    def schedule(self, now_s: float) -> float:
        """It died; returns after how many seconds it is due."""
        if now_s - self.started_at_s > _STABLE_AFTER_S:
            self.wait_s = _BACKOFF_MIN_S
        wait_s, self.wait_s = self.wait_s, min(_BACKOFF_MAX_S, self.wait_s * 2)
        self.restart_at_s = now_s + wait_s
        return wait_s

    def is_due(self, now_s: float) -> bool:
        """Whether it is to be started now."""
        return 0 < self.restart_at_s <= now_s


@dataclass
class _Role:
    name: str
    port: int
    child: Owned | None = None
    backoff: Backoff = field(default_factory=Backoff)


@dataclass
class Supervisor:
    """Starts and stops the roles. Call its methods from the main thread only: the roles die with the thread."""

    settings: Settings
    folder: DataFolder
    ports: dict[str, int]
    report: Callable[[str], None]
    roles: list[_Role] = field(init=False)

    def __post_init__(self) -> None:
        self.roles = [_Role(name, self.ports[name]) for name in ROLES]

    def start(self) -> None:
        """Start every role that is not running. Settings are passed in the environment, so no secret is on a command
        line."""
        for role in self.roles:
            if role.child is None:
                self._start(role)

    def restart_dead(self) -> None:
        """Restart roles that died, with exponential backoff.

        Raises:
            ChildError: a role rejected a setting; a restart would not help.
        """
        now_s = time.monotonic()
        for role in self.roles:
            if role.child is None:
                if role.backoff.is_due(now_s):
                    self._start(role)
            elif not role.child.alive():
                self._schedule_restart(role, role.child, now_s)

    def kill(self, name: str, why: str) -> None:
        """End a role that hangs; `restart_dead` starts it again."""
        for role in self.roles:
            if role.name == name and role.child is not None and role.child.alive():
                self.report(f"the {name} is killed: {why}")
                role.child.kill()

    def stop(self) -> None:
        """Stop every role after its checkpoint; all have exited afterwards, at most `STOP_TIMEOUT_S` later."""
        children = [role.child for role in self.roles if role.child]
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for child in children:
            child.send(signal.SIGTERM)
        for child in children:
            child.stop(timeout_s=max(0.0, deadline_s - time.monotonic()))
        for role in self.roles:
            role.child, role.backoff.restart_at_s = None, 0.0

    async def stop_role(self, name: str, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop one role after its checkpoint; it has exited afterwards, at most `timeout_s` later."""
        for role in self.roles:
            if role.name != name:
                continue
            child, role.child, role.backoff.restart_at_s = role.child, None, 0.0
            if child is not None:
                await asyncio.to_thread(child.stop, timeout_s=timeout_s)

    def _start(self, role: _Role) -> None:
        role.child = start_owned(
            f"the {role.name}",
            [sys.executable, "-m", "stream_detector", role.name],
            log_path=self.folder.log(role.name),
            environ=environ_of(
                replace(self.settings, metrics_port=role.port, starts_file=self._starts_file(role.name)), role=role.name
            ),
        )
        role.backoff.note_start(time.monotonic())

    def _starts_file(self, role: str) -> str:
        return self.settings.starts_file and f"{self.settings.starts_file}.{role}"

    def _schedule_restart(self, role: _Role, child: Owned, now_s: float) -> None:
        code = child.process.returncode
        if code == _EXIT_WRONG_SETTING:
            raise ChildError(f"the {role.name} refused to start: {child.last_lines(3)}")
        wait_s = role.backoff.schedule(now_s)
        self.report(f"the {role.name} exited with code {code}, restarting in {wait_s:.1f} s: {child.last_lines(1)}")
        role.child = None
