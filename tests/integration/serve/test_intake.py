"""Events over HTTP: on the topic of a real broker when answered, refused by index, signed webhooks."""

import gzip
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_detector.devstack.tansu import Tansu
from stream_detector.events.decode import decode_completion
from stream_detector.events.mapping import use_folder
from stream_detector.kafka.create_topics import make_topics
from stream_detector.kafka.topics import owner_partition
from stream_detector.serve.app_keys import BROKER
from stream_detector.serve.resources.events import BODY_BYTES
from stream_detector.settings import Settings
from stream_detector.store import credentials
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import completion as made
from tests.events_made import row
from tests.integration.serve.conftest import Serve
from tests.servers.installation import wait_until

Client = TestClient[Any, Any]
EVENTS = "/api/v1/events"
PAYLOADS = Path(__file__).parents[2] / "unit" / "events" / "payloads"
SECRET = "a secret of the webhooks"


@pytest.fixture
async def client(serve: Serve, tansu: Tansu, make_settings: Callable[..., Settings]) -> AsyncIterator[Client]:
    """The API with a broker that has our topics, and both webhooks switched on."""
    await make_topics(make_settings(broker=tansu.address))
    started = await serve(broker=tansu.address, github_webhook_secret=SECRET, gitlab_webhook_token=SECRET)
    await wait_until(lambda: started.app[BROKER].state == "ok", "the API has its broker")
    yield started


def completion(number: int = 1, **given: Any) -> dict[str, Any]:
    at = datetime.now(UTC).replace(microsecond=0)
    return {
        "execution_id": f"run-{number}",
        "workflow_id": "nightly",
        "status": "success",
        "started_at": (at - timedelta(minutes=1)).isoformat(),
        "finished_at": at.isoformat(),
        **given,
    }


def score(**given: Any) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {"entity_id": "lido", "entity_name": "Lido", "score": 5.8, "scored_at": at, **given}


async def post(client: Client, path: str, body: Any, status: int = 200, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    async with client.post(path, data=data, headers=sent) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def on(client: Client, address: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(client.app[BROKER].name(topic), number) for number in range(4)])
        await consumer.seek_to_beginning()
        found: list[Any] = []
        while more := await consumer.getmany(timeout_ms=500):
            found += [record for records in more.values() for record in records]
        return found
    finally:
        await consumer.stop()


async def test_one_event_is_on_its_topic_at_its_owner_when_answered(client: Client, tansu: Tansu) -> None:
    assert await post(client, EVENTS, completion()) == {
        "accepted": 1, "refused": [], "topics": {"workflow-completions": 1},
    }  # fmt: skip
    (record,) = await on(client, tansu.address, "workflow-completions")
    assert (record.key, record.partition) == (b"nightly", owner_partition("nightly", 4))
    assert json.loads(record.value)["execution_id"] == "run-1" and not record.headers


async def test_an_array_of_each_kind_with_partial_failures_listed_by_index(client: Client, tansu: Tansu) -> None:
    now = datetime.now(UTC)
    events = [
        completion(1),
        completion(2, status="green"),
        score(),
        {"what": "is this"},
        {"run_id": "r1", "status": "started", "at": datetime.now(UTC).isoformat()},
        completion(3, finished_at="2099-01-01T00:00:00Z"),
        completion(4, started_at=now.isoformat(), finished_at=(now + timedelta(minutes=11)).isoformat()),  # X11
    ]
    told = await post(client, EVENTS, events, 207)
    assert told["accepted"] == 3 and told["topics"] == {"workflow-completions": 1, "scores": 1, "score-runs": 1}
    refusals = [(each["index"], each["reason"]) for each in told["refused"]]
    assert refusals == [(1, "unknown_value"), (3, "unsupported_format"), (5, "future"), (6, "future")]
    (record,) = await on(client, tansu.address, "scores")
    assert b'"score":5.8' in record.value


