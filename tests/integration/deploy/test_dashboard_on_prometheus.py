"""A real Prometheus scrapes real health ports and answers every query of the dashboard."""

import asyncio
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest

from tests.servers import grafana, prometheus

pytestmark = pytest.mark.prometheus

ROLE = textwrap.dedent("""
    import asyncio, sys
    from stream_detector.telemetry import metrics
    from stream_detector.telemetry.log_events import EventRefused, MessageDone
    from stream_detector.telemetry.health import HealthServer

    def work():  # at each scrape, so that every rate is above 0
        metrics.EVENTS.labels("workflow-completions", "applied").inc(100)
        metrics.ANOMALIES.labels("UnusualExecutionTime", "warning").inc()
        metrics.STATE_LEFT_OUT.labels("baselines").inc()
        metrics.RECORDS_LOST.labels("scores", "0").inc(5)
        metrics.RECORDS_MISSING.labels("scores").inc(5)
        metrics.DUE_KEYS.set(7)
        metrics.STILL_RUNNING.set(1)
        metrics.TICKS.inc()
        metrics.TICKS_HELD.set(2)
        metrics.LAG.labels("workflow-completions", "0").set(3)
        metrics.CHECKPOINT_AGE.set(0.4)
        metrics.SINK_ROWS.labels("executions").inc(100)
        metrics.EVENT_TO_ALERT.observe(0.02)
        MessageDone("m", "slack", "failed", "404").emit()
        EventRefused("scores", 0, 1, "not_json", "no").emit()

    async def main():
        up = lambda: (True, "")
        server = HealthServer("127.0.0.1", 0, live=up, ready=up, refresh=work)
        print(await server.start(), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.stop()

    asyncio.run(main())
""")


@contextmanager
def _role():
    """A process that serves what a role serves; its port."""
    process = subprocess.Popen([sys.executable, "-c", ROLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def test_every_query_of_the_dashboard_returns_data_and_the_rules_fire():
    with _role() as detector, _role() as recorder, _role() as notifier, _role() as api:
        ports = {"detector": detector, "recorder": recorder, "notifier": notifier, "api": api}
        with prometheus.start({role: [f"127.0.0.1:{port}"] for role, port in ports.items()}) as server:
            for query in grafana.queries():
                series = await asyncio.to_thread(server.wait_for, query.expression)
                assert all(sample["value"][1] != "NaN" for sample in series), query.panel
            assert server.number("count(up == 1)") == 4
            for alert in ("StreamDetectorDeadLetters", "StreamDetectorNotificationsFailing"):
                await asyncio.to_thread(server.wait_for, f'ALERTS{{alertname="{alert}", alertstate="firing"}}')
            assert server.query('ALERTS{alertname="StreamDetectorNotDetecting"}') == []
            assert all(health == "up" for health in server.targets().values())


async def test_an_expression_that_prometheus_refuses_is_an_error():
    with prometheus.start({}) as server, pytest.raises(ValueError, match="parse error"):
        server.query("sum(")
