"""Ports, the data folder, the supervisor's arithmetic: what needs no broker."""

import os
import socket
import stat

import pytest

from stream_detector.devstack import apache
from stream_detector.devstack.folder import LOG_ROTATE_BYTES, DataFolder
from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.ports import free_port, is_free
from stream_detector.devstack.stack import choose_ports
from stream_detector.settings import SettingsError, load


@pytest.fixture
def busy_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(busy_port):
    assert not is_free("127.0.0.1", busy_port)
    assert is_free("127.0.0.1", free_port())


@pytest.mark.parametrize("pick_free", [False, True])
def test_a_named_api_port_in_use_is_said_and_never_replaced(busy_port, pick_free):
    settings = load({}, flags={"api_port": str(busy_port), "metrics_port": str(free_port())})
    with pytest.raises(SettingsError, match=f"STREAM_DETECTOR_API_PORT={busy_port}: the port is in use"):
        choose_ports(settings, pick_free=pick_free)


def test_a_named_metrics_port_in_use_names_the_role(busy_port):
    settings = load({}, flags={"api_port": "0", "metrics_port": str(busy_port)})
    with pytest.raises(SettingsError, match=f"METRICS_PORT of the detector={busy_port}: the port is in use"):
        choose_ports(settings, pick_free=True)


def test_api_port_0_picks_a_free_one_that_links_start_with():
    settings, ports = choose_ports(load({}, flags={"api_port": "0"}), pick_free=True)
    assert settings.api_port
    assert settings.base_url == f"http://127.0.0.1:{settings.api_port}"
    assert sorted(ports) == ["api", "detector", "notifier", "recorder"]
    assert len(set(ports.values())) == 4


def test_a_named_base_url_stays():
    settings = load({"NEXT_PUBLIC_BASE_URL": "https://watch.example"}, flags={"api_port": "0"})
    assert choose_ports(settings, pick_free=True)[0].base_url == "https://watch.example"


def test_one_up_a_folder(tmp_path):
    folder = DataFolder(tmp_path / "a" / "b")
    with pytest.raises(ChildError, match=f"another `stream-detector up` \\(process {os.getpid()}\\) is using"):
        DataFolder(tmp_path / "a" / "b")
    folder.close()
    DataFolder(tmp_path / "a" / "b").close()


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"STREAM_DETECTOR_DATA_DIR=.*cannot be used: Not a directory"):
        DataFolder(tmp_path / "file" / "data")


def test_the_secret_key_is_made_once_and_readable_by_its_user_alone(tmp_path):
    folder = DataFolder(tmp_path)
    key = folder.secret_key()
    assert len(key) >= 32
    assert folder.secret_key() == key
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    folder.close()


def test_a_long_log_is_put_aside(tmp_path):
    folder = DataFolder(tmp_path)
    path = folder.log("detector")
    path.write_bytes(b"x" * (LOG_ROTATE_BYTES + 1))
    assert folder.log("detector") == path
    assert not path.exists()
    assert path.with_suffix(".log.1").exists()
    folder.close()


def test_a_machine_without_java_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ChildError, match="needs Java 17 or newer, and there is none on PATH: install it"):
        apache.find_java()


def test_a_machine_without_maven_and_jars_is_told_where_they_should_be(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChildError, match=r"jars of Apache Kafka are not in .*, and Maven \(mvn\)"):
        apache.download_jars(tmp_path / "jars")


def test_old_java_is_refused(monkeypatch, tmp_path):
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ChildError, match=r"needs Java 17 or newer, .* is 11"):
        apache.find_java()
