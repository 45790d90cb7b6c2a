"""The layouts of public data sets: CI test runs, poll averages, measured series. Their times carry no zone: UTC.

CI: Prado Lima's collections, `environment, build_id, test_id, ran_at, duration_s, failed`. Poll averages:
FiveThirtyEight, `run_id, date, entity_name, score`. Series: Numenta's benchmark, `timestamp, value`.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby

from stream_detector.events.files.cells import Row, Rows, check_row, instant, number, record
from stream_detector.events.lines import Record
from stream_detector.events.refused import RefusedError

_RUN_HOUR = timedelta(hours=6)
_BETWEEN_SCORES = timedelta(seconds=1)


def ci_tests(rows: Rows, name: str) -> Iterator[Record]:
    """Each test of an environment is a workflow of its own, each row an execution; a repeat is a further attempt."""
    attempts: Counter[tuple[str, str, str]] = Counter()
    for line, row in rows:
        try:
            started, duration_s, failed = _ci_row(row)
        except RefusedError as error:
            yield Record(line, "completion", b"", error)
            continue
        environment, build, test = row["environment"], row["build_id"], row["test_id"]
        attempts[environment, build, test] += 1
        yield record(
            line,
            "completion",
            execution_id=f"{environment}/{build}/{test}",
            workflow_id=f"{environment}/{test}",
            workflow_name=f"{environment}, test {test}",
            status="failure" if failed else "success",
            started_at=started,
            finished_at=_later(started, duration_s),
            duration_s=duration_s,
            attempt=attempts[environment, build, test],
            labels={"environment": environment, "build": build},
        )


def ci_builds(rows: Rows, name: str) -> Iterator[Record]:
    """A build of an environment is one execution: its tests are the steps, its duration the sum of theirs.

    It failed if any of them failed, and ended when the last one did (some were run again days later). In order of end.
    """
    builds: dict[tuple[str, str], list[tuple[int, datetime, float, bool, str]]] = {}
    for line, row in rows:
        try:
            started, duration_s, failed = _ci_row(row)
        except RefusedError as error:
            yield Record(line, "completion", b"", error)
            continue
        tests = builds.setdefault((row["environment"], row["build_id"]), [])
        tests.append((line, started, duration_s, failed, row["test_id"]))
    ended = []
    for (environment, build), tests in builds.items():
        started_at = min(started for _, started, *_ in tests)
        total_s = round(sum(duration_s for _, _, duration_s, *_ in tests), 6)
        last = max(_later(started, duration_s) for _, started, duration_s, *_ in tests)
        finished_at = max(last, _later(started_at, total_s))
        fields = {
            "execution_id": f"{environment}/{build}",
            "workflow_id": environment,
            "workflow_name": environment,
            "status": "failure" if any(failed for *_, failed, _ in tests) else "success",
            "started_at": started_at,
            "finished_at": finished_at,
            "duration_s": total_s,
            "steps": [
                {"name": f"test {test}", "status": "failure" if failed else "success", "duration_s": duration_s}
                for _, _, duration_s, failed, test in tests
            ],
            "labels": {"environment": environment, "build": build},
        }
        ended.append((finished_at, tests[0][0], fields))
    for _, line, fields in sorted(ended, key=lambda build: build[:2]):
        yield record(line, "completion", **fields)


def poll_runs(rows: Rows, name: str) -> Iterator[Record]:
    """Every run: its start, its scores, its end with the count. The data has days; the hour of the day is ours."""
    for run_id, members in groupby(rows, key=lambda numbered: numbered[1]["run_id"]):
        run = list(members)
        try:
            at = instant("date", run[0][1]["date"] or "") + _RUN_HOUR
        except RefusedError as error:
            yield from (Record(line, "score", b"", error) for line, _ in run)
            continue
        yield record(run[0][0], "score_run", run_id=run_id, status="started", at=at, expected=len(run))
        for line, row in run:
            at += _BETWEEN_SCORES
            try:
                check_row(row)
                score = number("score", row["score"])
            except RefusedError as error:
                yield Record(line, "score", b"", error)
                continue
            entity = row["entity_name"]
            yield record(
                line,
                "score",
                entity_id=entity,
                entity_name=entity,
                entity_type="poll average",
                score=score,
                run_id=run_id,
                scored_at=at,
            )
        at += _BETWEEN_SCORES
        yield record(run[0][0], "score_run", run_id=run_id, status="completed", at=at, expected=len(run))


def series(rows: Rows, name: str) -> Iterator[Record]:
    """A series of measurements is one workflow named like the file; a value is the duration, so it is 0 or more."""
    for line, row in rows:
        try:
            check_row(row)
            at = instant("timestamp", row["timestamp"])
            value = number("value", row["value"])
        except RefusedError as error:
            yield Record(line, "completion", b"", error)
            continue
        yield record(
            line,
            "completion",
            execution_id=f"{name}/{line}",
            workflow_id=name,
            status="success",
            started_at=at,
            finished_at=at,
            duration_s=value,
        )


def _ci_row(row: Row) -> tuple[datetime, float, bool]:
    check_row(row)
    if row["failed"] not in ("0", "1"):
        raise RefusedError("validate", "unknown_value", "`failed` is neither 0 nor 1")
    return instant("ran_at", row["ran_at"]), float(bytes(number("duration_s", row["duration_s"]))), row["failed"] == "1"


def _later(at: datetime, seconds: float) -> datetime:
    """`at` + `seconds`; what no calendar holds stays where it began, and the decoder refuses the duration."""
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return at