async def test_json_lines_cloud_events_and_history(client: Client, tansu: Tansu) -> None:
    lines = "\n".join(json.dumps(completion(number)) for number in range(3)).encode() + b"\n\n"
    assert (await post(client, EVENTS, lines, Content_Type="application/x-ndjson"))["accepted"] == 3
    envelope = {
        "specversion": "1.0", "id": "1", "source": "/ci", "type": "stream_detector.workflow_completion.v1",
        "data": completion(4),
    }  # fmt: skip
    assert (await post(client, EVENTS, envelope, Content_Type="application/cloudevents+json"))["accepted"] == 1
    batch = [envelope, envelope]
    assert (await post(client, EVENTS, batch, Content_Type="application/cloudevents-batch+json"))["accepted"] == 2
    binary = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/ci", "ce_type": envelope["type"]}
    assert (await post(client, EVENTS, completion(5), **binary))["accepted"] == 1  # type: ignore[arg-type]
    wrong = binary | {"ce_type": "stream_detector.score.v1"}
    told = await post(client, EVENTS, completion(6), 400, **wrong)  # type: ignore[arg-type]
    assert told["refused"][0]["reason"]
    assert (await post(client, f"{EVENTS}?backfill=true", completion(7)))["accepted"] == 1
    records = await on(client, tansu.address, "workflow-completions")
    assert len(records) == 8
    assert [record.headers for record in records if b"run-7" in record.value] == [(("mode", b"backfill"),)]


async def test_x20_a_table_is_read_as_from_a_file(client: Client, tansu: Tansu) -> None:
    csv = {"Content_Type": "text/csv; charset=utf-8"}
    head = "Execution ID;workflow_id;status;started_at;finished_at;duration_s;label.ort\n"
    at = datetime.now(UTC).replace(microsecond=0).isoformat()
    rows = [f"run-{number};nightly;success;{at};{at};7,5;Köln\n" for number in range(3)]
    table = (head + rows[0] + rows[1].replace("success", "sucess") + rows[2]).encode()
    told = await post(client, EVENTS, table, 207, **csv)
    assert told["accepted"] == 2 and [(each["index"], each["reason"]) for each in told["refused"]] == [
        (1, "unknown_value")
    ]
    cp1252 = (head + rows[1]).encode("cp1252")
    assert (await post(client, EVENTS, cp1252, Content_Type="text/csv; charset=cp1252"))["accepted"] == 1
    refused = (await post(client, EVENTS, cp1252, 400, **csv))["refused"]
    assert refused[0]["reason"] == "not_utf8" and "charset=cp1252" in refused[0]["message"]
    assert (await post(client, f"{EVENTS}?backfill=true", (head + rows[0]).encode(), **csv))["accepted"] == 1
    values = [json.loads(record.value) for record in await on(client, tansu.address, "workflow-completions")]
    assert {(value["duration_s"], value["labels"]["ort"]) for value in values} == {(7.5, "Köln")} and len(values) == 4
    for body, status, words in (
        (b"name,color\n1,2\n", 400, "neither JSON Lines nor a known CSV format"),
        (head.encode(), 400, "no event"),
        (b"", 400, "empty"),
        (b"PAR1" + table, 400, "stream-detector publish"),
        (gzip.compress(table), 400, "unpacked"),
        (head.encode() + rows[0].encode() * 10_001, 413, "10000"),
    ):
        assert words in (await post(client, EVENTS, body, status, **csv))["detail"], words
    for charset in ("nonsense", "base64"):
        assert (await post(client, EVENTS, table, 415, Content_Type=f"text/csv; charset={charset}"))["detail"]


async def test_x20_the_forms_of_files_are_read_from_a_body_and_doubled_fields_are_refused(
    client: Client, tansu: Tansu
) -> None:
    pretty = json.dumps(completion(1), indent=2).encode()
    array = b"[\n" + b",\n".join(json.dumps(completion(number)).encode() for number in (2, 3)) + b"\n]\n"
    lines = b"\n".join(json.dumps(completion(number)).encode() for number in (4, 5))
    marked = b"\xef\xbb\xbf" + json.dumps(completion(6)).encode()
    wide = json.dumps(completion(7), indent=2).encode("utf-16")
    for body, count in ((pretty, 1), (array, 2), (lines, 2), (marked, 1), (wide, 1)):
        assert (await post(client, EVENTS, body))["accepted"] == count
    payload = (PAYLOADS / "gitlab_pipeline.json").read_bytes()
    assert (await post(client, EVENTS, payload))["accepted"] == 1
    twice = json.dumps(completion(8))[:-1].encode() + b', "status": "failure"}'
    told = await post(client, EVENTS, b"[" + twice + b"," + json.dumps(completion(9)).encode() + b"]", 207)
    assert [(each["index"], each["reason"]) for each in told["refused"]] == [(0, "duplicate_field")]
    assert len(await on(client, tansu.address, "workflow-completions")) == 9
    assert "send it unpacked" in (await post(client, EVENTS, gzip.compress(pretty), 400))["detail"]


