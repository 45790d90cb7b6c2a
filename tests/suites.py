"""Every suite, one after the other. What cannot be had here is named with its reason; with CI set that is a failure.

Exit code 0: everything that could run passed. 1: something failed, or in CI something was left out.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

DEBIAN = {
    "chromium": "chromium",
    "promtool": "prometheus",
    "java": "openjdk-17-jre-headless",
    "mvn": "maven",
    "pg_createcluster": "postgresql",
}
"""Program -> the Debian package that has it."""


def main() -> int:
    os.chdir(ROOT)  # commands below name paths from here
    _install_packages()
    left_out = _missing()
    results: list[tuple[str, str, float]] = []
    for name, command in _suites(left_out):
        print(f"\n=== {name}: {' '.join(command)}", flush=True)
        started_s = time.monotonic()
        code = subprocess.run(command).returncode
        results.append((name, "ok" if code == 0 else f"FAILED ({code})", time.monotonic() - started_s))
    print()
    for name, outcome, took_s in results:
        print(f"{name:<22} {outcome:<12} {took_s:6.1f} s")
    for name, why in left_out.items():
        print(f"{name:<22} {'LEFT OUT' if not IN_CI else 'FAILED':<12} {why}")
    failed = any(outcome != "ok" for _, outcome, _ in results) or (IN_CI and bool(left_out))
    print("everything passed" if not failed and not left_out else "FAILED" if failed else "what could run passed")
    return 1 if failed else 0


def _suites(left_out: dict[str, str]) -> list[tuple[str, list[str]]]:
    marks = " and ".join(
        f"not {mark}" for mark in left_out if mark in ("apache", "browser", "postgresql", "prometheus")
    )
    # Two workers, each with brokers and a database of its own; the one that has nothing left takes over half of what
    # the other has. They must collect the same tests: no name of a test may hold a time or something drawn at random.
    pytest = [str(BIN / "python"), "-m", "pytest", "-n", "2", "--dist", "worksteal"]
    # The detection runs compiled, as users have it; its sources run for themselves, docstrings with them.
    sources = ["env", "STREAM_DETECTOR_PURE=1", *pytest, "--doctest-modules", "stream_detector"]
    sources += ["tests/unit/detect", "tests/unit/benchmarks/test_hot_path.py"]
    pytest += ["--durations", "25"]
    pytest += [f"tests/{folder}" for folder in ("unit", "contract", "integration", "e2e", "drills")]
    suites = [
        ("style", [str(BIN / "ruff"), "check", "."]),
        ("format", [str(BIN / "ruff"), "format", "--check", "."]),
        ("imports", [str(BIN / "lint-imports"), "--no-cache"]),
        ("dashboard", [str(BIN / "python"), "-m", "tests.dashboard_checks"]),
        ("sources", sources),
        ("pytest", [*pytest, "-m", marks] if marks else pytest),
    ]
    return [suite for suite in suites if suite[0] not in left_out]


def _install_packages() -> None:
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
    subprocess.run(["apt-get", "-qq", "update"], env=environ)
    for package in wanted:
        subprocess.run(["apt-get", "-qq", "-y", "--no-install-recommends", "install", package], env=environ)


def _missing() -> dict[str, str]:
    """Suite or mark -> why it is left out."""
    from stream_detector.devstack.apache import download_jars, java
    from stream_detector.devstack.owned import ChildError
    from tests.servers.secured_postgres import debian_postgres

    missing = {}
    try:
        java()
        download_jars(report=lambda text: print(text, flush=True))
    except ChildError as error:
        missing["apache"] = str(error)
    if not shutil.which("chromium"):
        missing["browser"] = "no chromium on PATH (Debian: apt-get install chromium)"
    if not (shutil.which("promtool") and shutil.which("prometheus")):
        missing["prometheus"] = "no prometheus and promtool on PATH (Debian: apt-get install prometheus)"
    if not debian_postgres():
        missing["postgresql"] = "no PostgreSQL of Debian's (apt-get install postgresql)"
    return missing


if __name__ == "__main__":
    sys.exit(main())
