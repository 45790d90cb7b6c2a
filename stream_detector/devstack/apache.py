"""Apache Kafka itself, one or three brokers in KRaft mode, started from Maven's jars and owned by us.

For `up --broker apache` and for tests of record. The jars (54 MB) are downloaded once into a cache folder; Java 17 or
newer is required. Their data is in `folder`, so a restart on the same folder keeps the records.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stream_detector.devstack.owned import ChildError, Owned, start_owned
from stream_detector.devstack.ports import answers_kafka, free_port

KAFKA_VERSION = "4.1.0"
READY_TIMEOUT_S = 120.0
_MIN_JAVA = 17
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>stream-detector</groupId><artifactId>kafka-jars</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
</dependencies></project>
"""
_LOG4J = """<Configuration status="ERROR">
<Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


@dataclass
class Apache:
    """Running brokers; also a context manager that stops them. `children[i]` is broker i + 1, None while it is down."""

    folder: Path
    jars: Path
    ports: list[int]
    controller_ports: list[int]
    cluster_id: str
    listener: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)
    scram: Mapping[str, str] = field(default_factory=dict)
    children: list[Owned | None] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        brokers: int = 1,
        jars: Path | None = None,
        port: int = 0,
        listener: str = "",
        properties: Mapping[str, object] | None = None,
        scram: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> "Apache":
        """Start them on loopback; each answers afterwards.

        Args:
            folder: data and logs; what it holds from an earlier start is kept.
            brokers: 1 or 3.
            jars: folder of Kafka's jars; None means the cache folder, filled by Maven when it is empty.
            port: of the first broker, 0 picks free ones.
            listener: one more listener, of a single broker, NAME://host:port.
            properties: further lines of server.properties, which win over ours.
            scram: users with their passwords, known from the first start on (SCRAM-SHA-512).
            report: called before what takes long.

        Raises:
            ChildError: no Java, no Maven while jars are missing, or a broker does not get ready.
        """
        find_java()  # checked first: without it nothing else matters
        jars = jars or download_jars(report=report)
        folder.mkdir(parents=True, exist_ok=True)
        ports = [port or free_port(), *(free_port() for _ in range(brokers - 1))]
        controllers = [free_port() for _ in range(brokers)]
        more = listener, properties or {}, scram or {}
        apache = cls(folder, jars, ports, controllers, _cluster_id(folder), *more, [None] * brokers)
        try:
            for index in range(brokers):
                apache._launch(index)
            for index in range(brokers):
                apache._wait(index)
        except BaseException:
            apache.stop()
            raise
        return apache

    @property
    def address(self) -> str:
        """Bootstrap servers, host:port separated by commas."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def relaunch(self, index: int) -> None:
        """Start a broker again that died, on its port and its data; does not wait until it answers."""
        self._launch(index)

    def start_broker(self, index: int) -> None:
        """Start a broker again that was stopped or killed; it answers afterwards."""
        self._launch(index)
        self._wait(index)

    def stop_broker(self, index: int) -> None:
        """End one broker in order."""
        child, self.children[index] = self.children[index], None
        if child:
            child.stop(timeout_s=30)

    def kill_broker(self, index: int) -> None:
        """End one broker with SIGKILL."""
        child, self.children[index] = self.children[index], None
        if child:
            child.kill()

    def memory_bytes(self) -> int:
        """Resident memory of all brokers."""
        return sum(child.memory_bytes() for child in self.children if child)

    def stop(self) -> None:
        """End all; what they hold stays in the folder."""
        for child in filter(None, self.children):
            child.send(signal.SIGTERM)
        for index in range(len(self.children)):
            self.stop_broker(index)

    def __enter__(self) -> "Apache":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, index: int) -> None:
        home = self.folder / f"broker-{index + 1}"
        home.mkdir(exist_ok=True)
        properties = home / "server.properties"
        properties.write_text(self._properties(index, home))
        if not (home / "data" / "meta.properties").exists():
            cluster = f"--cluster-id={self.cluster_id}"  # one word: an id may begin with a hyphen
            format_data = ["kafka.tools.StorageTool", "format", cluster, "-c", str(properties)]
            for user, password in self.scram.items():
                format_data += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
            done = subprocess.run(
                [*self._java(home, "256m"), *format_data], capture_output=True, text=True, timeout=120
            )
            if done.returncode:
                raise ChildError(f"Kafka could not format {home / 'data'}: {(done.stdout + done.stderr)[-800:]}")
        self.children[index] = start_owned(
            f"Kafka broker {index + 1}",
            [*self._java(home, "512m"), "kafka.Kafka", str(properties)],
            log_path=home / "kafka.log",
            cwd=home,
        )

    def _wait(self, index: int) -> None:
        child = self.children[index]
        if child is None:
            raise ChildError(f"Kafka broker {index + 1} was not started")
        child.wait_until(lambda: answers_kafka(f"127.0.0.1:{self.ports[index]}"), timeout_s=READY_TIMEOUT_S)

    def _java(self, home: Path, heap: str) -> list[str]:
        (home / "log4j2.xml").write_text(_LOG4J)
        options = [f"-Xmx{heap}", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={home / 'log4j2.xml'}"]
        return [find_java(), *options, "-cp", f"{self.jars}/*"]

    def _properties(self, index: int, home: Path) -> str:
        brokers = len(self.ports)
        copies = min(3, brokers)
        listeners = ",".join(filter(None, (f"PLAINTEXT://127.0.0.1:{self.ports[index]}", self.listener)))
        voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(self.controller_ports))
        lines: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": index + 1,
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self.controller_ports[index]}",
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "log.dirs": home / "data",
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": min(2, brokers),
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": min(2, brokers),
            "auto.create.topics.enable": "false",
        }
        return "".join(f"{name}={value}\n" for name, value in (lines | dict(self.properties)).items())


