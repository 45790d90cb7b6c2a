"""W39: the check of one execution answers with what the live detector found in it, once that is certain."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp.test_utils import TestClient

from stream_detector.detect import Baseline, Config, step
from stream_detector.devstack.ports import free_port
from stream_detector.devstack.tansu import Tansu
from stream_detector.events import Completion
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import ALERTS, COMPLETIONS, DEAD_LETTERS, REKEYED
from stream_detector.serve import judgement
from stream_detector.serve.routes import ROUTES
from stream_detector.settings import Settings
from stream_detector.store.epochs import epoch_of
from stream_detector.store.rows import BaselineState, DeadLetterNote, Row, Rows
from stream_detector.store.write import Writer
from tests.events_made import NOON, anomaly, completion, row
from tests.integration.serve.conftest import Serve
from tests.integration.serve.progress import commit, identity_of, publish

Client = TestClient[Any, Any]
CHECK = "/api/v1/ai/check-anomalies"
DATA = ("executions", "anomalies", "incidents", "baselines", "notifications", "actions")
COUNT = "SELECT count(*), max(xmin::text::bigint) FROM {}"


@pytest.fixture
async def settings(tansu: Tansu, make_settings: Callable[..., Settings]) -> Settings:
    """Topics of the test's own."""
    made = make_settings(broker=tansu.address)
    await make_topics(made)
    return made


