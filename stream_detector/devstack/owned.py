"""Child processes that die with their parent, also when the parent is killed with SIGKILL.

On Linux the kernel sends the child a signal when the parent's thread that started it ends. On other systems a killed
parent leaves its children behind; only an orderly end stops them there.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("become_owned.py")


class ChildError(Exception):
    """A child process could not be started or did not get ready. The message ends with its last lines of output."""


@dataclass(frozen=True)
class User:
    """The user and group that a child runs as."""

    uid: int
    gid: int


@dataclass
class Owned:
    """A running child. Its output goes to `log_path`."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        """Whether it still runs; a dead one has been reaped afterwards."""
        return self.process.poll() is None

    def memory_bytes(self) -> int:
        """Resident memory, 0 where it cannot be known."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a child that is gone is no error."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def stop(self, *, first: signal.Signals = signal.SIGTERM, timeout_s: float = 8.0) -> int:
        """End it: `first`, then after `timeout_s` SIGKILL. Returns its exit code; it is gone and reaped afterwards."""
        self.send(first)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> int:
        """End it at once with SIGKILL."""
        return self.stop(first=signal.SIGKILL)

    def last_lines(self, count: int = 5) -> str:
        """The end of its log, for an error message."""
        try:
            text = self.log_path.read_bytes()[-8192:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-count:])

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Return as soon as `ready()`. Raises `ChildError` when the child ends first or time is up (it is killed)."""
        deadline, pause_s = time.monotonic() + timeout_s, 0.005
        while not ready():
            if not self.alive():
                raise ChildError(f"{self.name} exited with code {self.process.returncode}: {self.last_lines()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ChildError(f"{self.name} was not ready within {timeout_s:.0f} s: {self.last_lines()}")
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 1.5)


def start_owned(
    name: str,
    command: Sequence[str],
    *,
    log_path: Path,
    environ: Mapping[str, str] | None = None,
    run_as: User | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    cwd: Path | None = None,
) -> Owned:
    """Start a child in a session of its own, so that Ctrl-C reaches the parent alone, who ends its children in order.

    Args:
        name: what it is called in messages.
        command: the program's full path and its arguments.
        log_path: its output is appended here; folders are made.
        environ: its whole environment; None hands on ours.
        run_as: another user; only root may name one.
        death_signal: what the kernel sends it when we die.
        cwd: its working folder.

    Raises:
        RuntimeError: not called from the main thread: the child would die with the thread, not with the process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{name} must be started from the main thread: it dies with the thread that started it")
    user = run_as or User(-1, -1)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    script = [sys.executable, "-I", "-S", str(_SCRIPT)]
    script += [str(os.getpid()), str(int(death_signal)), str(user.uid), str(user.gid)]
    with open(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            [*script, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environ is None else dict(environ),
            cwd=cwd,
        )
    return Owned(name, process, log_path)
