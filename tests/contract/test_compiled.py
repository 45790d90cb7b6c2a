"""The compiled detection and its sources are one: the same history gives the same bytes.

So `make demo`, which compiles nothing, finds what an installation by `make install` finds.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

import compile_detection

ROOT = Path(__file__).parent.parent.parent
COMMAND = str(Path(sys.executable).with_name("stream-detector"))


def run(*command: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | environment
    return subprocess.run([sys.executable, *command], cwd=folder, env=given, capture_output=True, text=True)


@pytest.mark.parametrize("profile", [pytest.param("classic", marks=pytest.mark.drill), "robust"])
def test_the_demo_finds_the_same_anomalies_compiled_and_not(profile, tmp_path):
    history = tmp_path / "demo.jsonl"
    history.write_text(run("-m", "stream_detector.devstack.demo").stdout)
    replay = (COMMAND, "replay", str(history), "--profile", profile, "--json")
    as_installed, sources = run(*replay, STREAM_DETECTOR_PURE=""), run(*replay, STREAM_DETECTOR_PURE="1")
    assert as_installed.returncode == sources.returncode == 0, as_installed.stderr
    assert as_installed.stdout.count("\n") > 200
    assert sha256(as_installed.stdout.encode()).hexdigest() == sha256(sources.stdout.encode()).hexdigest()


@pytest.mark.parametrize("profile", ["classic", "robust"])
def test_x11_wrong_clocks_are_corrected_the_same_compiled_and_not(profile, tmp_path):
    """Every 40th event of the demo is followed by one of the same key that is dated a year, or two hours, later."""
    lines = run("-m", "stream_detector.devstack.demo").stdout.splitlines()
    history = tmp_path / "ahead.jsonl"
    history.write_text("\n".join(line for number, line in enumerate(lines) for line in dated_ahead(number, line)))
    replay = (COMMAND, "replay", str(history), "--profile", profile, "--json")
    as_installed, sources = run(*replay, STREAM_DETECTOR_PURE=""), run(*replay, STREAM_DETECTOR_PURE="1")
    assert as_installed.returncode == sources.returncode == 0, as_installed.stderr
    assert as_installed.stdout.count("by a clock that was ahead") > 20
    assert sha256(as_installed.stdout.encode()).hexdigest() == sha256(sources.stdout.encode()).hexdigest()


def dated_ahead(number: int, line: str) -> list[str]:
    event = json.loads(line)
    if number % 40 or not ("finished_at" in event or "scored_at" in event):
        return [line]
    ahead = timedelta(days=365) if number % 80 else timedelta(hours=2)
    for name in ("started_at", "finished_at", "scored_at"):
        if name in event:
            event[name] = (datetime.fromisoformat(event[name]) + ahead).isoformat()
    name = "execution_id" if "execution_id" in event else "run_id"
    event[name] = f"{event.get(name)}-ahead"
    return [line, json.dumps(event)]


@pytest.mark.parametrize(("pure", "ending"), [("1", ".py"), ("", compile_detection.SUFFIX)])
def test_the_switch_chooses(pure, ending):
    level = "stream_detector.detect.statistics.level"
    code = f"import sys, stream_detector.detect.step; print(sys.modules['{level}'].__spec__.origin)"
    origin = run("-c", code, STREAM_DETECTOR_PURE=pure).stdout.strip()
    compiled = all(path.is_file() for path in compile_detection.libraries())
    assert origin.endswith(ending if compiled else ".py")


def test_no_library_is_older_than_its_source():
    """Else the tests would run what is no longer written; `make install` compiles."""
    if any(path.is_file() for path in compile_detection.libraries()):
        assert not compile_detection.is_stale(), "a source is newer than what was compiled of it: run make install"


@pytest.mark.drill
def test_without_a_compiler_the_sources_are_run(tmp_path):
    for name in ("compile_detection.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    package = ROOT / "stream_detector"
    shutil.copytree(package, tmp_path / "stream_detector", ignore=shutil.ignore_patterns("static", "__pycache__"))
    code = "import compile_detection as it; print(it.compile_all())"
    done = run("-c", code, folder=tmp_path, CC="false")
    assert done.stdout == "[]\n"
    assert done.stderr.startswith("detection is not compiled, it takes eight times the processor time an event: ")
    assert not list((tmp_path / "stream_detector").rglob("*.so"))


def test_the_demo_is_installed_without_compiling_and_leaves_no_stale_library(tmp_path):
    """As `make demo` does: the hook compiles nothing, and what is older than its source goes."""
    for name in ("compile_detection.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    package = ROOT / "stream_detector"
    shutil.copytree(package, tmp_path / "stream_detector", ignore=shutil.ignore_patterns("*.so", "static"))
    code = "import compile_detection as it; print(it.compile_all())"
    assert run("-c", code, folder=tmp_path, STREAM_DETECTOR_PURE="1").stdout == "[]\n"
    stale = tmp_path / "stream_detector" / "detect" / f"step{compile_detection.SUFFIX}"
    stale.touch()
    assert run("compile_detection.py", "--remove-stale", folder=tmp_path).returncode == 0
    assert not stale.exists()
