"""Executions that have started and whose end has not come."""

_ENDS_AGAIN = "^(airflow|argo|azure|bitbucket|buildkite|gitlab):"
"""As in `events.start`: these end under another id than they started with."""
HAS_ENDED = f"""(
    EXISTS (SELECT FROM executions e WHERE e.execution_id = r.execution_id AND e.attempt >= r.attempt)
    OR (r.execution_id ~ '{_ENDS_AGAIN}' AND EXISTS (
        SELECT FROM executions e WHERE e.execution_id > r.execution_id || '.' AND e.execution_id < r.execution_id || '/'
            AND e.finished_at >= r.started_at)))"""  # noqa: S608 - constants of this module
"""Of a row r whose end was stored by a recorder that does not know the table, or by another one at the same moment."""
