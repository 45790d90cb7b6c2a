"""X20: deliveries posted to the real application: what is accepted, ignored and refused, and what the answer says.

Of the broker alone the records are kept instead of sent; `tests/integration/serve/test_intake.py` has a real one.
"""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer

from stream_detector.events import Completion, Start
from stream_detector.events.sources import SOURCES, find_source
from stream_detector.events.sources.verification import basic_auth, hmac_sha256, token_header
from stream_detector.serve.app import make_app
from stream_detector.serve.app_keys import BROKER
from stream_detector.serve.broker import Broker, BrokerAwayError, Record, Sent
from stream_detector.serve.database import Database
from stream_detector.settings import Settings

PAYLOADS = Path(__file__).parents[1] / "events" / "payloads"
SECRET = "what only the two know"
Client = TestClient[Any, Any]
FORM = "application/x-www-form-urlencoded"


class KeptBroker(Broker):
    """Four partitions, and a list of what was published."""

    records: list[Record]

    def partitions(self, topic: str) -> int:
        return 4

    async def send(self, records: Sequence[Record]) -> list[Sent | BrokerAwayError]:
        self.records += records
        return [Sent(record.partition, 0, 0) for record in records]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    hooks = {source.webhook.setting: SECRET for source in SOURCES.values() if source.webhook}
    settings = Settings(**hooks)  # type: ignore[arg-type]
    app = make_app(settings, Database(settings))
    kept = KeptBroker(settings)
    kept.records = []
    app[BROKER] = kept
    async with TestClient(TestServer(app)) as running:
        yield running


def published(client: Client) -> list[Record]:
    kept = client.app[BROKER]
    assert isinstance(kept, KeptBroker)
    return kept.records


def signature(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, sha256).hexdigest()


PROOFS: dict[str, Callable[[bytes], dict[str, str]]] = {
    "github": lambda body: {"X-Hub-Signature-256": signature(body)},
    "gitlab": lambda _: {"X-Gitlab-Token": SECRET},
    "bitbucket": lambda body: {"X-Hub-Signature": signature(body)},
    "circleci": lambda body: {"circleci-signature": signature(body).replace("sha256=", "v1=")},
    "buildkite": lambda _: {"X-Buildkite-Token": SECRET},
    "jenkins": lambda _: {"Authorization": "Basic " + b64encode(f"jenkins:{SECRET}".encode()).decode()},
    "azure": lambda _: {"Authorization": "Basic " + b64encode(f":{SECRET}".encode()).decode()},
}
"""How the systems themselves prove it; the others send the secret as a bearer token."""


async def post(client: Client, name: str, body: bytes, status: int = 200, **headers: str) -> Any:
    proof = PROOFS.get(name, lambda _: {"Authorization": f"Bearer {SECRET}"})(body)
    given = {"Content-Type": "application/json"} | proof
    given |= {key.replace("_", "-"): value for key, value in headers.items()}
    async with client.post(f"/api/v1/webhooks/{name}", data=body, headers=given) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def delivery(name: str) -> bytes:
    return json.dumps(json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))).encode()


async def test_x20_each_case_is_published_as_it_is_read(client: Client) -> None:
    for path in sorted(PAYLOADS.iterdir()):
        body = delivery(path.stem) if path.suffix == ".json" else path.read_bytes()
        source = find_source(body)
        assert source is not None
        reading = source.read(body)
        published(client).clear()
        found = await post(client, source.name, body, 207 if reading.refused else 200)
        assert found["accepted"] == len(reading.events) and found["message"].startswith(f"accepted {found['accepted']}")
        assert found["left_out"] == list(reading.left_out) and len(found["refused"]) == len(reading.refused)
        events = [event for event in reading.events if isinstance(event, Completion | Start)]
        wanted = [(event.execution_id, event.workflow_id, event.variant) for event in events]
        kept = [json.loads(record.value or b"") for record in published(client)]
        assert [(each["execution_id"], each["workflow_id"], each.get("variant")) for each in kept] == wanted


async def test_x20_no_webhook_takes_a_delivery_without_its_proof(client: Client) -> None:
    for path in sorted(PAYLOADS.iterdir()):
        body = delivery(path.stem) if path.suffix == ".json" else path.read_bytes()
        source = find_source(body)
        assert source is not None and source.webhook is not None
        for name in PROOFS[source.name](body) if source.name in PROOFS else ("Authorization",):
            found = await post(client, source.name, body, 401, **{name: "wrong"})
            assert "settings" in found["detail"] or "STREAM_DETECTOR_" in found["detail"]
    assert not published(client)


