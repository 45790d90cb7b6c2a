"""Children that die with their parent, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stream_detector.devstack.owned import ChildError, start_owned

PARENT = """
import json, os, sys
from pathlib import Path
from stream_detector.devstack.owned import start_owned
from stream_detector.devstack.postgres import Postgres
from stream_detector.devstack.tansu import Tansu
folder = Path(sys.argv[1])
broker, database = Tansu.start(folder / "logs"), Postgres.start(folder / "postgres")
role = start_owned("a child", [sys.executable, "-c", "import signal; signal.pause()"], log_path=folder / "child.log")
backends = (database.data / "postmaster.pid").read_text().split()[0]
print(json.dumps({"pids": [broker.child.pid, database.child.pid, role.pid], "data": str(database.data)}), flush=True)
sys.stdin.read()
"""


def gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def wait_for(condition, timeout_s=30.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture
def killed_parent(open_folder):
    """A parent with a broker, a database and another child; it was killed with SIGKILL. Its report."""
    command = [sys.executable, "-c", PARENT, str(open_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        report = json.loads(parent.stdout.readline())
        assert not any(gone(pid) for pid in report["pids"])
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    return report


def test_every_child_dies_with_a_parent_killed_by_sigkill(killed_parent):
    wait_for(lambda: all(gone(pid) for pid in killed_parent["pids"]))


def test_a_child_whose_parent_is_already_gone_does_not_start(tmp_path):
    script = Path(start_owned.__code__.co_filename).with_name("become_owned.py")
    touched = tmp_path / "touched"
    not_our_parent = str(os.getpid() + 100_000)
    command = [sys.executable, "-I", "-S", str(script), not_our_parent, "9", "-1", "-1", "/usr/bin/touch", str(touched)]
    assert subprocess.run(command).returncode == 126
    assert not touched.exists()


def test_a_child_is_refused_to_a_thread_whose_end_would_kill_it(tmp_path):
    errors = []

    def start():
        try:
            start_owned("a child", ["/bin/true"], log_path=tmp_path / "log")
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert errors == ["a child must be started from the main thread: it dies with the thread that started it"]


def test_a_child_that_ignores_sigterm_is_killed(tmp_path):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = start_owned("a child", [sys.executable, "-c", code], log_path=tmp_path / "log")
    wait_for(lambda: "deaf" in child.last_lines())
    assert child.stop(timeout_s=0.1) == -signal.SIGKILL
    assert not child.alive()


def test_a_child_that_ends_before_it_is_ready_says_why(tmp_path):
    child = start_owned("the thing", ["/bin/sh", "-c", "echo no such luck; exit 3"], log_path=tmp_path / "log")
    with pytest.raises(ChildError, match="the thing exited with code 3: no such luck"):
        child.wait_until(lambda: False, timeout_s=30)


def test_a_program_that_is_not_there_is_named(tmp_path):
    child = start_owned("the thing", ["/no/such/program"], log_path=tmp_path / "log")
    with pytest.raises(ChildError, match="cannot start /no/such/program: No such file or directory"):
        child.wait_until(lambda: False, timeout_s=30)


def test_ctrl_c_of_the_terminal_does_not_reach_the_child(tmp_path):
    child = start_owned("a child", ["/bin/sleep", "600"], log_path=tmp_path / "log")
    assert os.getsid(child.pid) == child.pid
    child.kill()
