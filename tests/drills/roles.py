"""A role as its own process, as `stream-detector ROLE` starts it."""

import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from stream_detector.devstack.owned import Owned, start_owned
from stream_detector.devstack.ports import free_port
from stream_detector.settings import Settings, environ_of


class Role:
    """One running process of a role."""

    def __init__(self, name: str, child: Owned, port: int) -> None:
        self.name, self.child, self.port = name, child, port

    @classmethod
    def start(
        cls,
        name: str,
        settings: Settings,
        folder: Path,
        *,
        change: str = "",
        environ: Mapping[str, str] | None = None,
        **changes: str,
    ) -> "Role":
        """Start one; its log is appended to `folder`/NAME.log.

        Args:
            change: a protection to take out (see `unprotected`) or a harm (see `harms`); empty: neither.
            environ: further variables of its environment.
            changes: settings of this process alone, by their names.
        """
        port = free_port()
        variables = environ_of(settings) | {"STREAM_DETECTOR_METRICS_PORT": str(port)} | dict(environ or {})
        variables |= {f"STREAM_DETECTOR_{setting.upper()}": value for setting, value in changes.items()}
        program = ["-m", "tests.drills.changed", change] if change else ["-m", "stream_detector"]
        command = [sys.executable, *program, name]
        root = Path(__file__).parents[2]
        return cls(name, start_owned(name, command, log_path=folder / f"{name}.log", environ=variables, cwd=root), port)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.child.alive()

    @property
    def killed(self) -> bool:
        """Whether it ended by SIGKILL."""
        return not self.alive and self.child.process.returncode == -signal.SIGKILL

    def kill(self) -> None:
        """SIGKILL."""
        self.child.kill()

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM; returns the exit code, -9 if it had to be killed."""
        return self.child.stop(timeout_s=timeout_s)

    def answers(self, path: str) -> int:
        """The status of one of its pages, 0 where nothing listens. Blocks for at most a second."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=1.0) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metric(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series of a metric, as it serves them. Blocks for at most a second."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=1.0) as answer:
            text = answer.read().decode()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return [(sample.labels, sample.value) for sample in samples if sample.name == name]

    @property
    def ready(self) -> bool:
        """Whether it owns partitions and has recovered their state."""
        return self.answers("/readyz") == 200
