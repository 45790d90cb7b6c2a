"""X21: what the API answers about a workflow with variants, and about each by itself."""

from typing import Any

import asyncpg
from aiohttp.test_utils import TestClient

from stream_detector.detect import Config
from stream_detector.detect.replay import Baselines
from stream_detector.events import Anomaly, Completion
from stream_detector.events.variant import DEFAULT_BRANCH, workflow_key
from stream_detector.store.rows import BaselineState, Rows
from stream_detector.store.write import Writer
from tests.events_made import at_minute, completion, row
from tests.integration.serve.asking import LIST, ask
from tests.integration.serve.conftest import Serve

Client = TestClient[Any, Any]
ID = "acme/app:50 %"
CLASSIC = Config(profile="classic")


def history() -> list[Completion]:
    """20 executions from before there were variants, then 20 each of three, the last default branch one slow."""
    runs = [completion(f"before-{n}", ID, finished_at=at_minute(n), duration_s=100.0 + n % 3) for n in range(20)]
    for n in range(20):
        for place, (variant, takes_s) in enumerate(((DEFAULT_BRANCH, 100.0), ("schedule", 900.0), ("child:a,b", 5.0))):
            is_slow = variant == DEFAULT_BRANCH and n == 19
            runs.append(
                completion(
                    f"{variant}-{n}",
                    ID,
                    variant=variant,
                    finished_at=at_minute(30 + 3 * n + place),
                    duration_s=300.0 if is_slow else takes_s + n % 3,
                )
            )
    return runs


async def stored(pool: asyncpg.Pool) -> tuple[Baselines, list[Anomaly]]:
    """The history as detector and recorder make it."""
    baselines, found, runs = Baselines(), [], history()
    for run in runs:
        found += baselines.apply(run, CLASSIC, -1).anomalies
    states = [
        BaselineState(key=key, packed=one.pack(), state=one.status, named=one.shown_baselines())
        for key, one in baselines.items()
    ]
    rows = Rows(
        executions=[row(run, n) for n, run in enumerate(runs)],
        anomalies=[row(one, n) for n, one in enumerate(found)],
        baselines=[row(state, n) for n, state in enumerate(states)],
    )
    assert await Writer(pool).write(rows) == []
    return baselines, found


async def test_x21_a_workflow_is_answered_with_all_its_variants_each_with_three_baselines(
    serve: Serve, pool: asyncpg.Pool
) -> None:
    client, (baselines, found) = await serve(profile="classic"), await stored(pool)
    assert workflow_key(ID) not in baselines, "the default branch has taken it over"
    page = await ask(client, "/api/v1/workflows", id=ID)
    assert [item["variant"] for item in page["items"]] == ["child:a,b", DEFAULT_BRANCH, "schedule"]
    for item in page["items"]:
        assert item["key"] == workflow_key(ID, item["variant"])
        assert {"failure_rate", "execution_time", "success_rate"} <= set(item["baselines"])
    takes = {item["variant"]: item["baselines"]["execution_time"]["value"] for item in page["items"]}
    assert 4 < takes["child:a,b"] < 8 and 890 < takes["schedule"] < 910 and 99 < takes[DEFAULT_BRANCH] < 120
    one = await ask(client, "/api/v1/workflows", id=ID, variant="schedule")
    assert [item["variant"] for item in one["items"]] == ["schedule"]
    paged, cursor = [], None
    while True:
        part = await ask(client, "/api/v1/workflows", limit="1", **({"cursor": cursor} if cursor else {}))
        paged += [item["variant"] for item in part["items"]]
        if (cursor := part["next"]) is None:
            break
    assert paged == ["child:a,b", DEFAULT_BRANCH, "schedule"]
    assert {one.variant for one in found} == {DEFAULT_BRANCH}
    assert len((await ask(client, LIST, variant=DEFAULT_BRANCH))["items"]) == len(found)
    assert (await ask(client, LIST, variant="schedule"))["items"] == []
    assert (await ask(client, LIST, entity=workflow_key(ID, "child:a,b")))["items"] == []
    assert len((await ask(client, LIST, entity=workflow_key(ID)))["items"]) == len(found)
    exported = await client.get(f"{LIST}/export", params={"format": "csv"})
    header, *lines = (await exported.text()).splitlines()
    assert header.endswith(",variant") and all(line.endswith(f",{DEFAULT_BRANCH}") for line in lines)


async def test_x21_series_executions_and_preview_take_a_variant_by_itself(serve: Serve, pool: asyncpg.Pool) -> None:
    client, (_, found) = await serve(profile="classic"), await stored(pool)
    series = await ask(client, "/api/v1/series", entity=workflow_key(ID, DEFAULT_BRANCH))
    assert len(series["points"]) == 40, "with what it has taken over"
    assert series["points"][-1]["anomalous"] and series["points"][-1]["anomaly"] in {one.id for one in found}
    assert series["points"][20]["mean"] is not None, "warm from its first execution on"
    child = await ask(client, "/api/v1/series", entity=workflow_key(ID, "child:a,b"))
    assert [point["variant"] for point in child["points"]] == ["child:a,b"] * 20
    assert not any(point["anomalous"] for point in child["points"])
    whole = await ask(client, "/api/v1/series", entity=workflow_key(ID))
    assert len(whole["points"]) == 80
    assert [point["t"] for point in whole["points"]] == sorted(point["t"] for point in whole["points"])
    rates = await ask(client, "/api/v1/series", entity=workflow_key(ID, "schedule"), of="failures")
    assert [point["value"] for point in rates["points"]] == [0.0] * 20
    for variant, count in ((None, 80), ("schedule", 20)):
        asked = {"workflow": ID, "limit": "100"} | ({"variant": variant} if variant else {})
        listed = (await ask(client, "/api/v1/executions", **asked))["items"]
        assert len(listed) == count and (variant is None or {each["variant"] for each in listed} == {variant})
    preview = await ask(client, "/api/v1/settings/preview", days="90")
    assert preview["events"] == 80
