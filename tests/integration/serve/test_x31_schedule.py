"""X31: when runs are expected and what is missed, over HTTP and from a terminal."""

import asyncio
from datetime import datetime, timedelta

import asyncpg
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.detect import Baseline
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.write import Writer
from tests.events_made import completion, row
from tests.fixtures import API_TOKEN
from tests.integration.serve.asking import Client, ask
from tests.times_made import at_two, missed_since, ran, stored

SCHEDULE = "/api/v1/schedule"
NIGHTS = [at_two(day) for day in range(20, -1, -1)]


async def test_x31_the_next_due_comes_first_and_what_is_missed_is_found(client: Client, pool: asyncpg.Pool) -> None:
    """Nightly, at noon, missed twice, retired; without times; of a later version; by a recorder of an earlier one."""
    today = at_two(0) + timedelta(hours=3)
    noon = [night + timedelta(hours=10) for night in NIGHTS[:-1]]
    late = missed_since(ran("workflow/schedule:late", NIGHTS[:-2], source="github"), today)
    retired = missed_since(ran("workflow:retired", NIGHTS[:-4]), today)
    states = [
        stored(ran("workflow:nightly", NIGHTS)),
        stored(ran("workflow:noon", noon)),
        stored(late),
        stored(retired),
        stored(Baseline.new("workflow:new")),
        BaselineState(key="workflow:later", packed=b"\xff" * 40, state="unknown"),
    ]
    rows = Rows(
        baselines=[row(each, n) for n, each in enumerate(states)],
        executions=[row(completion("nightly-20", workflow_name="Nightly import"))],
    )
    assert await Writer(pool).write(rows) == []
    await pool.execute("UPDATE baselines SET expected_at = now() WHERE key = 'workflow:later'")
    found = await ask(client, SCHEDULE)
    listed = {each["workflow_id"]: each for each in found["items"]}
    assert list(listed)[-1] == "retired" and set(listed) == {"nightly", "noon", "late", "retired"}
    due = [each["due_at"] for each in found["items"]]
    assert due[-1] is None and due[:-1] == sorted(due[:-1])
    assert (found["missed"], found["clock"], found["next"]) == (2, True, None)
    nightly = listed["nightly"]
    assert (nightly["text"], nightly["rule"], nightly["source"]) == ("every day 02:00 UTC", "learned", "kafka")
    assert nightly["workflow_name"] == "Nightly import" and nightly["came"] == nightly["expected"] > 0
    assert datetime.fromisoformat(nightly["next_at"]) == at_two(-1) and 550 < nightly["usual_duration_s"] < 650
    assert nightly["missed_since"] is None and nightly["missed"] == 0 and "UTC" in nightly["ends_by"]
    assert (listed["late"]["missed"], listed["late"]["retired"], listed["late"]["variant"]) == (2, False, "schedule")
    assert (listed["retired"]["missed"], listed["retired"]["retired"]) == (3, True)

    async def ids(**query: str) -> list[str]:
        return [each["workflow_id"] for each in (await ask(client, SCHEDULE, **query))["items"]]

    assert await ids(missed="true") == ["late", "retired"] and set(await ids(missed="false")) == {"nightly", "noon"}
    assert await ids(source="github") == ["late"] and await ids(q="IMPORT") == ["nightly"]
    assert await ids(workflow="late", variant="schedule") == ["late"] and await ids(variant="tag") == []
    pages, cursor = [], {}
    while True:
        page = await ask(client, SCHEDULE, limit="1", **cursor)
        pages += [each["workflow_id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert pages == list(listed)
    assert (await client.get(SCHEDULE, params={"cursor": "x"})).status == 400
    env = {"STREAM_DETECTOR_API_PORT": str(client.port), "STREAM_DETECTOR_API_TOKEN": API_TOKEN}
    result = await asyncio.to_thread(CliRunner().invoke, main, ["schedule", "--missed"], env=env)
    assert result.exit_code == 1 and "late (schedule): every day 02:00 UTC" in result.stdout, result.output
    assert "MISSED since" in result.stdout and "taken for retired" in result.stdout
