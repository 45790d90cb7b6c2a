"""What the peers that are no part of our environment need, built into a cache folder: a Python venv, Java classes."""

import os
import shutil
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import NoFigureError

HERE = Path(__file__).parent
_JAVA = HERE / "kafka_streams"


class BuildError(NoFigureError):
    """A peer cannot be built here; the message says what is missing."""


def cache_folder() -> Path:
    """Where built peers are kept, outside the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stream-detector" / "benchmarks"


def quix_python() -> str:
    """The interpreter of a venv with the pinned Quix Streams."""
    requirements = HERE / "quix_requirements.txt"
    folder = cache_folder() / f"quix-{_mark(requirements)}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv")
        if uv:
            _run([uv, "venv", "--python", sys.executable, str(folder)])
            _run([uv, "pip", "install", "--python", str(python), "-r", str(requirements)])
        else:
            venv.create(folder, with_pip=True)
            _run([str(python), "-m", "pip", "install", "-r", str(requirements)])
        (folder / "complete").touch()
    return str(python)


def kafka_streams_classpath() -> str:
    """The compiled peer and its libraries; Maven fetches them, Java 17 or newer compiles."""
    sources = sorted(_JAVA.rglob("*.java"))
    folder = cache_folder() / f"kafka-streams-{_mark(_JAVA / 'pom.xml', *sources)}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        if not shutil.which("mvn"):
            raise BuildError("Kafka Streams needs Maven and Java 17: on Debian, apt-get install maven openjdk-17-jdk")
        folder.mkdir(parents=True)
        goals = ["package", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"]
        _run(["mvn", "-q", "-B", "-f", str(_JAVA / "pom.xml"), f"-Dout={folder}", *goals])
        (folder / "complete").touch()
    return f"{folder / 'classes'}{os.pathsep}{folder / 'lib'}/*"


def _mark(*files: Path) -> str:
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
