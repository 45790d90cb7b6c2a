"""A mapping proposed for a file: which field is which, by names and by what the values are. A person reads it over.

It is text of TOML. Whether it reads the file is for the caller to try; what was not found is named instead.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from stream_detector.events.mapping.sampled import (
    SAMPLE,
    Column,
    columns_of,
    element_lists,
    last_name,
    number_of,
    quoted,
)
from stream_detector.events.mapping.timing import Time, as_time, find_duration, is_guess, start_and_end

_MOST_STATUSES = 24
_WORDS_SHOWN = 6

_OUTCOMES = {
    "success": "success succeeded successful passed pass ok okay completed complete done finished true yes",
    "failure": "failure failed fail broken unstable unhealthy false no ko",
    "error": "error errored exception crashed crash internal_error startup_failure",
    "timeout": "timeout timed_out timedout time_out timed-out deadline_exceeded",
    "cancellation": "cancelled canceled aborted abort stopped killed terminated interrupted revoked",
    "skip": "skipped skip not_run notrun not_executed disabled no_op",
    "ignore": "running in_progress inprogress in-progress pending queued started starting waiting created scheduled",
}
_OUTCOME_OF = {word: outcome for outcome, words in _OUTCOMES.items() for word in words.split()}
_STATUS_NAME = re.compile(r"status|result|outcome|conclusion|state|passed|success|failed|ok$", re.IGNORECASE)
_OUTCOME_NAME = re.compile(r"result|outcome|conclusion", re.IGNORECASE)
_EXIT_NAME = re.compile(r"exit.?(code|status)|return.?code|^rc$", re.IGNORECASE)
_ID_NAME = re.compile(r"(^|[._ ])(id|uuid|key|number|no|run|build|execution)s?$|id$|run|build.?n", re.IGNORECASE)
_WORKFLOW_NAME = re.compile(r"workflow|job|pipeline|dag|task|project|definition|suite|name|script|check", re.IGNORECASE)
_ENTITY_NAME = re.compile(r"entity|dao|name|id$|who|team|user|item|symbol|model", re.IGNORECASE)
_SCORE_NAME = re.compile(r"score|rating|points|value|grade", re.IGNORECASE)
_LABELS = "branch|commit|revision|sha|team|env|environment|host|agent|region|trigger|user"
_LABEL_NAME = re.compile(rf"(^|[._ ])({_LABELS})$", re.IGNORECASE)


class NotFoundError(ValueError):
    """No mapping can be proposed. The message names what was not found."""


def suggest_mapping(documents: Sequence[Any]) -> str:
    """The proposal for these documents, or rows. Raises `NotFoundError`."""
    missing = ""
    for each, elements in element_lists(documents):
        sample = [element for element in elements if isinstance(element, dict)][:SAMPLE]
        columns = columns_of(sample)
        if not columns:
            continue
        lines, absent = _propose(columns)
        if not absent:
            head = [f"each = {quoted(each)}"] if each else []
            kind = [lines.pop(0)] if lines[0].startswith("kind") else []
            return "\n".join([*kind, *head, *lines]) + "\n"
        missing = missing or absent
    raise NotFoundError(missing or "no objects with fields were found")


def _propose(columns: list[Column]) -> tuple[list[str], str]:
    """The lines of the mapping, and what was not found."""
    times = [time for column in columns if (time := as_time(column)) is not None]
    status = _best(columns, _status_score)
    taken = {time.column.path for time in times} | ({status.path} if status else set())
    others = [column for column in columns if column.path not in taken]
    if status is None:
        return _propose_scores(others, times)
    return _propose_completions(others, status, times)


def _propose_completions(columns: list[Column], status: Column, times: list[Time]) -> tuple[list[str], str]:
    start, end = start_and_end(times)
    duration, unit = find_duration(columns, start, end)
    rest = [column for column in columns if column is not duration]
    workflow = _best(rest, _workflow_score)
    run = _best([column for column in rest if column is not workflow], _id_score)
    absent = [name for name, found in (("a workflow's name", workflow), ("a time", start or end)) if found is None]
    if absent:
        return [], f"no field looks like {' or '.join(absent)}"
    assert workflow is not None
    made_of = (start or end).column.path if (start or end) else ""  # type: ignore[union-attr]
    lines = [
        f"execution_id = {quoted(run.path if run else f'{{{workflow.path}}}@{{{made_of}}}')}",
        f"workflow_id = {quoted(workflow.path)}",
        f"status = {quoted(status.path)}",
        *([f"started_at = {start.spec}"] if start else []),
        *([f"finished_at = {end.spec}"] if end else []),
    ]
    if duration is not None:
        check = "  # check: the unit" if is_guess(duration, unit, start, end) else ""
        lines.append(f"duration_s = {{ field = {quoted(duration.path)}, unit = {quoted(unit)} }}{check}")
    lines += ["", "[status_values]  # check: what each value means", *_status_lines(status)]
    labels = [column for column in rest if column not in (workflow, run) and _LABEL_NAME.search(column.path)]
    if labels:
        lines += [
            "",
            "[labels]",
            *({_key(last_name(each.path).lower()): _label(each) for each in reversed(labels[:8])}.values()),
        ]
    return lines, ""


def _label(column: Column) -> str:
    return f"{_key(last_name(column.path).lower())} = {quoted(column.path)}"


def _propose_scores(columns: list[Column], times: list[Time]) -> tuple[list[str], str]:
    numbers = [column for column in columns if all(number_of(value) is not None for value in column.present)]
    score = _best(numbers, lambda column: 1.0 if _SCORE_NAME.search(column.path) else 0.0)
    texts = [column for column in columns if column is not score]
    entity = _best(texts, lambda column: 1.0 if _ENTITY_NAME.search(column.path) else 0.0)
    if score is None or entity is None or not times:
        if unknown := next((column for column in columns if _is_unknown_status(column)), None):
            words = ", ".join(quoted(word[:40]) for word in sorted(unknown.texts)[:_WORDS_SHOWN])
            return [], f"{quoted(unknown.path)} may be the status, but its words are not known: {words}"
        return [], "no field looks like a status (of executions), or there is no entity, score and time (of scores)"
    return [
        'kind = "score"',
        f"entity_id = {quoted(entity.path)}",
        f"score = {quoted(score.path)}",
        f"scored_at = {times[0].spec}",
    ], ""


def _is_unknown_status(column: Column) -> bool:
    return bool(_STATUS_NAME.search(column.path)) and 0 < len(column.texts) <= _MOST_STATUSES


def _best(columns: Iterable[Column], score: Callable[[Column], float]) -> Column | None:
    """The first column with the highest score above 0."""
    scored = [(score(column), column) for column in columns if column.present]
    best = max((value for value, _ in scored), default=0.0)
    return next(column for value, column in scored if value == best) if best > 0 else None


def _status_score(column: Column) -> float:
    texts = column.texts
    if len(texts) > _MOST_STATUSES:
        return 0.0
    named = bool(_STATUS_NAME.search(column.path))
    if _EXIT_NAME.search(column.path) and all(number_of(value) is not None for value in column.present):
        return 2.5
    known = sum(text.strip().casefold() in _OUTCOME_OF for text in texts) / len(texts)
    if not named and (known < 1 or len(texts) < 2):
        return 0.0
    # What a run came to rather than whether it goes on: payloads have both, as `status` and `conclusion`.
    outcome = 0.5 if _OUTCOME_NAME.search(column.path) else 0.0
    return known + named + outcome if known >= 0.5 else 0.0


def _status_lines(column: Column) -> list[str]:
    if _EXIT_NAME.search(column.path):
        return ['0 = "success"', '"*" = "failure"']
    flags = column.texts <= {"true", "false", "0", "1"}
    inverted = flags and re.search(r"fail", column.path, re.IGNORECASE) is not None
    lines: dict[str, str] = {}
    for word in sorted({text.strip() for text in column.texts}):
        outcome = _OUTCOME_OF.get(word.casefold())
        if inverted:
            outcome = "failure" if word in ("true", "1") else "success"
        known = "" if outcome else "  # unknown word"
        lines[_key(word)] = f"{_key(word)} = {quoted(outcome or 'error')}{known}"
    return list(lines.values())


def _id_score(column: Column) -> float:
    present = column.present
    if len(present) < len(column.values) or len(set(map(str, present))) < len(present):
        return 0.0
    if any(isinstance(value, (bool, float)) for value in present) or not _ID_NAME.search(column.path):
        return 0.0
    return 2.0 if re.search(r"(^|[._ ])(id|uuid|execution.?id|run.?id|build.?id)$", column.path, re.IGNORECASE) else 1.0


def _workflow_score(column: Column) -> float:
    present = column.present
    if len(present) < len(column.values) or not _WORKFLOW_NAME.search(column.path):
        return 0.0
    if any(isinstance(value, (bool, float, Decimal)) for value in present) or _LABEL_NAME.search(column.path):
        return 0.0
    distinct = len(set(map(str, present)))
    repeated = 1.0 if len(present) < 3 or distinct < len(present) else 0.0
    is_text = 0.2 if all(isinstance(value, str) for value in present) else 0.0
    named = 0.5 if re.search(r"workflow|job|pipeline|dag|definition", column.path, re.IGNORECASE) else 0.1
    return repeated + is_text + named if repeated or distinct < 3 else 0.05 + is_text


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else quoted(text)