def find_java() -> str:
    """Java's full path: JAVA_HOME's, else the one on PATH. Raises `ChildError` where there is none or it is too old."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if not found:
        raise ChildError(
            f"Apache Kafka needs Java {_MIN_JAVA} or newer, and there is none on PATH: install it "
            "(Debian: apt-get install openjdk-17-jre-headless), or omit --broker to use the embedded broker"
        )
    done = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=30)
    version = re.search(r'version "(\d+)', done.stderr + done.stdout)
    if version and int(version[1]) < _MIN_JAVA:
        raise ChildError(f"Apache Kafka needs Java {_MIN_JAVA} or newer, {found} is {version[1]}")
    return found


def cache_folder() -> Path:
    """Where the jars are kept, outside of any checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "stream-detector" / f"kafka-{KAFKA_VERSION}"


def download_jars(folder: Path | None = None, *, report: Callable[[str], None] = lambda _: None) -> Path:
    """Kafka's jars: those in the folder, else downloaded by Maven. A partial download never gets the folder's name.

    Raises:
        ChildError: Maven is needed and not there, or it fails.
    """
    folder = folder or cache_folder()
    if any(folder.glob("kafka_2.13-*.jar")):
        return folder
    maven = shutil.which("mvn")
    if not maven:
        raise ChildError(
            f"the jars of Apache Kafka are not in {folder}, and Maven (mvn), which downloads them, is not on PATH "
            "(Debian: apt-get install maven)"
        )
    report(f"downloading Apache Kafka {KAFKA_VERSION} (54 MB) with Maven into {folder}, once")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        (Path(work) / "pom.xml").write_text(_POM)
        command = [maven, "-B", "-q", "dependency:copy-dependencies", f"-DoutputDirectory={work}/lib"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True)
        if done.returncode:
            raise ChildError(f"Maven could not download the jars of Apache Kafka: {(done.stdout + done.stderr)[-800:]}")
        shutil.rmtree(folder, ignore_errors=True)
        (Path(work) / "lib").rename(folder)
    return folder


def _cluster_id(folder: Path) -> str:
    """The id that the brokers of this folder share, made once."""
    path = folder / "cluster-id"
    if not path.exists():
        path.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
    return path.read_text().strip()
