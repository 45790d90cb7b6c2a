"""The commands of docker-compose.yml, run as plain processes with its settings, and watched by a real Prometheus.

There is no container engine here. What differs from compose: addresses, free ports, a topic prefix, short joins.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.ports import free_port
from stream_detector.telemetry.health import ROLE_PORTS
from tests.servers import grafana, prometheus
from tests.servers.composed import COMPOSE, USERS, environ_of_service, make_users, url_of

pytestmark = pytest.mark.prometheus
ROOT = Path(__file__).parents[3]
SERVICES = COMPOSE["services"]
READY_TIMEOUT_S = 90


def _environ(service, changes):
    """The service's environment with every variable of compose filled in, and what differs here."""
    given = environ_of_service(service)
    known = {name: value for name, value in changes.items() if name in given or not name.endswith("DATABASE_URL")}
    if service in USERS:
        known["STREAM_DETECTOR_DATABASE_URL"] = url_of(changes["STREAM_DETECTOR_DATABASE_URL"], USERS[service])
    bare = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_DETECTOR_")}
    return bare | given | known


def _command(service):
    return [sys.executable, "-m", "stream_detector", *SERVICES[service]["command"]]


def _set_up(changes):
    make_users(changes["STREAM_DETECTOR_DATABASE_URL"])
    environ = _environ("setup", changes)
    done = subprocess.run(_command("setup"), env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def _role(role, changes, log):
    """The role's process, ready as the image's probe says; its health port."""
    port = free_port()
    environ = _environ(role, {**changes, "STREAM_DETECTOR_METRICS_PORT": str(port)})
    if role == "api":
        environ["STREAM_DETECTOR_API_PORT"] = str(free_port())
    with log.open("ab") as output:
        process = subprocess.Popen(_command(role), env=environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            _wait_until_ready(role, port, process, log)
            yield port
        finally:
            process.terminate()
            try:
                code = process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        assert code == 0, f"{role} ended with {code}: {log.read_text('utf-8')[-3000:]}"


def _wait_until_ready(role, port, process, log):
    until = time.monotonic() + READY_TIMEOUT_S
    probe = [sys.executable, str(ROOT / "deploy" / "ready.py"), role, str(port)]
    while (done := subprocess.run(probe, capture_output=True, text=True, check=False)).returncode:
        assert process.poll() is None, f"{role} ended: {log.read_text('utf-8')[-3000:]}"
        assert time.monotonic() < until, f"{done.stderr} {log.read_text('utf-8')[-3000:]}"


def _failures(count):
    """As many failed executions in a row of one workflow, ending now."""
    now_s = int(time.time())
    for number in range(count):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s - count + number))
        event = {"execution_id": f"e{number}", "workflow_id": "deploy", "status": "failure", "duration_s": 10}
        yield json.dumps({**event, "started_at": at, "finished_at": at}).encode()


async def _publish(broker, prefix, stop):
    """Failures, score changes and a poison event, again and again, so that every rate is above 0."""
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        turn = 0
        while not stop.is_set():
            turn += 1
            for value in _failures(3):
                value = value.replace(b'"deploy"', b'"deploy-%d"' % turn)
                await producer.send_and_wait(f"{prefix}workflow-completions", value, key=b"deploy-%d" % turn)
            await producer.send_and_wait(f"{prefix}workflow-completions", b"{")
            try:
                await asyncio.wait_for(stop.wait(), 0.5)
            except TimeoutError:
                continue


async def test_the_commands_of_compose_work_and_every_dashboard_query_returns_data(
    tansu, postgres_url, topic_prefix, tmp_path
):
    changes = {
        "STREAM_DETECTOR_BROKER": tansu.address,
        "STREAM_DETECTOR_DATABASE_URL": postgres_url,
        "STREAM_DETECTOR_TOPIC_PREFIX": topic_prefix,
        "STREAM_DETECTOR_SESSION_TIMEOUT_S": "6",
        "STREAM_DETECTOR_METRICS_HOST": "127.0.0.1",
    }
    await asyncio.to_thread(_set_up, changes)
    with ExitStack() as stack:
        roles = {role: stack.enter_context(_role(role, changes, tmp_path / f"{role}.log")) for role in ROLE_PORTS}
        targets = {role: [f"127.0.0.1:{port}"] for role, port in roles.items()}
        server = stack.enter_context(prometheus.start(targets))
        stop = asyncio.Event()
        publishing = asyncio.create_task(_publish(tansu.address, topic_prefix, stop))
        try:
            await asyncio.to_thread(server.wait_for, "count(up == 1) == 4")
            for query in grafana.queries():
                # a quantile of nothing is NaN, and NaN equals nothing, so this waits for a number
                same = f"({query.expression}) == ({query.expression})"
                await asyncio.to_thread(server.wait_for, same)
            assert not server.query('ALERTS{alertname="StreamDetectorNotDetecting", alertstate="firing"}')
            await asyncio.to_thread(server.wait_for, 'ALERTS{alertname="StreamDetectorDeadLetters"}')
            found = await asyncio.to_thread(
                server.wait_for, 'stream_detector_anomalies_total{type="ConsecutiveFailures", job="detector"} > 0'
            )
            assert found[0]["metric"]["severity"] == "warning"
        finally:
            stop.set()
            await publishing