async def test_x20_githubs_default_content_type_is_signed_as_it_is_sent(client: Client) -> None:
    payload = delivery("github_workflow_run")
    body = urlencode({"payload": payload.decode()}).encode()
    found = await post(client, "github", body, Content_Type=FORM, X_GitHub_Event="workflow_run")
    assert (found["accepted"], found["message"]) == (1, "accepted 1")
    await post(client, "github", body, 401, Content_Type=FORM, X_Hub_Signature_256=signature(payload))
    await post(client, "github", b"payload=%ff", 400, Content_Type=FORM)


OTHERS: tuple[tuple[str, dict[str, str], Any, str], ...] = (
    ("github", {"X_GitHub_Event": "workflow_job"}, {}, "ignored: workflow_job is not switched on"),
    ("github", {"X_GitHub_Event": "push"}, {"ref": "x"}, "ignored: push is not switched on"),
    ("github", {"X_GitHub_Event": "ping"}, {"zen": "z", "hook": {"events": ["workflow_run"]}}, "ignored: ping"),
    ("github", {"X_GitHub_Event": "x" * 100}, {}, "ignored: " + "x" * 64 + " is not switched on"),
    ("gitlab", {"X_Gitlab_Event": "Job Hook"}, {}, "ignored: Job Hook is not switched on"),
    ("gitlab", {"X_Gitlab_Event": "System Hook"}, {"object_kind": "push", "project": {}}, "ignored: push is not"),
    ("gitlab", {}, {"object_kind": "pipeline", "object_attributes": {"status": "running"}}, "has not ended"),
)
UNUSABLE = (
    ("github", b'{"action": "completed", "workflow_run": {}, "repository": {}}', "choose Workflow runs"),
    ("github", b"{}", "choose Workflow runs"),
    ("github", b"not json", "choose Workflow runs"),
    (
        "airflow",
        b'{"dag_id":"a","dag_run_id":"r","state":"success","end_date":"2026-01-22T00:00:00Z","dag_id":"b"}',
        "dag_id",
    ),
    ("jenkins", b'{"number":1,"result":"SUCCESS","timestamp":1,"url":"a","actions":[{"a":1,"a":2}]}', "stands twice"),
    ("gitlab", b"{}", "choose Pipeline events"),
    ("github", b'{"object_kind": "pipeline", "object_attributes": {}, "project": {}}', "/api/v1/webhooks/gitlab"),
)


async def test_x20_any_other_delivery_is_2xx_with_what_was_done(client: Client) -> None:
    for name, headers, body, message in OTHERS:
        found = await post(client, name, json.dumps(body).encode(), 200, **headers)
        assert found["accepted"] == 0 and message in found["message"]
    assert not published(client)


async def test_x20_what_cannot_be_used_names_what_the_person_can_change(client: Client) -> None:
    for name, body, detail in UNUSABLE:
        found = await post(client, name, body, 400)
        assert detail in found["detail"] and "send it;" not in found["detail"]


async def test_x20_a_wrong_secret_names_where_it_is_entered(client: Client) -> None:
    found = await post(client, "github", b"{}", 401, X_Hub_Signature_256="")
    assert "X-Hub-Signature-256 is missing" in found["detail"] and "Secret in the webhook's settings" in found["detail"]
    found = await post(client, "gitlab", b"{}", 401, X_Gitlab_Token="another")
    assert "X-Gitlab-Token is wrong" in found["detail"] and "GITLAB_WEBHOOK_TOKEN" in found["detail"]


async def test_x20_an_end_in_the_future_is_refused_with_both_clocks(client: Client) -> None:
    whole = json.loads(delivery("github_workflow_run"))
    whole["workflow_run"]["updated_at"] = datetime(2098, 1, 1, tzinfo=UTC).isoformat()
    found = await post(client, "github", json.dumps(whole).encode(), 400)
    assert found["detail"].startswith("future: ") and not published(client)


