"""`up` as a person runs it: a process, its screen, its end."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.ports import free_port
from stream_detector.events.anomaly_types import TYPES
from stream_detector.kafka.end_offsets import EndOffsets, total_lag
from stream_detector.kafka.topics import COMPLETIONS
from stream_detector.settings import PREFIX, Settings

PROGRAM = [sys.executable, "-m", "stream_detector"]
EVENT = (
    b'{"execution_id": "run-%d", "workflow_id": "nightly", "status": "failure",'
    b' "started_at": "2026-01-22T00:00:00Z", "finished_at": "2026-01-22T00:05:00Z"}'
)


def environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


class Up:
    """A running `up`. Its stderr is read until it says what is waited for."""

    def __init__(
        self, folder: Path | None, *words: str, more: dict[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.api_port = free_port()
        ports = ["--api-port", str(self.api_port), "--metrics-port", str(free_metrics_ports())]
        place = ["--data-dir", str(folder)] if folder else []
        self.process = subprocess.Popen(
            [*PROGRAM, "up", *place, *ports, *words],
            env=environ() | (more or {}),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""

    def wait_for(self, text: str) -> str:
        """The line with this text. Fails with all that was said when the process ends first."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if text in line:
                return line
        pytest.fail(f"ended with {self.process.wait()}:\n{self.said}")

    def children(self) -> dict[int, str]:
        """pid -> command of the processes it started."""
        found = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found[int(pid)] = " ".join(word.decode() for word in words if word)
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait; what it said is in `said`."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=60)
        self.said += rest
        return self.process.returncode


