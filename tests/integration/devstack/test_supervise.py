"""A role that cannot go on is started again, each time after a longer pause; one that refuses a setting is not."""

from dataclasses import replace

import pytest

from stream_detector.devstack.folder import DataFolder
from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.ports import free_port
from stream_detector.devstack.supervise import Supervisor
from tests.servers.installation import wait_until


@pytest.fixture
def supervise(tmp_path, tansu, make_settings):
    """Starts the detector alone, on a broker without topics: it ends each time."""
    folder, reported, started = DataFolder(tmp_path), [], []

    def start(**changes):
        ports = dict.fromkeys(("detector", "recorder", "notifier", "api"), free_port())
        supervisor = Supervisor(replace(make_settings(broker=tansu.address), **changes), folder, ports, reported.append)
        supervisor.roles = supervisor.roles[:1]
        supervisor.start()
        started.append(supervisor)
        return supervisor, reported

    yield start
    for supervisor in started:
        supervisor.stop()
    folder.close()


async def test_the_pause_grows_and_the_reason_is_told(supervise):
    supervisor, reported = supervise()

    def three_times():
        supervisor.restart_dead()
        return len(reported) >= 3

    await wait_until(three_times, "three ends")
    assert [line.partition(":")[0] for line in reported] == [
        f"the detector exited with code 1, restarting in {pause_s} s" for pause_s in ("0.5", "1.0", "2.0")
    ]
    assert all("run `stream-detector setup`" in line for line in reported)


async def test_a_setting_that_is_refused_is_not_tried_again(supervise):
    supervisor, _ = supervise(broker_security="ssl", broker_ca_file="/nowhere.pem")

    def refused():
        try:
            supervisor.restart_dead()
        except ChildError as error:
            return str(error)
        return ""

    assert "BROKER_CA_FILE" in await wait_until(refused, "the end")