def test_x20_three_ways_to_prove_a_sender() -> None:
    body = b'{"a": 1}'
    stamped = re.compile(r"timestamp=(?P<timestamp>\d+),signature=(?P<signature>[0-9a-f]{64})")
    proof = hmac_sha256("X-Signature", stamped, advice="")
    code = hmac.new(SECRET.encode(), b"17." + body, sha256).hexdigest()
    good = {"X-Signature": f"timestamp=17,signature={code}"}
    assert proof.may_be_authentic(SECRET, good) and proof.is_authentic(SECRET, good, body)
    assert not proof.is_authentic(SECRET, {"X-Signature": f"timestamp=18,signature={code}"}, body)
    assert not proof.may_be_authentic(SECRET, {"X-Signature": f"signature={code}"})
    token = token_header("X-Token", advice="")
    for given, right in ((SECRET, True), (f"Bearer {SECRET}", True), ("", False), (SECRET + " ", False), ("é", False)):
        assert token.is_authentic(SECRET, {"X-Token": given}, body) is right
    basic = basic_auth(advice="")
    for user in ("", "azure", "a"):
        encoded = b64encode(f"{user}:{SECRET}".encode()).decode()
        assert basic.is_authentic(SECRET, {"Authorization": f"Basic {encoded}"}, body)
        assert not basic.is_authentic(SECRET, {"Authorization": f"Bearer {encoded}"}, body)
    for wrong in ("", "Basic", "Basic %", "Basic " + b64encode(SECRET.encode()).decode()):
        assert not basic.is_authentic(SECRET, {"Authorization": wrong}, body)


async def test_x20_dbts_webhook_reads_models_where_its_url_asks_for_them(client: Client) -> None:
    body = (PAYLOADS / "dbt_run_results.json").read_bytes()
    for query, count in (("?models=true", 3), ("", 1), ("?models=false&other=1", 1)):
        answer = await post(client, f"dbt{query}", body)
        assert answer["accepted"] == count, query
    workflows = [record.key for record in published(client)]
    assert workflows[0] == b"dbt:model.shop.orders:target=prod" and len(workflows) == 5
    assert "models" in (await post(client, "dbt?models=perhaps", body, 400))["detail"]


async def test_x20_junits_webhook_reads_times_in_the_zone_that_its_url_names(client: Client) -> None:
    body = b'<testsuite name="a" timestamp="2026-07-22T00:05:00"><testcase name="t" time="1"/></testsuite>'
    for query, started in (
        ("?zone=Europe/Berlin", "2026-07-21T22:05:00Z"),
        ("?zone=%2B02:00", "2026-07-21T22:05:00Z"),
        ("", "2026-07-22T00:05:00Z"),
    ):
        await post(client, f"junit{query}", body, Content_Type="application/xml")
        assert json.loads(published(client)[-1].value or b"")["started_at"] == started
    for zone in ("Mars/Olympus", "+02:00", "../../etc/passwd", "%2B99:00", "Europe"):
        found = await post(client, f"junit?zone={zone}", body, 400, Content_Type="application/xml")
        assert "Europe/Berlin" in found["detail"], zone


async def test_x20_a_delivery_may_have_a_mark_an_envelope_or_several_payloads(client: Client) -> None:
    one = delivery("github_workflow_run")
    cloud_event = {"specversion": "1.0", "id": "1", "source": "/", "type": "x", "data": json.loads(one)}
    encoded = [one.decode().encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be")]
    for body in (b"\xef\xbb\xbf" + one, *encoded, json.dumps(cloud_event).encode(), json.dumps(one.decode()).encode()):
        assert (await post(client, "github", body))["message"] == "accepted 1"
    waits = one.replace(b'"completed"', b'"requested_action"', 1)
    for body in (b"[" + one + b"," + waits + b"," + one + b"]", one + b"\n" + waits + b"\r\n" + one):
        assert (await post(client, "github", body))["accepted"] == 2
    found = await post(client, "github", b"[" + one + b"," + delivery("gitlab_pipeline") + b",7]", 207)
    assert found["accepted"] == 1 and [each["reason"] for each in found["refused"]] == [
        "unsupported_format",
        "wrong_type",
    ]
    assert (await post(client, "github", b"[" + waits + b"]"))["message"] == "ignored: the run has not ended"
    runs = await post(client, "github", b"[" + delivery("github_workflow_runs") + b"]", 207)
    assert runs["accepted"] == 3 and [each["reason"] for each in runs["refused"]] == ["unknown_value"]
    row = b'{"before": {}, "after": null, "source": {}, "op": "d"}'
    for body in (row, b"[" + row + b"]"):
        assert (await post(client, "github", body))["message"] == "ignored: Debezium: a deleted row holds no event"
    assert "10,000" in (await post(client, "github", b"[" + b",".join([b"1"] * 10_001) + b"]", 400))["detail"]
