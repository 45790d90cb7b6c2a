"""A role that hangs ends itself and says where; one that is asked to end does so, in order or at once."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream_detector.devstack.ports import free_port
from stream_detector.devstack.tansu import Tansu
from stream_detector.kafka.client import client_options
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.end_offsets import read_topic
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, SCORES
from stream_detector.shutdown import EXIT_FAILURE
from tests.drills.stage import Play, until
from tests.servers.installation import get

STALLED = {"stalled_after_s": "5"}


@pytest.fixture(params=["tansu"])
def broker(request):
    """Hanging and ending are our own; one kind of broker is enough, and the test that needs the other one says so."""
    return request.getfixturevalue(request.param)


def failure(number):
    at = (datetime.now(UTC) - timedelta(days=1) + timedelta(minutes=number)).isoformat()
    event = {"execution_id": f"run-{number}", "workflow_id": "nightly", "status": "failure"}
    return json.dumps(event | {"started_at": at, "finished_at": at}).encode()


async def three_failures(settings):
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
        for number in range(3):
            await producer.send_and_wait(settings.topic(COMPLETIONS), failure(number), key=b"nightly")


async def ended(role, play):
    async def gone():
        return not role.alive

    await until(gone, "the end", play.last_words)
    return role.child.process.returncode


async def is_ready(role, play):
    async def ready():
        return await asyncio.to_thread(lambda: role.ready)

    await until(ready, "readiness", play.last_words)


async def alerts(settings):
    return [json.loads(record.value) async for record in read_topic(settings, ALERTS)]


async def test_a_recorder_that_hangs_ends_itself_and_its_successor_stores(play, pool, postgres_url):
    """A lock that somebody holds on a table is a real one: the database answers, and the statement never ends."""
    settings = play.settings
    play.settings = type(settings)(**vars(settings) | {"database_url": postgres_url})
    recorder = play.start("recorder", **STALLED)
    await is_ready(recorder, play)
    blocker = await asyncpg.connect(postgres_url)
    holding = blocker.transaction()
    await holding.start()
    await blocker.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
    async with AIOKafkaProducer(**client_options(settings), acks="all") as producer:
        score = {"entity_id": "lido", "entity_name": "Lido", "score": 7.5, "scored_at": datetime.now(UTC).isoformat()}
        await producer.send_and_wait(settings.topic(SCORES), json.dumps(score).encode(), partition=2)
    assert await ended(recorder, play) == EXIT_FAILURE
    assert f"{settings.topic(SCORES)}-2 made no progress at offset 0 of 1" in recorder.child.last_lines(1)
    await holding.rollback()
    await blocker.close()
    play.start("recorder")
    await play.drained("recorder")
    assert await pool.fetchval("SELECT count(*) FROM scores") == 1


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("blocked-loop", "its event loop was blocked for"),
        pytest.param("deaf", "made no progress at offset 0 of ", marks=pytest.mark.drill),
        pytest.param("ended-renewal", "has ended: RuntimeError('a defect')", marks=pytest.mark.drill),
        pytest.param("silent-coordinator", "no checkpoint for ", marks=pytest.mark.drill),
    ],
)
async def test_a_detector_that_hangs_ends_itself_and_its_successor_detects(play, harm, said):
    detector = play.start("detector", change=harm, **STALLED)
    await is_ready(detector, play)
    await three_failures(play.settings)
    assert await ended(detector, play) == EXIT_FAILURE
    assert said in detector.child.last_lines(1)
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert len({alert["id"] for alert in await alerts(play.settings)}) == 1


async def test_a_detector_joins_again_where_its_group_is_troubled(play):
    """Faust never asks aiokafka for the error at which it stops all coordination, so stock stays as it is for ever:
    it reads what it was assigned, and can neither commit nor rejoin."""
    detector = play.start("detector", change="troubled-group")
    await is_ready(detector, play)

    async def troubled():
        return all(f"unexpected, to {what}" in detector.child.log_path.read_text() for what in ("a heart", "an assign"))

    await until(troubled, "both troubles", play.last_words)
    await three_failures(play.settings)
    await play.drained("detector", alive=lambda: detector.alive)
    assert len(await alerts(play.settings)) == 1


async def test_it_is_not_ready_while_it_recovers_and_alive_all_the_same(play, tmp_path):
    await three_failures(play.settings)
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert detector.stop() == 0
    held = tmp_path / "held"
    held.touch()
    detector = play.start("detector", change="held-recovery", environ={"HELD": str(held)})

    async def recovering():
        answer = await asyncio.to_thread(get, f"http://127.0.0.1:{detector.port}/readyz")
        return answer == (503, "waiting for partitions, or recovering state\n")

    await until(recovering, "recovery", play.last_words)
    assert detector.answers("/livez") == 200
    held.unlink()
    await is_ready(detector, play)


@pytest.mark.apache
@pytest.mark.parametrize("broker", ["apache"], indirect=True)  # the embedded one lists members that have left
async def test_asked_to_end_it_leaves_its_group_at_once(play, producer):
    """Else the others would wait for the session to time out, here for a minute."""
    settings = play.settings
    detector = play.start("detector", session_timeout_s="60")
    await is_ready(detector, play)
    sends = [
        await producer.send(settings.topic(COMPLETIONS), failure(number), key=f"w{number % 50}".encode())
        for number in range(2000)
    ]
    detector.child.send(signal.SIGTERM)
    assert await ended(detector, play) == 0
    await asyncio.gather(*sends)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([settings.group("detector")])
    finally:
        await admin.close()
    ((_, _, state, _, _, members, *_),) = answer.groups
    assert (state, members) == ("Empty", [])


@pytest.fixture
async def frozen(make_settings, tmp_path):
    """A detector with something to write and to commit, whose broker has stopped to answer."""
    with Tansu.start(tmp_path / "tansu") as broker:
        settings = make_settings(broker=broker.address, checkpoint_interval_s=60.0)
        await make_topics(settings)
        play = Play(settings, tmp_path)
        detector = play.start("detector")
        try:
            await is_ready(detector, play)
            await three_failures(settings)

            async def found():
                return len(await alerts(settings)) == 1

            await until(found, "the alert", play.last_words)
            broker.child.send(signal.SIGSTOP)
            yield play, detector, broker
        finally:
            broker.child.send(signal.SIGCONT)
            for role in play.roles:
                role.kill()


async def test_where_the_broker_is_away_a_deadline_ends_it_and_nothing_is_lost(frozen):
    play, detector, broker = frozen
    detector.child.send(signal.SIGTERM)
    assert await ended(detector, play) == EXIT_FAILURE
    assert "did not shut down within 9 s" in detector.child.last_lines(1)
    broker.child.send(signal.SIGCONT)
    detector = play.start("detector", checkpoint_interval_s="0.3")
    await play.drained("detector", alive=lambda: detector.alive)
    assert len({alert["id"] for alert in await alerts(play.settings)}) == 1


@pytest.mark.drill
async def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(frozen):
    play, detector, broker = frozen
    detector.child.send(signal.SIGTERM)
    detector.child.send(signal.SIGINT)
    code = await ended(detector, play)
    assert code in (128 + signal.SIGTERM, 128 + signal.SIGINT)  # two signals at once come in the order of their numbers
    assert "a second signal to stop arrived" in detector.child.last_lines(1)
    broker.child.send(signal.SIGCONT)
    detector = play.start("detector", checkpoint_interval_s="0.3")
    await play.drained("detector", alive=lambda: detector.alive)
    assert len({alert["id"] for alert in await alerts(play.settings)}) == 1


async def test_one_that_waits_for_its_broker_ends_when_asked(make_settings, tmp_path):
    play = Play(make_settings(broker=f"127.0.0.1:{free_port()}"), tmp_path)
    detector = play.start("detector")

    async def waits():
        return "does not answer" in detector.child.last_lines(1)

    await until(waits, "the wait", play.last_words)
    detector.child.send(signal.SIGTERM)
    assert await ended(detector, play) == 0
    assert "detector stopped" in detector.child.last_lines(1)


@pytest.mark.apache
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
@pytest.mark.drill
async def test_a_static_member_that_is_back_in_time_moves_nobodys_partitions(play):
    """Its cost, too: while it is away its partitions are nobody's."""
    settings = play.settings
    stays = play.start("detector", group_instance_id="a", session_timeout_s="60")
    await is_ready(stays, play)
    comes_back = play.start("detector", group_instance_id="b", session_timeout_s="60")

    def became_ready():
        return stays.child.log_path.read_text().count("is ready")  # both write this one log

    async def shared():
        return stays.ready and comes_back.ready and became_ready() == 3

    await until(shared, "two members", play.last_words)
    assert comes_back.stop() == 0
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([settings.group("detector")])
    finally:
        await admin.close()
    assert len(answer.groups[0][5]) == 2, "it has not left"
    await three_failures(settings)
    again = play.start("detector", group_instance_id="b", session_timeout_s="60")
    await is_ready(again, play)
    await play.drained("detector", alive=lambda: stays.alive and again.alive)
    assert len(await alerts(settings)) == 1
    assert became_ready() == 4, "the one that is back, and nobody else"
