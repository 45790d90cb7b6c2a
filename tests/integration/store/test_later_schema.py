"""X12: this program on the schema of the next version: it goes on where that says it may, else it says what to do."""

import shutil
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from stream_detector.store import anomalies
from stream_detector.store.filter import Filter
from stream_detector.store.grants import admit
from stream_detector.store.migrate import Migration, MigrationError, migrate, migrations, pending
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import action, anomaly, completion, row, uuid

OWN = migrations()[-1].version
ADDITIVE = """
    CREATE TABLE comments_of_later (id bigint PRIMARY KEY);
    ALTER TABLE anomalies ADD COLUMN runbook text, ADD COLUMN priority integer NOT NULL DEFAULT 3;
    ALTER TABLE executions ADD COLUMN region text;
    CREATE INDEX anomalies_of_later ON anomalies (priority);
"""
BREAKING = "ALTER TABLE anomalies RENAME COLUMN severity TO level;"


def with_next(folder: Path, compatible_from: int, sql: str) -> list[Migration]:
    """The migrations of the next version: ours and one more."""
    with resources.as_file(resources.files("stream_detector.store") / "migrations") as ours:
        shutil.copytree(ours, folder, dirs_exist_ok=True)
    (folder / f"{OWN + 1:04}_next.sql").write_text(f"-- compatible from: {compatible_from:04}\n{sql}", "utf-8")
    return migrations(folder)


@pytest.mark.parametrize("compatible_from", [1, OWN])
async def test_x12_an_additive_schema_of_the_next_version_is_accepted_and_used(
    pool: asyncpg.Pool, tmp_path: Path, compatible_from: int
) -> None:
    assert await migrate(pool, with_next(tmp_path, compatible_from, ADDITIVE)) == [f"{OWN + 1:04}_next.sql"]
    assert await admit(pool, "recorder") == [] and await pending(pool) == []
    rows = Rows(
        executions=[row(completion("new"))],
        anomalies=[row(anomaly("a"))],
        actions=[row(action("1", "acknowledge", incident_id=uuid("a")))],
    )
    assert await Writer(pool).write(rows) == []
    page = await anomalies.find(pool, Filter(is_acknowledged=True), limit=5)
    assert len(page.items) == 1
    changed = anomaly("a", severity="critical")
    edit = action("2", "update_anomaly", incident_id=changed.incident_id, anomaly_id=changed.id, anomaly=changed)
    assert await Writer(pool).write(Rows(actions=[row(edit)])) == []
    assert await pool.fetchval("SELECT severity FROM anomalies") == "critical"
    assert await pool.fetchval("SELECT priority FROM anomalies") == 3


async def test_x12_a_breaking_one_is_refused_before_anything_is_touched(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await migrate(pool, with_next(tmp_path, OWN + 1, BREAKING))
    with pytest.raises(MigrationError) as caught:
        await admit(pool, "recorder")
    said = str(caught.value)
    assert f"{OWN + 1:04}_next.sql" in said and f"this one has {OWN:04}" in said
    assert "Start that version or a newer one" in said


async def test_x12_what_was_applied_after_a_breaking_one_does_not_hide_it(pool: asyncpg.Pool, tmp_path: Path) -> None:
    known = with_next(tmp_path, OWN + 1, BREAKING)
    known.append(Migration(OWN + 2, "later.sql", "SELECT 1", 1))
    await migrate(pool, known)
    with pytest.raises(MigrationError, match=f"{OWN + 1:04}_next.sql"):
        await migrate(pool)


async def test_a_newer_one_that_says_nothing_is_refused(pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO schema_migrations (version, name, digest) VALUES (9999, '9999_later.sql', '')")
    with pytest.raises(MigrationError, match=r"9999_later\.sql"):
        await migrate(pool)
