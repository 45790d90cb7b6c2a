"""The rule that no process may be left behind is itself tested."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is looked for")
SLEEP = "import subprocess; it = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL)"
ITSELF = f"def test_a():\n    {SLEEP}\n"
ENDED = f"{ITSELF}    it.kill()\n    it.wait()\n"
BY_A_CHILD = f"""
import subprocess, sys

def test_a():
    subprocess.run([sys.executable, "-c", {SLEEP!r}], check=True)
"""


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.no_orphans", "-p", "no:cacheprovider", *options]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([*command, "test_it.py"], cwd=folder, env=environ, capture_output=True, text=True)


@pytest.mark.parametrize("text", [ITSELF, BY_A_CHILD], ids=["its child", "a child's child"])
@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "a worker"])
def test_a_process_that_is_left_behind_fails_the_session_and_is_killed(tmp_path, monkeypatch, text, options):
    done = run(tmp_path, text, *options)
    assert done.returncode == 1, done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("LEFT BEHIND"))
    pid, _, command = line.removeprefix("LEFT BEHIND by a test: ").partition(" ")
    assert command == "sleep 600"
    deadline_s = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline_s, "it still runs"


def test_a_session_that_ends_what_it_starts_passes(tmp_path):
    done = run(tmp_path, ENDED)
    assert done.returncode == 0, done.stdout


def test_a_role_whose_test_was_killed_while_it_was_forked_ends(tmp_path):
    """It waited for its parent to become that process, for ever."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    request = {"log": str(tmp_path / "log"), "environ": {}, "cwd": str(tmp_path), "parent": int(gone.stdout)}
    command = [sys.executable, "-m", "tests.drills.warm_start", "notifier"]
    done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, cwd=ROOT, timeout=120)
    pid = int(done.stdout)
    deadline_s = time.monotonic() + 30
    while (stat := Path(f"/proc/{pid}/stat")).exists() and ") Z" not in stat.read_text():
        assert time.monotonic() < deadline_s, "it still runs"
        time.sleep(0.01)
    assert not (tmp_path / "log").exists(), "the role was not started"
