"""A real Prometheus that scrapes the addresses it is given."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yml"
_SCRAPE_INTERVAL_S = 1


class Prometheus:
    """A running server; `url` is its address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series, each {"metric": labels, "value": [time, text]}. Raises `ValueError` if the query is refused."""
        answer = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer.get('error')}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def number(self, expression: str) -> float | None:
        """The value of a query that has one series; None where it has none."""
        series = self.query(expression)
        assert len(series) < 2, f"{expression} has {len(series)} series"
        return float(series[0]["value"][1]) if series else None

    def wait_for(self, expression: str, timeout_s: float = 60) -> list[dict[str, Any]]:
        """Ask until the query has a series. Raises `TimeoutError` with what the targets say."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if series := self.query(expression):
                return series
            time.sleep(0.1)
        raise TimeoutError(f"{expression} stayed empty; targets: {self.targets()}")

    def targets(self) -> dict[str, str]:
        """Address -> health and last error of each target."""
        active = self._get("/api/v1/targets")["data"]["activeTargets"]
        return {one["scrapeUrl"]: f"{one['health']} {one['lastError']}".strip() for one in active}

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:  # a refused query is 400 with the reason as JSON
            answer = json.load(error)
        return answer


@contextmanager
def start(targets: Mapping[str, Sequence[str]]) -> Iterator[Prometheus]:
    """A Prometheus with our rules; `targets` is job -> addresses host:port. It is gone when the block ends.

    Raises `FileNotFoundError` where no prometheus is installed.
    """
    binary = shutil.which("prometheus")
    if binary is None:
        raise FileNotFoundError("prometheus is not installed (Debian: apt-get install prometheus)")
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        config = {
            "global": {"scrape_interval": f"{_SCRAPE_INTERVAL_S}s", "evaluation_interval": f"{_SCRAPE_INTERVAL_S}s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
                for job, addresses in targets.items()
            ],
        }
        (Path(folder) / "prometheus.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML
        with open(Path(folder) / "log", "w+b") as log:
            process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
            try:
                yield _ready(Prometheus(f"http://127.0.0.1:{port}"), process, Path(folder) / "log")
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _ready(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> Prometheus:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"prometheus ended with {process.returncode}: {log.read_text('utf-8')}")
        try:
            with urllib.request.urlopen(server.url + "/-/ready", timeout=1):
                return server
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"prometheus is not ready: {log.read_text('utf-8')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
