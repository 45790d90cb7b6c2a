"""Scoring runs: their events, their summaries, and the one row a run that both keep up."""

from stream_detector.store.table import EVENT, EVENT_POSITION, POSITION, Table, column, names, unnested

_SCORE_RUNS = (
    column("run_id"),
    column("status"),
    column("at", "timestamptz"),
    column("expected", "bigint"),
    column("error"),
    EVENT,
    *EVENT_POSITION,
)
SCORE_RUNS = Table(
    columns=_SCORE_RUNS,
    key=lambda row: (row.event.run_id, row.event.status),
    keep="first",
    statement=f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM {unnested(_SCORE_RUNS)} AS t ({names(_SCORE_RUNS)})
        ), known AS (
            INSERT INTO runs (run_id, status, started_at, ended_at, expected, error, newest_at)
            SELECT run_id, CASE WHEN bool_or(status = 'failed') THEN 'failed'
                    WHEN bool_or(status = 'completed') THEN 'completed' ELSE 'started' END,
                min(at) FILTER (WHERE status = 'started'), max(at) FILTER (WHERE status <> 'started'),
                max(expected), max(error), max(at)
            FROM given GROUP BY run_id ORDER BY run_id
            ON CONFLICT (run_id) DO UPDATE SET
                status = CASE WHEN runs.scored IS NOT NULL OR excluded.status = 'started' THEN runs.status
                    ELSE excluded.status END,
                started_at = coalesce(runs.started_at, excluded.started_at),
                ended_at = coalesce(runs.ended_at, excluded.ended_at),
                expected = coalesce(runs.expected, excluded.expected),
                error = coalesce(runs.error, excluded.error),
                newest_at = greatest(runs.newest_at, excluded.newest_at)
        )
        INSERT INTO score_runs (run_id, status, at, event, {names(EVENT_POSITION)})
        SELECT run_id, status, at, event, {names(EVENT_POSITION)} FROM given
        ON CONFLICT (run_id, status) DO NOTHING
    """,  # noqa: S608 - columns of this module
)

_SUMMARIES = (
    column("id", "uuid"),
    column("run_id"),
    column("part", "integer"),
    column("status"),
    column("started_at", "timestamptz"),
    column("ended_at", "timestamptz"),
    column("duration_s", "float8"),
    column("expected", "bigint"),
    column("scored", "bigint"),
    column("failures", "bigint"),
    column("anomaly_count", "bigint"),
    column("error"),
    column("revision", "integer"),
    EVENT,
    *POSITION,
)
SUMMARIES = Table(
    columns=_SUMMARIES,
    key=lambda row: row.event.id,
    keep="first",
    # Every part carries the whole run's numbers, so any part may come first; the summary has the last word on a run, of
    # its revisions the newest, in whatever order they come.
    statement=f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM {unnested(_SUMMARIES)} AS t ({names(_SUMMARIES)})
        ), known AS (
            INSERT INTO runs (run_id, status, started_at, ended_at, duration_s, expected, scored, failures,
                anomaly_count, error, revision, newest_at)
            SELECT DISTINCT ON (run_id) run_id, status, started_at, ended_at, duration_s, expected, scored, failures,
                anomaly_count, error, revision, ended_at
            FROM given ORDER BY run_id, revision DESC, part DESC
            ON CONFLICT (run_id) DO UPDATE SET status = excluded.status,
                started_at = coalesce(excluded.started_at, runs.started_at), ended_at = excluded.ended_at,
                duration_s = excluded.duration_s, expected = coalesce(excluded.expected, runs.expected),
                scored = excluded.scored, failures = excluded.failures, anomaly_count = excluded.anomaly_count,
                error = coalesce(excluded.error, runs.error), revision = excluded.revision,
                newest_at = greatest(runs.newest_at, excluded.newest_at)
            WHERE coalesce(runs.revision, 0) <= excluded.revision
        )
        INSERT INTO run_summaries (id, run_id, part, revision, event, {names(POSITION)})
        SELECT id, run_id, part, revision, event, {names(POSITION)} FROM given
        ON CONFLICT (id) DO NOTHING
    """,  # noqa: S608 - columns of this module
)