async def test_x23_a_webhook_of_a_mapping_takes_payloads_of_any_system(
    client: Client, tansu: Tansu, tmp_path: Path
) -> None:
    (tmp_path / "shop.toml").write_text(
        'execution_id = "n"\nworkflow_id = "job"\nstatus = "result"\nfinished_at = "end"\n'
        '[status_values]\nOK = "success"\nRUNNING = "ignore"\n'
    )
    use_folder(tmp_path)
    try:
        path = "/api/v1/webhooks/shop"
        payload = {"n": 1, "job": "nightly", "result": "ok", "end": datetime.now(UTC).isoformat()}
        assert (await post(client, path, payload))["accepted"] == 1
        assert "no event as the mapping" in (await post(client, path, payload | {"result": "RUNNING"}))["message"]
        odd = await post(client, path, payload | {"result": "odd"}, 400)
        assert "not one of OK, RUNNING; add it to status_values" in odd["detail"]
        assert "MAPPINGS_DIR" in (await post(client, "/api/v1/webhooks/nothing", payload, 404))["detail"]
        await post(client, path, payload, 401, Authorization="")
        twice = json.dumps(payload).encode()[:-1] + b', "n": 2}'
        assert "duplicate_field" in (await post(client, path, twice, 400))["detail"]
    finally:
        use_folder(None)
    (record,) = await on(client, tansu.address, "workflow-completions")
    assert json.loads(record.value)["workflow_id"] == "nightly"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b"{", {}, 400),
        (b"[{]", {}, 400),
        (b"null", {}, 400),
        (b"[" * 200_000, {}, 400),
        (b'{"a":' * 200_000, {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Encoding": "gzip"}, None),
        (b" " * (BODY_BYTES + 1), {}, 413),
        (b"[" + b",".join([b"1"] * 10_001) + b"]", {}, 413),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_cannot_be_read_is_4xx_without_a_trace(
    client: Client, body: bytes, headers: dict[str, str], status: int | None
) -> None:
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    async with client.post(EVENTS, data=body, headers=sent) as answer:
        text = await answer.text()
        assert answer.status == status if status else 400 <= answer.status < 500
        assert "Traceback" not in text and ".py" not in text


async def test_who_sends_too_much_is_told_when_to_come_again(serve: Serve, pool: asyncpg.Pool) -> None:
    client = await serve(intake_rate_limit=1)
    async with client.post(EVENTS, json=[completion(number) for number in range(11)]) as answer:
        assert answer.status == 413
    other, _ = await credentials.create_token(pool, name="other", role="producer", expires_at=None)
    await post(client, EVENTS, [completion(number) for number in range(9)], 503)
    async with client.post(EVENTS, json=[completion(number) for number in range(9)]) as answer:
        assert answer.status == 429 and 1 <= int(answer.headers["Retry-After"]) <= 10
    await post(client, EVENTS, [completion()], 503, Authorization=f"Bearer {other}")


async def test_what_a_token_may_send_counts_by_its_id_whatever_the_header_looks_like(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client = await serve(intake_rate_limit=1, gitlab_webhook_token=SECRET)
    token, _ = await credentials.create_token(pool, name="a", role="operator", expires_at=None)
    many = [completion(number) for number in range(9)]
    await post(client, EVENTS, many, 503, Authorization=f"Bearer {token}")
    for spelled in (f"bearer {token}", f"BEARER   {token}", f"Bearer {token} ", f"Bearer \t{token}"):
        await post(client, EVENTS, many, 429, Authorization=spelled)
    async with client.post("/api/v1/session", headers={"Authorization": f"Bearer {token}"}) as made:
        cookie = made.headers["Set-Cookie"].partition(";")[0]
    own = f"http://{client.host}:{client.port}"
    for more in ("", "; a=b", "; c=d"):
        await post(client, EVENTS, many, 429, Authorization="", Origin=own, Cookie=cookie + more)
    delivery = (PAYLOADS / "gitlab_pipeline.json").read_bytes()
    given = {"X_Gitlab_Event": "Pipeline Hook", "X_Gitlab_Token": SECRET}
    statuses = set()
    for number in range(12):
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {number}", "Cookie": f"a={number}"}
        sent |= {name.replace("_", "-"): text for name, text in given.items()}
        async with client.post("/api/v1/webhooks/gitlab", data=delivery, headers=sent) as answer:
            statuses.add(answer.status)
    assert statuses == {503, 429}


async def test_while_kafka_is_away_it_is_503_with_retry_after(serve: Serve) -> None:
    for broker in ("127.0.0.1:1", ""):
        client = await serve(broker=broker)
        async with client.post(EVENTS, json=completion()) as answer:
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest()


async def test_githubs_delivery_needs_its_signature_and_no_token(client: Client, tansu: Tansu) -> None:
    path, body = "/api/v1/webhooks/github", (PAYLOADS / "github_workflow_run.json").read_bytes()
    nobody = {"Authorization": "", "X_GitHub_Event": "workflow_run"}
    for signature in ("", "sha256=", signed(body, "another"), signed(body + b" "), signed(body)[7:]):
        await post(client, path, body, 401, **nobody, X_Hub_Signature_256=signature)
    told = await post(client, path, body, **nobody, X_Hub_Signature_256=signed(body))
    assert told["topics"] == {"workflow-completions": 1}
    ping = b'{"zen": "Keep it logically awesome."}'
    told = await post(client, path, ping, X_GitHub_Event="ping", X_Hub_Signature_256=signed(ping))
    assert told["accepted"] == 0
    broken = b'{"action": "completed"}'
    await post(client, path, broken, 400, X_GitHub_Event="workflow_run", X_Hub_Signature_256=signed(broken))
    (record,) = await on(client, tansu.address, "workflow-completions")
    assert json.loads(record.value)["execution_id"] == "github:30433642"


async def test_gitlabs_delivery_needs_its_token(client: Client, tansu: Tansu) -> None:
    path, body = "/api/v1/webhooks/gitlab", (PAYLOADS / "gitlab_pipeline.json").read_bytes()
    for token in ("", "wrong", SECRET + "x"):
        await post(client, path, body, 401, X_Gitlab_Event="Pipeline Hook", X_Gitlab_Token=token)
    told = await post(client, path, body, X_Gitlab_Event="Pipeline Hook", X_Gitlab_Token=SECRET)
    assert told["accepted"] == 1
    told = await post(client, path, b"{}", X_Gitlab_Event="Push Hook", X_Gitlab_Token=SECRET)
    assert told["accepted"] == 0
    assert len(await on(client, tansu.address, "workflow-completions")) == 1


async def test_a_webhook_that_is_not_switched_on_says_how(serve: Serve) -> None:
    client = await serve()
    for name in ("github", "gitlab"):
        told = await post(client, f"/api/v1/webhooks/{name}", b"{}", 404)
        assert f"STREAM_DETECTOR_{name.upper()}_WEBHOOK" in told["detail"]


async def test_x20_a_run_without_its_path_is_of_the_workflow_that_is_stored(
    client: Client, tansu: Tansu, pool: asyncpg.Pool
) -> None:
    delivery = json.loads((PAYLOADS / "github_workflow_run_no_path.json").read_text("utf-8"))
    workflow = f"github:bakery/oven:{delivery['workflow']['path']}"
    for execution, stored in ((1, False), (2, True)):
        if stored:
            await Writer(pool).write(Rows(executions=[row(made("e1", workflow), 1)]))
        delivery["workflow_run"]["id"] = execution
        body = json.dumps(delivery).encode()
        given = {"Authorization": "", "X_GitHub_Event": "workflow_run", "X_Hub_Signature_256": signed(body)}
        await post(client, "/api/v1/webhooks/github", body, **given)  # type: ignore[arg-type]
    records = await on(client, tansu.address, "workflow-completions")
    found = {json.loads(record.value)["execution_id"]: json.loads(record.value)["workflow_id"] for record in records}
    assert found == {"github:1": "github:bakery/oven:Checks", "github:2": workflow}


async def test_x20_a_delivery_that_was_stored_is_not_published_again_and_a_changed_one_is(
    client: Client, tansu: Tansu, pool: asyncpg.Pool
) -> None:
    """A baseline itself knows the last executions of its key alone."""
    path, delivery = "/api/v1/webhooks/gitlab", json.loads((PAYLOADS / "gitlab_pipeline.json").read_bytes())

    async def send() -> dict[str, Any]:
        given = {"X_Gitlab_Event": "Pipeline Hook", "X_Gitlab_Token": SECRET}
        return await post(client, path, json.dumps(delivery).encode(), **given)  # type: ignore[arg-type]

    assert (await send())["accepted"] == 1
    assert (await send())["accepted"] == 1, "the recorder has not stored it yet"
    (first, _) = await on(client, tansu.address, "workflow-completions")
    await Writer(pool).write(Rows(executions=[row(decode_completion(first.value, (), first.timestamp), 1)]))
    assert await send() == {"accepted": 0, "refused": [], "topics": {}, "message": "ignored: 1 came before"} | {
        "left_out": []
    }
    other = {"success": "failed", "failed": "success"}
    delivery["object_attributes"]["status"] = other[delivery["object_attributes"]["status"]]
    assert (await send())["accepted"] == 1
    assert len(await on(client, tansu.address, "workflow-completions")) == 3
