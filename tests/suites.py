"""Suites by name, one after the other: `python -m tests.suites [NAME ...]`; `test` is what CI runs, `drills` the rest.

What cannot be had on this machine is named with its reason; with CI set that is a failure. `drills` notes in
docs/delivery.md when it last ran and how it ended.

Exit code 0: everything that could run passed. 1: something failed, or in CI something was left out.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PYTHON = str(BIN / "python")
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

DEBIAN = {
    "chromium-headless-shell": "chromium-headless-shell",
    "promtool": "prometheus",
    "java": "openjdk-17-jre-headless",
    "mvn": "maven",
    "pg_createcluster": "postgresql",
    "pgbouncer": "pgbouncer",
}
"""Program -> the Debian package that has it."""

# Four workers, also on two cores, since tests wait for a group or a process: with three, and roles that are forked
# (`tests/drills/warm_start.py`), 15 to 53 % of the processor time of two cores was idle. Each takes the next test or
# group of tests (`tests/workers.py`) when it has done one.
# They must collect the same tests: no name of a test may hold a time or something drawn at random.
PYTEST = [PYTHON, "-m", "pytest", "-n", "4", "--dist", "loadgroup", "--durations", "25"]
EVERYTHING = [f"tests/{folder}" for folder in ("drills", "e2e", "integration", "contract", "unit")]
WITHOUT_BENCHMARKS = ["tests/unit", "--ignore", "tests/unit/benchmarks"]
# The detection runs compiled, as users have it; its sources run for themselves, docstrings with them.
PURE = ["env", "STREAM_DETECTOR_PURE=1", PYTHON, "-m"]
MEASURED = [*PURE, "coverage", "run", *PYTEST[1:]]
FLOOR = 75
"""Percent of the lines of the package that tests/unit runs at least; the rest needs brokers and databases."""

WITH_BYTECODE = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Some images set it. Then each process that a test starts compiles all that it imports: 1.1 s instead of 0.55 s of
processor time a role, and `make test` starts many of them."""

AT_ONCE = "packages", "compiled", "types", "dashboard", "instructions"
"""None of them needs another, and each keeps one core busy or waits for a download. Types, dashboard and instructions
take 45 s on two cores together and 75 s one after the other; the compilation takes 75 s more of one core."""
IN_SOURCES = ["--ignore", "tests/unit/detect"]
"""`make test` runs tests/unit/detect from the sources, for the coverage; compiled they are part of `make drills`, two
minutes of processor time. That both give the same is the task of tests/contract/test_compiled.py."""

Commands = list[tuple[str, list[str]]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=(__doc__ or "").splitlines()[0])
    choices = "lint", "types", "unit", "test", "drills", "packages"
    parser.add_argument("names", nargs="*", default=["test"], choices=choices)
    names = parser.parse_args().names
    os.chdir(ROOT)  # commands below name paths from here
    began_s, left_out = time.monotonic(), {}
    if names == ["packages"]:  # a step of the others, in a process of its own
        install_packages()
        missing()  # downloads Kafka
        return 0
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    results = [result for name in names for result in run(suite(name))]
    if {"test", "drills"} & set(names):
        left_out = missing()
        results += [result for name in names for result in run(with_servers(name, left_out))]
    passed = all(ended == "ok" for _, ended, _ in results) and not (IN_CI and left_out)
    tell(results, left_out, passed)
    if "drills" in names:
        note_drills(passed, left_out, time.monotonic() - began_s)
    return 0 if passed else 1


def suite(name: str) -> Commands:
    """The commands of a suite, named, that need no server."""
    packages = ("packages", [PYTHON, "-m", "tests.suites", "packages"])
    compiled = ("compiled", [PYTHON, "compile_detection.py"])
    match name:
        case "lint":
            ruff = str(BIN / "ruff")
            imports = [str(BIN / "lint-imports"), "--no-cache"]
            return [
                ("style", [ruff, "check", "."]),
                ("format", [ruff, "format", "--check", "."]),
                ("imports", imports),
            ]
        case "types":
            return [("types", [str(BIN / "mypy"), "stream_detector"])]
        case "unit":
            return [compiled, ("unit", [*PYTEST, *WITHOUT_BENCHMARKS, "-m", "not drill"])]
        case "drills":
            every_case = [*MEASURED, *WITHOUT_BENCHMARKS, "--hypothesis-profile", "full", "-m", "not drill"]
            return [packages, compiled, ("every case", every_case), *covered("stream_detector/*", FLOOR)]
        case _:
            return [
                *suite("lint"),
                packages,
                compiled,
                *suite("types"),
                ("dashboard", [PYTHON, "-m", "tests.dashboard_checks"]),
                ("instructions", [*PURE, "pytest", "tests/unit/benchmarks/test_hot_path.py"]),
                ("sources", [*MEASURED, "--doctest-modules", "stream_detector", "tests/unit/detect"]),
                *covered("stream_detector/detect/*", 100),
            ]


def with_servers(name: str, left_out: dict[str, str]) -> Commands:
    """The commands of a suite that need what `packages` installs."""
    match name:
        case "drills":
            detect = [*PYTEST, "tests/unit/detect", "-m", "not drill"]
            return [("detect", detect), ("drills", [*PYTEST, *EVERYTHING, "-m", marks("drill", left_out)])]
        case "test":
            return [("pytest", [*PYTEST, *EVERYTHING, *IN_SOURCES, "-m", marks("not drill", left_out)])]
        case _:
            return []


