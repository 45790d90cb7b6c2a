"""Apache Kafka with TLS, SCRAM and ACLs: the whole way with the least ACLs, and what is said when one is missing."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from stream_detector.devstack.ports import free_port
from stream_detector.kafka import topics
from stream_detector.kafka.acls import GROUPED, ROLES, SUBSCRIBERS_GROUP, Acl, optional_acls, required_acls
from stream_detector.kafka.client import client_options, wait_for_broker
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.preflight import MissingAclsError, run_preflight
from stream_detector.settings import Settings
from tests.drills.roles import Role
from tests.drills.stage import until
from tests.servers.installation import get
from tests.servers.program import call
from tests.servers.secured import SecuredKafka
from tests.servers.slack import SlackServer, slack  # noqa: F401 - a fixture

pytestmark = pytest.mark.apache


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with SecuredKafka.start(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture
async def settings(secured: SecuredKafka, make_settings: Callable[..., Settings]) -> Settings:
    """Every ACL is granted and every topic made. No user is set yet."""
    made = make_settings(broker=secured.address, checkpoint_interval_s=0.3)
    await secured.grant(made)
    await make_topics(secured.as_user(made, "setup"))
    return made


def health(settings, port):
    status, text = get(f"http://127.0.0.1:{port}/api/v1/health", token=settings.api_token)
    return json.loads(text) if status == 200 else None


async def test_the_whole_way_with_the_least_acls(secured, settings, postgres_url, slack, tmp_path):  # noqa: F811
    """From an event to an alert, a row and a message; each role as a user of its own, and people as theirs."""
    api_port = free_port()
    settings = replace(settings, database_url=postgres_url, slack_webhook_url=slack.url, api_port=api_port)
    roles = [
        Role.start(name, secured.as_user(settings, name), tmp_path, session_timeout_s="10")
        for name in (*GROUPED, "api")
    ]
    try:

        async def ready():
            assert all(role.alive for role in roles), [role.child.last_lines(3) for role in roles]
            return all(role.ready for role in roles)

        await until(ready, "every role is ready", lambda: str([role.child.last_lines(3) for role in roles]))
        day = datetime.now(UTC) - timedelta(hours=1)
        async with AIOKafkaProducer(**client_options(secured.as_user(settings, "producers")), acks="all") as producer:
            for number in range(3):
                at = (day + timedelta(minutes=number)).isoformat()
                event = {"execution_id": f"run-{number}", "workflow_id": "nightly", "status": "failure"}
                value = json.dumps(event | {"started_at": at, "finished_at": at}).encode()
                await producer.send_and_wait(settings.topic(topics.COMPLETIONS), value, key=b"nightly")
            await producer.send_and_wait(settings.topic(topics.SCORES), b"no score", key=b"x")

        subscriber = AIOKafkaConsumer(
            settings.topic(topics.ALERTS),
            **client_options(secured.as_user(settings, "subscribers")),
            group_id=SUBSCRIBERS_GROUP,
            auto_offset_reset="earliest",
        )
        async with subscriber:
            alert = json.loads((await subscriber.getone()).value)
            assert alert["anomaly_type"] == "ConsecutiveFailures"
            await subscriber.commit()

        connection = await asyncpg.connect(postgres_url)
        try:

            async def stored():
                rows = await connection.fetch("SELECT id FROM anomalies")
                letters = await connection.fetchval("SELECT count(*) FROM dead_letters")
                return [str(row["id"]) for row in rows] == [alert["id"]] and letters == 1

            await until(stored, "the anomaly and the dead letter are rows")
        finally:
            await connection.close()

        async def sent():
            return len(slack.accepted) == 1

        await until(sent, "the message")
        operators = secured.as_user(settings, "operators")
        letters = [record.value async for record in read_topic(operators, topics.DEAD_LETTERS)]
        assert letters == [b"no score"]
        done = call(operators, "doctor", "--json")
        lines = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
        assert lines["detector"]["ok"] and lines["topics"]["ok"], done.stdout

        async def all_parts_are_ok():
            found = await asyncio.to_thread(health, settings, api_port)
            return found and {part["state"] for part in found["parts"]} == {"ok"}

        await until(all_parts_are_ok, "X3: the API, which may not read every topic, knows each role")
    finally:
        codes = [role.stop() for role in roles]
    assert codes == [0] * len(roles)


@pytest.mark.parametrize(
    "role",
    [pytest.param(role, marks=[] if role == "detector" else pytest.mark.drill) for role in ROLES if role != "setup"],
)
@pytest.mark.drill
async def test_a_role_without_one_acl_says_which(secured, settings, role):
    mine = secured.as_user(settings, role)
    await run_preflight(mine, role)
    for acl in set(required_acls(role, settings)) - set(optional_acls(role, settings)):
        await secured.revoke(role, acl)
        with pytest.raises(MissingAclsError) as error:
            await run_preflight(mine, role)
        await secured.give_back(role, acl)
        assert f"does not allow user {role}: " in str(error.value)
        assert f"{acl.operation} on {acl.kind} {acl.name}" in str(error.value), acl
        assert f"`stream-detector acls --role {role}`" in str(error.value)
    await run_preflight(mine, role)


@pytest.mark.drill
async def test_setup_without_one_acl_says_which(secured, make_settings):
    settings = make_settings(broker=secured.address)
    await secured.grant(settings, ["setup"])
    mine = secured.as_user(settings, "setup")
    create = Acl("topic", settings.topic(topics.ALERTS), "Create")
    await secured.revoke("setup", create)
    with pytest.raises(MissingAclsError, match=f"does not allow user setup: {create}"):
        await make_topics(mine)
    await secured.give_back("setup", create)
    await make_topics(mine)
    for operation in ("Describe", "DescribeConfigs"):
        acl = Acl("topic", settings.topic(topics.ALERTS), operation)
        await secured.revoke("setup", acl)
        with pytest.raises(MissingAclsError, match=f"does not allow user setup: {acl}|; {acl}"):
            await make_topics(mine)
        await secured.give_back("setup", acl)


@pytest.mark.drill
async def test_what_is_printed_is_what_kafkas_own_program_takes(secured, make_settings):
    """The other tests grant by the protocol; here the printed calls are run as they are."""
    settings = make_settings(broker=secured.address)
    await secured.grant(settings, ["setup"])
    await make_topics(secured.as_user(settings, "setup"))
    mine = secured.as_user(settings, "api")
    with pytest.raises(MissingAclsError):
        await run_preflight(mine, "api")
    done = call(settings, "acls", "--role", "api")
    assert done.returncode == 0, done.stderr
    comment, *calls = done.stdout.splitlines()
    assert comment == "# api" and len(calls) == 4
    secured.call(calls)
    assert set(await run_preflight(mine, "api")) == {
        topics.COMPLETIONS, topics.SCORES, topics.SCORE_RUNS, topics.ALERTS, topics.ACTIONS, topics.DEAD_LETTERS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"broker_password": "wrong"}, "rejects user detector or its password: check STREAM_DETECTOR_BROKER_USER"),
        ({"broker_user": "nobody"}, "rejects user nobody or its password"),
        ({"broker_ca_file": ""}, "name the CA that signed it in STREAM_DETECTOR_BROKER_CA_FILE"),
        ({"broker_security": "plaintext"}, "check STREAM_DETECTOR_BROKER_SECURITY, which is plaintext"),
        ({"broker_security": "ssl"}, "check STREAM_DETECTOR_BROKER_SECURITY, which is ssl"),
        ({"broker_sasl_mechanism": "plain"}, "does not offer plain: set STREAM_DETECTOR_BROKER_SASL_MECHANISM"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_is_wrong_with_the_connection_is_said(secured, make_settings, changes, said):
    mine = replace(secured.as_user(make_settings(), "detector"), **changes)
    with pytest.raises(KafkaConnectionError) as error:
        await wait_for_broker(mine, give_up_after_s=0)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


async def test_tls_on_a_broker_that_speaks_none_is_said(secured, make_settings):
    mine = replace(secured.as_user(make_settings(), "detector"), broker=secured.apache.address)
    with pytest.raises(KafkaConnectionError, match="check STREAM_DETECTOR_BROKER_SECURITY, which is sasl_ssl"):
        await wait_for_broker(mine, give_up_after_s=0)


@pytest.mark.drill
async def test_a_ca_that_cannot_be_read_stops_the_start(secured, settings):
    done = call(replace(secured.as_user(settings, "detector"), broker_ca_file="/nowhere.pem"), "detector")
    assert done.returncode == 2
    assert "STREAM_DETECTOR_BROKER_CA_FILE='/nowhere.pem': cannot be read as PEM" in done.stderr


@pytest.mark.drill
async def test_doctor_names_the_acl_that_it_lacks(secured, settings):
    acl = Acl("group", settings.group("recorder"), "Describe")
    await secured.revoke("operators", acl)
    done = call(secured.as_user(settings, "operators"), "doctor", "--json")
    await secured.give_back("operators", acl)
    lines = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert str(acl) in lines["ACLs"]["advice"]
    assert lines["topics"]["ok"]


@pytest.mark.parametrize(
    "acl",
    [
        ("topic", topics.ALERTS, "Write"),
        pytest.param(("topic", topics.COMPLETIONS, "Read"), marks=pytest.mark.drill),
        pytest.param(("group", "", "Read"), marks=pytest.mark.drill),
    ],
    ids="-".join,
)
@pytest.mark.drill
async def test_an_acl_taken_away_while_it_runs_is_named(secured, settings, tmp_path, acl):
    """The detector ends, says why, and refuses to start until the ACL is back; then it has lost nothing."""
    kind, name, operation = acl
    acl = Acl(kind, settings.topic(name) if kind == "topic" else settings.group("detector"), operation)
    mine = secured.as_user(settings, "detector")
    role = Role.start("detector", mine, tmp_path)
    try:

        async def ready():
            return role.ready

        await until(ready, "the detector", lambda: role.child.last_lines(5))
        await secured.revoke("detector", acl)
        day = datetime.now(UTC) - timedelta(days=1)
        async with AIOKafkaProducer(**client_options(secured.as_user(settings, "producers")), acks="all") as producer:
            for number in range(3):
                at = (day + timedelta(minutes=number)).isoformat()
                event = {"execution_id": f"run-{number}", "workflow_id": "nightly", "status": "failure"}
                value = json.dumps(event | {"started_at": at, "finished_at": at}).encode()
                await producer.send_and_wait(settings.topic(topics.COMPLETIONS), value, key=b"nightly")

        async def ended():
            return not role.alive

        await until(ended, "the detector ends itself", lambda: role.child.last_lines(5))
        assert str(acl) in role.child.last_lines(2)
        assert "`stream-detector acls --role detector`" in role.child.last_lines(2)
        role = Role.start("detector", mine, tmp_path)
        await until(ended, "the detector refuses to start", lambda: role.child.last_lines(5))
        assert role.child.process.returncode == 1
        assert f"does not allow user detector: {acl}" in role.child.last_lines(1)

        await secured.give_back("detector", acl)
        role = Role.start("detector", mine, tmp_path)

        async def found():
            return len([each async for each in read_topic(secured.as_user(settings, "operators"), topics.ALERTS)]) == 1

        await until(found, "the alert", lambda: role.child.last_lines(5))
    finally:
        role.kill()


@pytest.mark.drill
async def test_x2_a_recorder_with_the_acls_of_a_former_version_starts_without_the_state_topics(secured, settings):
    mine = secured.as_user(settings, "recorder")
    for acl in optional_acls("recorder", settings):
        await secured.revoke("recorder", acl)
    known = await run_preflight(mine, "recorder")
    assert topics.BASELINES in known and not {topics.RUNS_STATE, topics.NOTIFIER_STATE} & known.keys()
    for acl in optional_acls("recorder", settings):
        await secured.give_back("recorder", acl)
    assert {topics.RUNS_STATE, topics.NOTIFIER_STATE} <= (await run_preflight(mine, "recorder")).keys()