@pytest.fixture
def up(open_folder):
    started = []

    def start(*words):
        started.append(Up(open_folder, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def free_metrics_ports() -> int:
    """Four in a row that nobody listens on: below the range that outgoing connections take theirs from."""
    for first in range(20_000 + os.getpid() % 1000 * 8, 32_000, 4):
        try:
            for port in range(first, first + 4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, timeout_s=60.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def recorders(running):
    """Faust gives its process a title of its own once it runs."""
    return {pid for pid, title in running.children().items() if " recorder" in title or ".recorder" in title}


def broker_of(line):
    """The address in the line that names the broker."""
    return line.split(": ", 1)[1].split(",")[1].strip()


async def publish(address, count):
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    for number in range(count):
        await producer.send(COMPLETIONS, EVENT % number, key=b"nightly")
    await producer.stop()


def test_the_demo_finds_the_same_on_alerts_in_postgres_and_in_a_replay(open_folder, tmp_path):
    ports = ["--api-port", "0", "--metrics-port", str(free_metrics_ports())]
    command = [*PROGRAM, "up", "--demo", "--once", "--json", "--data-dir", str(open_folder), *ports]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    history = tmp_path / "demo.jsonl"
    history.write_bytes(
        subprocess.run([sys.executable, "-m", "stream_detector.devstack.demo"], capture_output=True).stdout
    )
    kinds = Counter(
        "executions" if "execution_id" in event else "scores" if "score" in event else "score_runs"
        for event in map(json.loads, history.read_text().splitlines())
    )
    kinds["score_runs"] //= 2  # a run says when it starts and when it ends
    assert {name: found[name] for name in kinds} == kinds

    replay = subprocess.run([*PROGRAM, "replay", "--json", str(history)], env=environ(), capture_output=True, text=True)
    types = Counter(json.loads(line)["anomaly_type"] for line in replay.stdout.splitlines())
    assert found["anomalies"] == types
    assert found["anomalies_in_postgres"] == sum(types.values()) > 0
    assert found["dead_letters"] == 0
    assert found["inbox"] > 0
    assert set(types) == set(TYPES), "the demo shows all seven types"
    assert {"run", "group", "resolved", "new_normal"} <= set(found["messages"])
    assert set(found) == {
        *kinds,
        "anomalies",
        "anomalies_in_postgres",
        "inbox",
        "messages",
        "dead_letters",
        "events_per_s",
        "seconds",
    }


def test_ctrl_c_works_off_what_the_embedded_broker_holds_and_leaves_no_process(up):
    running = up()
    address = broker_of(running.wait_for("broker: embedded"))
    assert "keeps records in memory only" in running.wait_for("note:")
    running.wait_for("ready: ")
    children = running.children()
    assert len(children) == 6
    asyncio.run(publish(address, 3000))
    assert running.end() == 0
    assert "not processed" not in running.said
    assert not any(map(alive, children))


def test_every_child_ends_with_it_when_it_is_killed(up):
    running = up()
    running.wait_for("ready: ")
    children = running.children()
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not any(map(alive, children)))


def test_what_holds_while_it_runs_until_sigterm(up):
    running = up()
    running.wait_for("ready: ")
    children = running.children()
    secrets_are_on_no_command_line(children)
    a_second_one_on_the_same_folder_is_refused(running, up())
    a_port_in_use_says_so(running)
    a_role_that_dies_is_started_again(running)
    assert running.end(signal.SIGTERM) == 0
    wait_until(lambda: not any(map(alive, children)))


def secrets_are_on_no_command_line(children):
    shown = " ".join(children.values())
    assert "postgresql://" not in shown
    assert "secret" not in shown


def a_second_one_on_the_same_folder_is_refused(running, second):
    assert second.process.wait(60) == 1
    assert f"another `stream-detector up` (process {running.process.pid}) is using" in second.process.stderr.read()


def a_port_in_use_says_so(running):
    words = ["up", "--data-dir", "unused", "--api-port", str(running.api_port)]
    second = subprocess.run([*PROGRAM, *words], env=environ(), capture_output=True, text=True)
    assert second.returncode == 2
    assert f"--api-port={running.api_port}" in second.stderr or "STREAM_DETECTOR_API_PORT" in second.stderr
    assert "in use" in second.stderr


def a_role_that_dies_is_started_again(running):
    (before,) = recorders(running)
    os.kill(before, signal.SIGKILL)
    assert "the recorder exited with code -9, restarting in 0.5 s" in running.wait_for("recorder exited")
    wait_until(lambda: recorders(running) - {before})


@pytest.mark.apache
@pytest.mark.drill
def test_with_apache_kafka_the_stream_outlives_it(up):
    running = up("--broker", "apache")
    address = broker_of(running.wait_for("broker: Apache Kafka"))
    running.wait_for("ready: ")
    asyncio.run(publish(address, 100))
    assert running.end() == 0
    again = up("--broker", "apache")
    address = broker_of(again.wait_for("broker: Apache Kafka"))
    again.wait_for("ready: ")

    async def count():
        async with EndOffsets(Settings(broker=address)) as ends:
            return sum(end for tp, end in (await ends.end_offsets()).items() if tp.topic == COMPLETIONS)

    assert asyncio.run(count()) == 100
    assert again.end() == 0


@pytest.mark.apache
@pytest.mark.drill
def test_x16_the_kafka_of_up_gets_more_partitions_while_up_is_stopped(up):
    running = up("--broker", "apache")
    address = broker_of(running.wait_for("broker: Apache Kafka"))
    running.wait_for("ready: ")
    asyncio.run(publish(address, 100))

    async def read():
        async with EndOffsets(Settings(broker=address)) as ends:
            while total_lag(await ends.lags()):  # noqa: ASYNC110 - the broker does not report it
                await asyncio.sleep(0.1)

    asyncio.run(read())
    folder = running.process.args[running.process.args.index("--data-dir") + 1]
    command = [*PROGRAM, "setup", "--repartition", "6", "--data-dir", folder]
    refused = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and "stop it" in refused.stderr
    assert running.end() == 0
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "partitions: 4, now 6" in done.stdout and "of 1 keys" in done.stdout
    again = up("--broker", "apache")
    again.wait_for("ready: ")
    assert again.end() == 0
