"""What each of our roles may do in the database: the least that it needs.

`stream-detector grants` prints it as SQL, docs/security.md shows it, the roles compare it with what they were granted
before they start, and the tests run under exactly these. Tables belong to the role `migrator`, which alone makes and
changes them: `stream-detector setup` runs under it.
"""

from collections.abc import Mapping

import asyncpg

from stream_detector.store.connect import store_errors
from stream_detector.store.migrate import migrate

_LEARNT = (
    "executions", "running_executions", "scores", "score_runs", "run_summaries", "runs", "anomalies", "incidents",
    "baselines", "state_records", "notifications", "actions", "silences", "dead_letters", "inbox_marks", "trimmed",
    "recorder_progress", "recorder_positions", "recorder_gaps", "stream_epochs",
    "schema_migrations", "deleted_anomalies", "detector_settings", "renames", "source_workflows",
)  # fmt: skip
"""Tables without a secret."""
_SECRET = ("tokens", "sessions", "sign_in_links")
"""Hashes of tokens, of sessions and of links: who could write them could sign in."""
_PINGS = ("ping_starts",)
"""The API's alone."""
TABLES = _LEARNT + _SECRET + _PINGS

_RECORDER = {
    "INSERT": (
        "executions", "running_executions", "scores", "score_runs", "run_summaries", "runs", "anomalies", "incidents",
        "baselines", "state_records", "notifications", "actions", "silences", "dead_letters", "trimmed",
        "recorder_progress", "stream_epochs", "deleted_anomalies", "detector_settings", "recorder_positions",
        "recorder_gaps", "renames",
    ),
    "UPDATE": (
        "executions", "renames", "running_executions", "runs", "anomalies", "incidents", "actions", "silences",
        "baselines", "state_records", "trimmed",
        "recorder_progress", "recorder_positions", "recorder_gaps",
    ),
    "DELETE": (
        "recorder_gaps", "executions", "running_executions", "scores", "score_runs",
        "run_summaries", "runs", "anomalies", "incidents", "baselines", "state_records",
        "notifications", "dead_letters", "inbox_marks", "sessions", "sign_in_links",
    ),
}  # fmt: skip
_API = {
    "INSERT": (
        "actions", "silences", "inbox_marks", "recorder_progress", "anomalies", "incidents", "deleted_anomalies",
        "source_workflows",
        *_SECRET, *_PINGS,
    ),
    "UPDATE": (
        "anomalies", "incidents", "actions", "silences", "recorder_progress", "tokens", "source_workflows", *_PINGS,
    ),
    "DELETE": ("anomalies", "incidents", "sessions", "sign_in_links"),
}  # fmt: skip
GRANTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "recorder": {"SELECT": (*_LEARNT, "sessions", "sign_in_links"), **_RECORDER},
    "api": {"SELECT": TABLES, **_API},
    "readers": {"SELECT": _LEARNT},
}
"""Role -> privilege -> tables. `readers` are your own reports."""
ROLES = ("migrator", *GRANTS)


class GrantError(Exception):
    """The database does not allow something that a role needs. The text says what, to whom, and what to do."""

    def __init__(self, role: str, user: str, what: str) -> None:
        super().__init__(
            f"PostgreSQL does not allow user {user}: {what}. The role {role} needs it: "
            f"`stream-detector grants --role {role}` prints the statements that grant it"
        )


def statements(role: str, user: str) -> list[str]:
    """SQL that gives a database user the rights of a role; to be run by the owner of the tables.

    >>> print(*statements("readers", "grafana"), sep=chr(10))  # doctest: +ELLIPSIS
    GRANT USAGE ON SCHEMA public TO "grafana";
    GRANT SELECT ON executions, running_executions, ... TO "grafana";
    """
    quoted = '"' + user.replace('"', '""') + '"'
    if role == "migrator":
        return [f"GRANT USAGE, CREATE ON SCHEMA public TO {quoted};"]
    granted = [f"GRANT {privilege} ON {', '.join(tables)} TO {quoted};" for privilege, tables in GRANTS[role].items()]
    return [f"GRANT USAGE ON SCHEMA public TO {quoted};", *granted]


async def grant(pool: asyncpg.Pool, role: str, user: str) -> None:
    """Give a database user the rights of a role.

    Raises:
        GrantError: there is no such user, or the tables are not the current user's.
        StoreAwayError: the database is away.
    """
    with store_errors():
        try:
            for statement in statements(role, user):
                await pool.execute(statement)
        except (asyncpg.UndefinedObjectError, asyncpg.InsufficientPrivilegeError) as error:
            raise GrantError(role, await _user(pool), f"{error}") from error


async def admit(pool: asyncpg.Pool, role: str) -> list[str]:
    """The tables are as this program needs them, and the role may use them as it must.

    Returns the names of the migrations applied now: one that is missing is applied where the user may do so.

    Raises:
        GrantError: the user may not do something.
        MigrationError: the tables do not fit this program.
        StoreAwayError: the database is away.
    """
    with store_errors():
        try:
            applied = await migrate(pool)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
            what = f"{error}. Either the privilege is missing, or tables are: `stream-detector setup` creates them"
            raise GrantError(role, await _user(pool), what) from error
        if missing := await lacking(pool, role):
            raise GrantError(role, await _user(pool), "; ".join(missing))
    return applied


async def _user(pool: asyncpg.Pool) -> str:
    return str(await pool.fetchval("SELECT current_user"))


async def lacking(pool: asyncpg.Pool, role: str) -> list[str]:
    """What the current user lacks of the privileges that the role needs, for example `INSERT on scores, runs`."""
    wanted = [(privilege, table) for privilege, tables in GRANTS.get(role, {}).items() for table in tables]
    rows = await pool.fetch(
        "SELECT privilege, name FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (privilege, name, place)"
        " WHERE NOT coalesce(has_table_privilege(to_regclass(name), privilege), false) ORDER BY place",
        [privilege for privilege, _ in wanted],
        [table for _, table in wanted],
    )
    missing: dict[str, list[str]] = {}
    for row in rows:
        missing.setdefault(row["privilege"], []).append(row["name"])
    return [f"{privilege} on {', '.join(tables)}" for privilege, tables in missing.items()]
