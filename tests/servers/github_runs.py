"""Histories as GitHub's REST API has them: runs of a repository, newest first. Made, not recorded."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

REPOSITORY = "octo/shop"
_CONCLUSIONS = ("success", "success", "success", "success", "success", "success", "failure", "cancelled", "skipped")


def written(at: datetime) -> str:
    """As GitHub writes times: whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def github_run(
    number: int,
    created_at: datetime,
    *,
    workflow: str = "ci",
    duration_s: float = 300,
    conclusion: str | None = "success",
    event: str = "push",
    branch: str = "main",
    attempt: int = 1,
    repository: str = REPOSITORY,
) -> dict[str, Any]:
    """One run, with the fields that a reader may look at and some of those that it must pass over."""
    ended_at = created_at + timedelta(seconds=duration_s)
    owner = {"login": repository.partition("/")[0], "id": 7, "type": "Organization", "site_admin": False}
    own = {"id": 42, "name": repository.rpartition("/")[2], "full_name": repository, "private": True, "owner": owner}
    return {
        "id": 9_000_000_000 + number,
        "name": workflow.upper(),
        "node_id": f"WFR_{number}",
        "head_branch": branch,
        "head_sha": f"{number:040x}",
        "path": f".github/workflows/{workflow}.yml",
        "display_title": f"Change {number}",
        "run_number": number,
        "event": event,
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
        "workflow_id": sum(map(ord, workflow)),
        "check_suite_id": 5_000_000_000 + number,
        "html_url": f"https://github.com/{repository}/actions/runs/{9_000_000_000 + number}",
        "pull_requests": [],
        "created_at": written(created_at),
        "updated_at": written(ended_at),
        "actor": owner,
        "run_attempt": attempt,
        "run_started_at": written(created_at),
        "triggering_actor": owner,
        "head_commit": {"id": f"{number:040x}", "message": f"Change {number}", "timestamp": written(created_at)},
        "repository": own,
        "head_repository": own,
    }


def listing(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What `GET /repos/OWNER/REPO/actions/runs` returns."""
    return {"total_count": len(runs), "workflow_runs": list(runs)}


def history(
    count: int,
    until: datetime,
    days: float = 90.0,
    *,
    seed: int = 1,
    workflows: Sequence[str] = ("ci", "lint", "nightly", "release"),
    change: Callable[[int, dict[str, Any]], Any] = lambda number, run: None,
) -> list[dict[str, Any]]:
    """Runs spread over the days, newest first: most succeed, in about the time that their workflow takes.

    Args:
        change: may change each run, given its number from 0, the oldest.
    """
    chance, runs = random.Random(seed), []
    for number in range(count):
        created_at = until - timedelta(days=days * (count - number) / count)
        workflow = workflows[number % len(workflows)]
        run = github_run(
            number,
            created_at.replace(microsecond=0),
            workflow=workflow,
            duration_s=round(chance.gauss(200 + 60 * (number % len(workflows)), 12)),
            conclusion="failure" if chance.random() < 0.04 else "success",
            branch="main" if chance.random() < 0.6 else f"topic-{chance.randrange(30)}",
        )
        change(number, run)
        runs.append(run)
    return runs[::-1]


def broken_for_a_day(number: int, run: dict[str, Any]) -> None:
    """`ci` fails twelve times in a row."""
    if 2_000 <= number < 2_048 and run["path"].endswith("ci.yml"):
        run["conclusion"] = "failure"


def slower_from(first: int, factor: float) -> Callable[[int, dict[str, Any]], None]:
    """`lint` takes `factor` times as long from a run on."""

    def change(number: int, run: dict[str, Any]) -> None:
        if number >= first and run["path"].endswith("lint.yml"):
            began = datetime.fromisoformat(run["run_started_at"])
            took = datetime.fromisoformat(run["updated_at"]) - began
            run["updated_at"] = written(began + took * factor)

    return change


def dump(runs: Sequence[dict[str, Any]], per_page: int = 100) -> bytes:
    """What `gh api --paginate` prints: one document a page, one after the other."""
    pages = (runs[at : at + per_page] for at in range(0, len(runs), per_page))
    return b"".join(json.dumps(listing(page) | {"total_count": len(runs)}).encode() for page in pages)


NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def _failing_then_slow() -> list[dict[str, Any]]:
    slower = slower_from(900, 1.8)

    def change(number: int, run: dict[str, Any]) -> None:
        slower(number, run)
        if 500 <= number < 530 and run["path"].endswith("ci.yml"):
            run["conclusion"] = "failure"

    return history(1_200, NOW, change=change)


def _everything_at_once() -> list[dict[str, Any]]:
    """On two days a broken image fails every workflow."""

    def change(number: int, run: dict[str, Any]) -> None:
        if number in range(600, 640) or number in range(1_000, 1_030):
            run["conclusion"] = "timed_out"

    return history(1_200, NOW, seed=2, workflows=[f"job-{number}" for number in range(8)], change=change)


def _pull_requests_and_schedules() -> list[dict[str, Any]]:
    """Pull requests that fail now and then, a schedule that fails for a week, cancelled and repeated runs."""

    def change(number: int, run: dict[str, Any]) -> None:
        if run["path"].endswith("nightly.yml"):
            run["event"] = "schedule"
            if number >= 1_000:
                run["conclusion"] = "failure"
        elif number % 3 == 0:
            run["event"], run["head_branch"] = "pull_request", f"pr-{number}"
            run["conclusion"] = "failure" if number % 9 == 0 else "success"
        elif number % 17 == 0:
            run["conclusion"] = _CONCLUSIONS[number % len(_CONCLUSIONS)]
            run["run_attempt"] = 2

    return history(1_200, NOW, seed=3, change=change)


HISTORIES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "failing, then slow": _failing_then_slow,
    "everything at once": _everything_at_once,
    "pull requests and schedules": _pull_requests_and_schedules,
}
"""Those with which replay, import and a live stack are compared."""
