"""Each role with the least that it needs; whoever lacks one thing is told which."""

import re
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

import stream_detector.store
from stream_detector.cli import main
from stream_detector.store.epochs import epoch_of
from stream_detector.store.grants import GRANTS, TABLES, GrantError, admit, statements
from stream_detector.store.migrate import migrations
from stream_detector.store.retain import retain
from stream_detector.store.rows import Rows
from stream_detector.store.write import Writer
from tests.events_made import at_minute, completion, row, score

STORE = Path(stream_detector.store.__file__).parent


def test_every_table_is_granted_to_somebody():
    made = {name for each in migrations() for name in re.findall(r"CREATE TABLE (\w+)", each.sql)}
    assert set(TABLES) == made | {"schema_migrations"}
    assert {table for privileges in GRANTS.values() for tables in privileges.values() for table in tables} == set(
        TABLES
    )


def test_no_role_may_change_what_no_statement_of_ours_changes():
    """The SQL is ours alone, in one package: what it never does nobody needs to be allowed."""
    sql = "\n".join(path.read_text("utf-8") for path in STORE.glob("*.py"))
    retained = set(re.findall(r'table="(\w+)"', sql))
    done = {
        "INSERT": set(re.findall(r"INSERT INTO (\w+)", sql)),
        "UPDATE": set(re.findall(r"UPDATE (\w+)", sql))
        | set(re.findall(r"INSERT INTO (\w+)(?:(?!INSERT INTO|;).)*?DO UPDATE", sql, re.DOTALL)),
        "DELETE": set(re.findall(r"DELETE FROM (\w+)", sql)) | retained,
    }
    for role, privileges in GRANTS.items():
        for privilege in ("INSERT", "UPDATE", "DELETE"):
            assert set(privileges.get(privilege, ())) <= done[privilege], (role, privilege)


async def test_the_recorder_stores_and_retains_with_its_own_rights(pools):
    mine = pools["recorder"]
    assert await admit(mine, "recorder") == []
    await epoch_of(mine, "a cluster")
    assert await Writer(mine).write(Rows(executions=[row(completion())], scores=[row(score())])) == []
    later = at_minute(0) + timedelta(days=400)
    deleted = await retain(mine, now=later, executions_d=30, anomalies_d=30)
    assert (deleted["executions"], deleted["scores"]) == (1, 1)


@pytest.mark.parametrize("role", ["recorder", "api"])
async def test_a_role_without_one_privilege_says_which(pools, role):
    await admit(pools[role], role)
    for privilege, tables in GRANTS[role].items():
        for table in tables:
            await pools["migrator"].execute(f"REVOKE {privilege} ON {table} FROM {role}")
            with pytest.raises(GrantError) as error:
                await admit(pools[role], role)
            await pools["migrator"].execute(f"GRANT {privilege} ON {table} TO {role}")
            said = str(error.value)
            assert said.startswith(f"PostgreSQL does not allow user {role}: ") and table in said
            assert privilege in said or (privilege, table) == ("SELECT", "schema_migrations")
            assert f"`stream-detector grants --role {role}`" in said
    await admit(pools[role], role)


async def test_who_was_granted_nothing_is_told_so(pools):
    await pools["migrator"].execute("REVOKE ALL ON schema_migrations FROM recorder")
    with pytest.raises(GrantError, match="user recorder: permission denied for table schema_migrations"):
        await admit(pools["recorder"], "recorder")


async def test_a_role_that_may_make_no_tables_does_not_try_to(pools):
    """Where everything is migrated a start demands no right to change the schema; where it is not, the role says so."""
    assert await admit(pools["api"], "api") == []
    await pools["migrator"].execute("DELETE FROM schema_migrations WHERE version = 3")
    with pytest.raises(GrantError, match="`stream-detector setup`"):
        await admit(pools["api"], "api")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("api", "DELETE FROM executions"),
        ("api", "UPDATE executions SET status = 'success'"),
        ("api", "INSERT INTO schema_migrations (version, name, digest) VALUES (99, 'x', 'x')"),
        ("recorder", "SELECT * FROM tokens"),
        ("recorder", "UPDATE sessions SET expires_at = now()"),
        ("recorder", "DROP TABLE executions"),
        ("readers", "SELECT * FROM tokens"),
        ("readers", "SELECT * FROM sessions"),
        ("readers", "DELETE FROM anomalies"),
        ("readers", "CREATE TABLE mine (n int)"),
    ],
    ids=lambda text: text[:30],
)
async def test_what_a_role_need_not_do_it_may_not_do(pools, role, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pools[role].execute(statement)


def test_the_command_prints_what_is_granted():
    done = CliRunner().invoke(main, ["grants", "--role", "recorder", "--user", 'recorder=a "b"'])
    assert done.output.splitlines() == ["-- recorder", *statements("recorder", 'a "b"')]
    assert '"a ""b"""' in done.output
    assert CliRunner().invoke(main, ["grants", "--user", "cook=x"]).exit_code == 2
