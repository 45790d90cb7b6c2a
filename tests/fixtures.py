"""Real brokers and databases for tests, started once a session, and a name space of its own for each test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_detector.devstack import supervise
from stream_detector.devstack.apache import Apache
from stream_detector.devstack.postgres import Postgres
from stream_detector.devstack.tansu import Tansu
from stream_detector.settings import Settings
from tests.drills import roles
from tests.drills.warm_start import WarmStarts

API_TOKEN = "a-token-of-the-tests"
"""An operator's, in the settings of every test that names no other."""


@pytest.fixture(scope="session")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    """The embedded broker. `.address`"""
    with Tansu.start(tmp_path_factory.mktemp("tansu")) as broker:
        yield broker


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apache]:
    """One broker of Apache Kafka. `.address`. Mark tests that use it `apache`."""
    with Apache.start(tmp_path_factory.mktemp("apache")) as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apache]:
    """Three brokers of Apache Kafka. A test that stops one starts it again. Mark tests that use it `apache`."""
    with Apache.start(tmp_path_factory.mktemp("apache-cluster"), brokers=3) as brokers:
        yield brokers


@pytest.fixture(params=["tansu", pytest.param("apache", marks=[pytest.mark.apache, pytest.mark.drill])])
def broker(request: pytest.FixtureRequest) -> Tansu | Apache:
    """The test runs against each kind of broker, Apache Kafka in `make drills`. `.address`"""
    started: Tansu | Apache = request.getfixturevalue(request.param)
    return started


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topics and groups that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def make_settings(topic_prefix: str) -> Callable[..., Settings]:
    """Settings of a test: own topics, short session, any port free, an operator's token. Keyword arguments override."""

    def make(**changes: Any) -> Settings:
        values = {
            "topic_prefix": topic_prefix,
            "session_timeout_s": 6.0,
            "api_port": 0,
            "api_token": API_TOKEN,
            **changes,
        }
        return Settings(**values)

    return make


def _open_path() -> Path:
    """A path not taken yet, under a folder that user nobody can enter, which pytest's own are not."""
    return Path(tempfile.gettempdir()) / f"stream-detector-test-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder, not made yet, that the embedded database can live in, also when it runs as another user."""
    folder = _open_path()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The embedded database. It waits for no disk: else each DROP DATABASE takes a second, 0.07 s without."""
    folder = _open_path()
    try:
        with Postgres.start(folder) as server:
            psql(server, "ALTER SYSTEM SET fsync = off")
            psql(server, "SELECT pg_reload_conf()")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def psql(server: Postgres, statement: str) -> None:
    """Run one statement as the server's superuser."""
    command = [str(server.binaries / "psql"), server.url("postgres"), "-qc", statement]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def used_databases() -> list[str]:
    """Migrated, empty databases that a test had and gave back."""
    return []


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: Postgres, used_databases: list[str]) -> Iterator[str]:
    """A database of the test's own: without a table, or for a test with `pool` maybe a migrated, empty one used before.

    To make, migrate and drop one takes a second, to empty one a tenth of that.
    """
    if "pool" in request.fixturenames and used_databases:
        name = used_databases.pop()
    else:
        name = f"t_{uuid.uuid4().hex[:12]}"
        psql(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    if name not in used_databases:
        psql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


UNIT = Path(__file__).parent / "unit"
"""Nothing is started there."""


@pytest.fixture(scope="session")
def warm_starts() -> Iterator[WarmStarts]:
    """What roles are forked from."""
    starts = WarmStarts()
    yield starts
    starts.close()


@pytest.fixture(autouse=True)
def warm_roles(request: pytest.FixtureRequest) -> None:
    """Roles that the test starts have their modules imported already, unless it is marked `drill` or `cold`."""
    if request.path.is_relative_to(UNIT) or any(map(request.node.get_closest_marker, ("cold", "drill"))):
        return  # nothing is made for them
    start = request.getfixturevalue("warm_starts").start
    patched = request.getfixturevalue("monkeypatch")
    for module in (roles, supervise):
        patched.setattr(module, "start_owned", start)