@pytest.fixture
async def client(serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The API in profile robust, whatever the detector is on; it waits for a result half as long as it does."""
    monkeypatch.setattr(judgement, "_WITHIN_S", 1.0)
    return await serve(broker=settings.broker, profile="robust")


@pytest.fixture
async def stored(settings: Settings, pool: asyncpg.Pool) -> Callable[..., Awaitable[Row[Completion]]]:
    """Stores an execution that lay at offset 4 of partition 1 of the stream of today."""

    async def store(**place: Any) -> Row[Completion]:
        epoch = await epoch_of(pool, await identity_of(settings))
        made = row(completion("slow", duration_s=300.0), 4, **{"partition": 1, "epoch": epoch} | place)
        assert await Writer(pool).write(Rows(executions=[made])) == []
        return made

    return store


async def store_found(pool: asyncpg.Pool, *names: str) -> None:
    """Anomalies of the execution `slow`, as a detector in profile classic finds them."""
    found = [anomaly(name, execution_id="slow", profile="classic") for name in names]
    assert await Writer(pool).write(Rows(anomalies=[row(each) for each in found])) == []


async def ask(client: Client, execution_id: str = "slow", status: int = 200, saying: str = "", **body: Any) -> Any:
    """The response; on a slow machine the first requests come before Kafka has answered the API, as a 202 states."""
    async with asyncio.timeout(30):
        while True:
            answer = await client.post(CHECK, json={"workflow_execution_id": execution_id, **body})
            if answer.status != 202 or (status == 202 and saying in await answer.text()):
                break
    assert answer.status == status, await answer.text()
    return await answer.json()


async def judged(settings: Settings, offset: int = 5) -> None:
    """The detector has committed what lies below the offset of partition 1."""
    await commit(settings, "detector", COMPLETIONS, offset, partition=1)


async def test_w39_what_is_stored_is_the_answer_whatever_profile_the_api_is_on(
    client: Client, settings: Settings, pool: asyncpg.Pool, stored: Any
) -> None:
    """compose had the detector on `classic` and the API on `robust`: "nothing was found" beside two anomalies."""
    await stored()
    await store_found(pool, "a", "b")
    await judged(settings)
    found = await ask(client)
    assert {each["id"] for each in found} == {anomaly("a").id, anomaly("b").id}
    assert {each["profile"] for each in found} == {"classic"}
    assert msgspec.convert(found[0], type=type(anomaly("a"))) in (
        anomaly("a", execution_id="slow"),
        anomaly("b", execution_id="slow"),
    )


async def test_w39_until_the_detector_has_passed_it_there_is_no_result(
    client: Client, settings: Settings, stored: Any
) -> None:
    await stored()
    never = await client.post(CHECK, json={"workflow_execution_id": "slow"})
    assert never.status == 202 and never.headers["Retry-After"] == "1"
    assert (await never.json())["detail"].startswith("Not evaluated yet")
    await judged(settings, offset=4)
    await ask(client, status=202, saying="offset 4; the event is at 4")
    assert (await client.get("/api/v1/why", params={"execution": "slow"})).status == 202
    await judged(settings)
    assert await ask(client) == []


async def test_w39_what_the_recorder_has_not_stored_yet_is_waited_for(
    client: Client, settings: Settings, pool: asyncpg.Pool, stored: Any
) -> None:
    await stored()
    await judged(settings)
    await publish(settings, ALERTS, 2, partition=3)
    await ask(client, status=202, saying="the recorder has committed")
    await store_found(pool, "a")
    await commit(settings, "recorder", ALERTS, 2, partition=3)
    assert [each["id"] for each in await ask(client)] == [anomaly("a").id]


async def test_w39_an_execution_is_unknown_only_once_all_that_is_published_is_stored(
    client: Client, settings: Settings, stored: Any
) -> None:
    await publish(settings, COMPLETIONS, 5, partition=1)
    await ask(client, status=202, saying="5 records of workflow-completions")
    assert (await client.get("/api/v1/why", params={"execution": "slow"})).status == 202
    await commit(settings, "recorder", COMPLETIONS, 5, partition=1)
    await ask(client, status=404)
    await stored()
    await judged(settings)
    assert await ask(client) == []


async def test_w39_an_event_that_went_on_to_its_owner_is_judged_once_it_is_applied_there(
    client: Client, settings: Settings, stored: Any
) -> None:
    await stored()
    await publish(settings, REKEYED, partition=2)
    await judged(settings)
    await ask(client, status=202, saying="rekeyed-2 up to offset 0 of 1")
    await commit(settings, "detector", REKEYED, 1, partition=2)
    assert await ask(client) == []


async def test_w39_under_load_what_was_waited_for_is_found(client: Client, settings: Settings, stored: Any) -> None:
    """The end moves on with each question; the end of the first one counts."""
    await stored()
    await judged(settings)
    await publish(settings, ALERTS, 3)
    await ask(client, status=202, saying="the recorder has committed")  # so the end is known
    await publish(settings, ALERTS, 3)
    await commit(settings, "recorder", ALERTS, 3)
    assert await ask(client) == []


@pytest.mark.parametrize("learnt", [False, True], ids=["refused", "retried since"])
async def test_w39_an_execution_that_the_detector_refused_was_not_judged(
    client: Client, settings: Settings, pool: asyncpg.Pool, stored: Any, learnt: bool
) -> None:
    made = await stored()
    note = DeadLetterNote(
        topic=COMPLETIONS, partition=1, offset=4, timestamp_ms=0, stage="step", reason="step_failed", message="Error"
    )
    await Writer(pool).write(Rows(dead_letters=[row(note, 7, epoch=made.epoch)]))
    await publish(settings, DEAD_LETTERS)
    await judged(settings)
    await ask(client, status=202)
    await commit(settings, "recorder", DEAD_LETTERS, 1)
    if learnt:
        baseline = Baseline.new("workflow:nightly")
        step(baseline, made.event, Config())
        state = BaselineState(key=baseline.key, packed=baseline.pack())
        await Writer(pool).write(Rows(baselines=[row(state, epoch=made.epoch)]))
        assert await ask(client) == []
        return
    assert "dead letter 0-7" in (await ask(client, status=422))["detail"]
    answer = await client.get("/api/v1/why", params={"execution": "slow"})
    told = await answer.json()
    assert told["outcome"] == "refused" and "step_failed" in told["sentences"][2]


async def test_w39_an_execution_of_a_former_stream_is_judged_once_all_that_was_published_is(
    client: Client, settings: Settings, pool: asyncpg.Pool, stored: Any
) -> None:
    """One restored into a new broker lies somewhere on the topic; what is stored has its former place."""
    await stored(epoch=await epoch_of(pool, "a broker that is gone"))
    await publish(settings, COMPLETIONS, 9, partition=3)
    assert (await ask(client, status=202))["status"] == 202
    await commit(settings, "detector", COMPLETIONS, 9, partition=3)
    assert await ask(client) == []


async def test_w39_where_kafka_does_not_answer_only_what_is_stored_is_certain(
    serve: Serve, pool: asyncpg.Pool, stored: Any
) -> None:
    await stored()
    for broker, word in (("", "STREAM_DETECTOR_BROKER is not set"), (f"127.0.0.1:{free_port()}", "Kafka")):
        client = await serve(broker=broker)
        assert word in (await ask(client, status=503))["detail"]
    await store_found(pool, "a")
    answer = await client.post(CHECK, json={"workflow_execution_id": "slow"})
    assert answer.status == 200 and "Kafka" in answer.headers["X-Approximate"]


async def test_w39_normal_is_an_empty_list_unknown_404_and_without_attempt_the_last(
    client: Client, settings: Settings, pool: asyncpg.Pool
) -> None:
    twice = [completion("11", attempt=n, finished_at=NOON + timedelta(minutes=n)) for n in (1, 2)]
    backfilled = completion("file")
    await Writer(pool).write(
        Rows(
            executions=[*(row(each, n) for n, each in enumerate(twice)), row(backfilled, 3, backfill=True)],
            anomalies=[row(anomaly("of the second", execution_id="11", attempt=2))],
        )
    )
    assert await ask(client, "11", attempt=1) == await ask(client, "file") == []
    assert [each["attempt"] for each in await ask(client, "11")] == [2]
    await ask(client, "unknown", status=404)
    await ask(client, "11", attempt=9, status=404)
    await ask(client, "11", attempt=0, status=400)


async def test_every_question_leaves_the_stored_data_as_it_was(client: Client, pool: asyncpg.Pool) -> None:
    usual = [completion(str(n), finished_at=NOON + timedelta(minutes=n)) for n in range(60)]
    await Writer(pool).write(Rows(executions=[row(each, n) for n, each in enumerate(usual)]))
    before = [await pool.fetch(COUNT.format(table)) for table in DATA]
    await ask(client, "50")
    for route in ROUTES:
        if route.method == "GET":
            query = {"entity": "workflow:nightly"} if "series" in route.path else None
            await client.get(route.path.replace("{id}", "1"), params=query)
    assert [await pool.fetch(COUNT.format(table)) for table in DATA] == before
