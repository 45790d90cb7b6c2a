"""PostgreSQL over TLS with a password and a user for each role: the way from an event to the page, and what is said."""

import asyncio
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import trustme
from aiokafka import AIOKafkaProducer

from stream_detector.kafka import topics
from stream_detector.kafka.create_topics import make_topics
from stream_detector.settings import SettingsError
from stream_detector.store.connect import StoreAwayError, open_pool
from tests.drills.roles import Role
from tests.drills.stage import until
from tests.servers.installation import get
from tests.servers.program import call
from tests.servers.secured_postgres import SecuredPostgres, password_of

pytestmark = pytest.mark.postgresql
USERS = ("migrator", "recorder", "api", "readers")


@pytest.fixture(scope="module")
def secured() -> Iterator[SecuredPostgres]:
    folder = Path(tempfile.gettempdir()) / f"stream-detector-tls-{os.getpid()}"
    with SecuredPostgres.start(folder) as server:
        for user in USERS:
            server.run("postgres", f"CREATE ROLE {user} LOGIN PASSWORD '{password_of(user)}'")
        yield server


@pytest.fixture
def database(secured: SecuredPostgres) -> str:
    name = f"t_{uuid.uuid4().hex[:12]}"
    secured.run("postgres", f"CREATE DATABASE {name}")
    return name


async def test_each_role_as_its_own_user_over_tls(secured, database, tansu, make_settings, tmp_path):
    settings = make_settings(broker=tansu.address, checkpoint_interval_s=0.3)
    await make_topics(settings)

    def as_user(user):
        return make_settings(**vars(settings) | {"database_url": secured.url(database, user)})

    done = call(as_user("migrator"), "setup")
    assert done.returncode == 1
    assert "does not allow user migrator" in done.stderr and "`stream-detector grants --role migrator`" in done.stderr
    secured.run(database, call(settings, "grants", "--role", "migrator").stdout)
    assert call(as_user("migrator"), "setup").returncode == 0

    refused = Role.start("recorder", as_user("recorder"), tmp_path)

    async def ended():
        return not refused.alive

    await until(ended, "the recorder refuses to start", lambda: refused.child.last_lines(5))
    assert refused.child.process.returncode == 1
    assert "does not allow user recorder" in refused.child.last_lines(2)
    for role in ("recorder", "api", "readers"):
        secured.run_as(secured.url(database, "migrator"), call(settings, "grants", "--role", role).stdout)

    detector = Role.start("detector", settings, tmp_path)
    recorder = Role.start("recorder", as_user("recorder"), tmp_path)
    api = Role.start("api", as_user("api"), tmp_path)
    readers = None
    try:
        day = datetime.now(UTC) - timedelta(days=1)
        async with AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer:
            for number in range(3):
                at = (day + timedelta(minutes=number)).isoformat()
                event = {"execution_id": f"run-{number}", "workflow_id": "nightly", "status": "failure"}
                value = json.dumps(event | {"started_at": at, "finished_at": at}).encode()
                await producer.send_and_wait(settings.topic(topics.COMPLETIONS), value, key=b"nightly")
        readers = await asyncpg.connect(secured.url(database, "readers"))

        async def stored():
            return await readers.fetchval("SELECT count(*) FROM anomalies") == 1

        await until(stored, "the anomaly", lambda: f"{recorder.child.last_lines(3)}\n{detector.child.last_lines(3)}")
        encrypted = await readers.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert encrypted
        listening = api.child.log_path.read_text().partition("http://127.0.0.1:")[2].partition("/")[0]
        status, text = get(f"http://127.0.0.1:{listening}/api/v1/ai/anomalies", token=settings.api_token)
        assert status == 200 and json.loads(text)["items"][0]["entity_id"] == "nightly"
        made = call(as_user("api"), "token", "create", "--role", "viewer", "--name", "page", "--json")
        assert made.returncode == 0, made.stderr
    finally:
        if readers:
            await readers.close()
        codes = [role.stop() for role in (detector, recorder, api)]
    assert codes == [0, 0, 0]


async def test_a_privilege_taken_away_while_the_recorder_runs_is_named_and_nothing_is_lost(
    secured, database, tansu, make_settings, tmp_path
):
    settings = make_settings(
        broker=tansu.address, checkpoint_interval_s=0.3, database_url=secured.url(database, "recorder")
    )
    await make_topics(settings)
    secured.run(database, call(settings, "grants", "--role", "migrator").stdout)
    assert call(make_settings(database_url=secured.url(database, "migrator")), "setup").returncode == 0
    grants = call(settings, "grants", "--role", "recorder").stdout
    secured.run(database, grants)
    recorder = Role.start("recorder", settings, tmp_path)
    try:

        async def ready():
            return recorder.ready

        await until(ready, "the recorder", lambda: recorder.child.last_lines(5))
        secured.run(database, "REVOKE INSERT ON scores FROM recorder")
        score = {"entity_id": "lido", "entity_name": "Lido", "score": 7.5, "scored_at": datetime.now(UTC).isoformat()}
        async with AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer:
            await producer.send_and_wait(settings.topic(topics.SCORES), json.dumps(score).encode(), key=b"lido")

        async def ended():
            return not recorder.alive

        await until(ended, "the recorder ends itself", lambda: recorder.child.last_lines(5))
        said = recorder.child.last_lines(1)
        assert "permission denied for table scores" in said and "`stream-detector grants --role recorder`" in said

        secured.run(database, grants)
        recorder = Role.start("recorder", settings, tmp_path)
        connection = await asyncpg.connect(settings.database_url)
        try:

            async def stored():
                return await connection.fetchval("SELECT count(*) FROM scores") == 1

            await until(stored, "the score", lambda: recorder.child.last_lines(5))
            assert not await connection.fetchval("SELECT count(*) FROM dead_letters")
        finally:
            await connection.close()
    finally:
        recorder.stop()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"options": "sslmode=disable"}, "no encryption"),
    ],
    ids=["password", "no-tls"],
)
async def test_a_user_who_is_refused_waits_and_the_reason_is_said(secured, database, how, said):
    """It may be put right on either side, so a role waits, as for a database that is away."""
    with pytest.raises(StoreAwayError, match=said) as error:
        await open_pool(secured.url(database, "recorder", **how), name="test")
    assert password_of("recorder") not in str(error.value)


async def test_a_certificate_of_another_ca_is_refused(secured, database, tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    url = secured.url(database, "recorder", options=f"sslmode=verify-full&sslrootcert={tmp_path / 'other.pem'}")
    with pytest.raises(StoreAwayError, match="certificate verify failed"):
        await asyncio.wait_for(open_pool(url, name="test"), 60)


async def test_a_ca_that_is_not_there_stops_the_start(secured, database):
    url = secured.url(database, "recorder", options="sslmode=verify-full&sslrootcert=/nowhere.pem")
    with pytest.raises(SettingsError, match=r"STREAM_DETECTOR_DATABASE_URL=\.\.\.sslrootcert=/nowhere.pem"):
        await open_pool(url, name="test")
