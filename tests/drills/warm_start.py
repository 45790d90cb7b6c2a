"""Start roles from processes that have imported their modules already: most of a short role's processor time.

One such process a role and worker forks whenever a role is to start, so that each role is a process of its own all the
same, with its own environment and log. A detector takes 0.6 s of processor time to import what it needs and 1.7 s for
what scores need, and `make test` starts many. Tests marked `drill` or `cold`, and `up`, start roles as users do;
so does everything on other systems than Linux.

`python -m tests.drills.warm_start ROLE` reads requests from its input, one JSON object a line, and answers each with
the pid of the role. That becomes a child of whoever asked, which must be a subreaper (`tests/no_orphans.py`).
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream_detector.cli.roles import MODULES as ROLES
from stream_detector.detect.loading import load_detection
from stream_detector.devstack.become_owned import PR_SET_PDEATHSIG
from stream_detector.devstack.owned import Owned, start_owned

OF_THE_INTERPRETER = ("PYTHON", "STREAM_DETECTOR_PURE", "LC_", "LANG")
"""Beginnings of variables that are read before the import is over: with others the start is a cold one."""


class ForkedProcess:
    """What `Owned` needs of `subprocess.Popen`, for a child that this process did not start itself."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises `subprocess.TimeoutExpired`."""
        deadline_s = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class WarmStarts:
    """Starts roles for one session of tests. `close` ends what they are forked from."""

    def __init__(self) -> None:
        self._forking: dict[str, subprocess.Popen[bytes]] = {}
        self._early = _early(os.environ)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **more: Any,
    ) -> Owned:
        """As `start_owned`; warm where the command is a role and the environment is read by it alone."""
        known = dict(os.environ if environ is None else environ)
        *program, role = command
        is_warm = program == [sys.executable, "-m", "stream_detector"] and role in ROLES and not more
        if sys.platform != "linux" or not is_warm or _early(known) != self._early:
            return start_owned(name, command, log_path=log_path, environ=environ, cwd=cwd, **more)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        forking = self._forking.get(role) or self._fork_from(role)
        request = {"log": str(log_path), "environ": known, "cwd": str(cwd or Path.cwd()), "parent": os.getpid()}
        assert forking.stdin and forking.stdout
        forking.stdin.write(json.dumps(request).encode() + b"\n")
        forking.stdin.flush()
        return Owned(name, ForkedProcess(int(forking.stdout.readline())), log_path)

    def close(self) -> None:
        """The roles have ended, or end with this process."""
        for forking in self._forking.values():
            forking.communicate()  # the end of its input ends it

    def _fork_from(self, role: str) -> subprocess.Popen[bytes]:
        command, root = [sys.executable, "-m", "tests.drills.warm_start", role], Path(__file__).parents[2]
        pipe = subprocess.PIPE
        self._forking[role] = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root, start_new_session=True)
        return self._forking[role]


def _early(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(OF_THE_INTERPRETER)}


def main() -> None:
    """Fork at each request; only the forked ones return, as the role."""
    role = sys.argv[1]
    importlib.import_module(ROLES[role])
    if role == "detector":
        load_detection()
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            if pid := os.fork():
                os.write(writing, b"%d\n" % pid)
                os._exit(0)
            _become(json.loads(line))
            break
        os.waitpid(child, 0)  # from now on the other one is a child of whoever asked
        os.write(1, os.read(reading, 20))
        os.close(reading)
        os.close(writing)
    else:
        return
    gc.unfreeze()
    importlib.import_module("stream_detector.cli").run([role])


def _become(request: dict[str, object]) -> None:
    """Take on the environment, the log and the parent of the request."""
    while os.getppid() != request["parent"]:  # whoever forked us has not ended yet
        if not Path(f"/proc/{request['parent']}").exists():
            os._exit(1)  # whoever asked was killed meanwhile: this would wait for ever
        time.sleep(0.001)
    with contextlib.suppress(OSError):
        os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    log = os.open(str(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for given, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(given, number)
    os.closerange(3, 64)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()


if __name__ == "__main__":
    main()