def covered(paths: str, percent: int) -> Commands:
    """Fail where the suite before ran less than that of the lines."""
    coverage = [PYTHON, "-m", "coverage"]
    report = [*coverage, "report", "--show-missing", "--include", paths, "--fail-under", str(percent)]
    return [("combined", [*coverage, "combine", "--quiet"]), (f"{percent} % covered", report)]


def marks(chosen: str, left_out: dict[str, str]) -> str:
    """pytest's expression for what is chosen, but for what cannot be had."""
    return " and ".join([chosen, *(f"not {mark}" for mark in left_out)])


def run(commands: Commands) -> list[tuple[str, str, float]]:
    """Run one after the other, neighbours that are `AT_ONCE` together. Returns (name, outcome, seconds)."""
    results = []
    for together, members in groupby(commands, lambda named: named[0] in AT_ONCE):
        if together:
            results += run_at_once(list(members))
            continue
        for name, command in members:
            print(f"\n=== {name}: {' '.join(command)}", flush=True)
            started_s = time.monotonic()
            code = subprocess.run(command, env=WITH_BYTECODE).returncode
            results.append((name, outcome(code), time.monotonic() - started_s))
    return results


def run_at_once(commands: Commands) -> list[tuple[str, str, float]]:
    """As `run`; each prints when it has ended, so that their lines do not mix."""

    def one(named: tuple[str, list[str]]) -> tuple[str, str, float]:
        name, command = named
        started_s = time.monotonic()
        done = subprocess.run(command, env=WITH_BYTECODE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(f"\n=== {name}: {' '.join(command)}\n{done.stdout}", end="", flush=True)
        return name, outcome(done.returncode), time.monotonic() - started_s

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, commands))


def outcome(code: int) -> str:
    """In one word, of an exit code."""
    return "ok" if code == 0 else f"FAILED ({code})"


def tell(results: Sequence[tuple[str, str, float]], left_out: dict[str, str], passed: bool) -> None:
    """A line for each command, and the sum."""
    print()
    for name, ended, took_s in results:
        print(f"{name:<22} {ended:<12} {took_s:6.1f} s")
    for name, why in left_out.items():
        print(f"{name:<22} {'FAILED' if IN_CI else 'LEFT OUT':<12} {why}")
    print("FAILED" if not passed else "what could run passed" if left_out else "everything passed")


def note_drills(passed: bool, left_out: dict[str, str], took_s: float) -> None:
    """Write into docs/delivery.md when the drills last ran, on which commit, and how that ended."""
    page = ROOT / "docs" / "delivery.md"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    ended = ("passed" if passed else "FAILED") + "".join(f", without {name}" for name in left_out)
    line = f"`make drills` last ran on {datetime.now(UTC):%Y-%m-%d} at {commit}: {ended}, {took_s / 60:.0f} minutes."
    text, found = re.subn(r"^`make drills` last ran .*$", line, page.read_text("utf-8"), flags=re.MULTILINE)
    assert found == 1, "docs/delivery.md has no line that says when the drills last ran"
    page.write_text(text, "utf-8")


def install_packages() -> None:
    """As root on Debian: what is missing, without starting any of it as a service. Otherwise nothing."""
    wanted = sorted({package for program, package in DEBIAN.items() if not shutil.which(program)})
    if not IN_CI:  # nobody asked for Java; a machine that has it also gets Kafka
        wanted = [package for package in wanted if package != DEBIAN["java"]]
        if not shutil.which("java"):
            wanted = [package for package in wanted if package != DEBIAN["mvn"]]
    if not wanted or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"installing {', '.join(wanted)} (Debian)", flush=True)
    # In runlevel 1 invoke-rc.d starts no service: a Prometheus of the package's own would hold the port.
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    apt = ["apt-get", "-qq", "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20"]
    subprocess.run([*apt, "update"], env=environ)
    for package in wanted:
        subprocess.run([*apt, "-y", "--no-install-recommends", "install", package], env=environ)


def missing() -> dict[str, str]:
    """Mark of pytest -> why what has it is left out."""
    from stream_detector.devstack.apache import download_jars, find_java
    from stream_detector.devstack.owned import ChildError
    from tests.servers.browser import chromium
    from tests.servers.pgbouncer import find_pgbouncer
    from tests.servers.secured_postgres import debian_postgres

    found = {}
    try:
        find_java()
        download_jars(report=lambda text: print(text, flush=True))
    except ChildError as error:
        found["apache"] = str(error)
    if chromium() is None:
        found["browser"] = "no Chromium on PATH (Debian: apt-get install chromium-headless-shell)"
    if not (shutil.which("promtool") and shutil.which("prometheus")):
        found["prometheus"] = "no prometheus and promtool on PATH (Debian: apt-get install prometheus)"
    if not debian_postgres():
        found["postgresql"] = "no PostgreSQL of Debian's (apt-get install postgresql)"
    if find_pgbouncer() is None:
        found["pgbouncer"] = "no pgbouncer (Debian: apt-get install pgbouncer)"
    return found


if __name__ == "__main__":
    sys.exit(main())
