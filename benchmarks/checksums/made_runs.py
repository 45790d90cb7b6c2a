"""Made-up score runs: nightly and partial ones, some that fail, time out or lack an entity; scores without a run."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.checksums.histories import START, Item, item
from benchmarks.checksums.made_workflows import one_ms, reacted
from stream_detector.events import Action, Score, ScoreRun
from stream_detector.events.encode import encode
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics

DAYS, MANY = 45, 5_200


def made_runs(seed: int = 2) -> list[Item]:
    """Runs of every night and every six hours, runs that fail, time out or lack an entity, scores without a run."""
    scores, found = _Scores(random.Random(seed)), []
    for day in range(DAYS):
        midnight = START + timedelta(days=day)
        found += _nightly(scores, day, midnight + timedelta(hours=2))
        for number, hour in enumerate((5, 11, 17, 23)):
            which = number if day % 3 == 0 else number % 3  # with the nightly one a kind more than are kept
            names = [("dao", 10 * which + n) for n in range(10) if (day + hour) % 20 != n]
            found += _run(scores, f"partial-{day}-{hour}", names, midnight + timedelta(hours=hour))
        for n in range(8):
            at = midnight + timedelta(hours=12, seconds=20 * n)
            found.append(item(topics.SCORES, scores.next("dao" if n % 3 else "", n, at, None), epoch_ms(at) + 200))
    for run_id, kinds in (("kinds-1", 25), ("kinds-2", 25), ("kinds-3", 18), ("kinds-4", 18)):
        names = [(f"kind-{n % kinds}", n) for n in range(60) if (run_id, n) != ("kinds-4", 7)]
        found += _run(scores, run_id, names, START + timedelta(days=DAYS, hours=2 * int(run_id[-1])))
    for number in (1, 2):
        names = [("many", n) for n in range(MANY)]
        found += _run(scores, f"large-{number}", names, START + timedelta(days=DAYS + number), gap_ms=10)
    for odd, run_id in enumerate(("roster~dao", "window~dao~x", "~roster~", "roster~dao")):
        found += _run(scores, run_id, [("dao", n) for n in range(3)], START + timedelta(days=DAYS + 3, hours=odd))
    for number, kind in enumerate(("expected", "relearn", "retire", "resolve", "not_an_anomaly", "comment") * 3):
        at = START + timedelta(days=10 + number, hours=1)
        action = Action(action_id=f"s{number}", kind=kind, by="eve", at=at, entity=f"score:dao-{number}")  # type: ignore[arg-type]
        found.append(item(topics.ACTIONS, action, epoch_ms(at)))
    return reacted([one._replace(astray=number % 10 == 9) for number, one in enumerate(found)])


class _Scores:
    """Scores of entities that wander, jump, and drift."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._last: dict[str, int] = {}

    def next(self, kind: str, number: int, at: datetime, run_id: str | None) -> Score:
        """The next score of an entity; kept in hundredths, so that no digit depends on how a float is written."""
        draw, entity = self._draw, f"{kind or 'plain'}-{number}"
        last = self._last.get(entity, 500 + 10 * (number % 40) if kind != "vault" else 100_000 + number)
        chance, moved = draw.random(), draw.choice((-10, 0, 0, 10))
        if chance < 0.02:
            moved = draw.choice((-170, -70, -50, 50, 80, 200))
        elif number % 12 == 5:
            moved = 40
        if kind == "vault":
            moved *= 200
        elif kind == "many" and run_id == "large-2":
            moved = 100 + number % 7
        now = max(0, last + moved)
        self._last[entity] = now
        more: dict[str, Any] = {}
        if chance > 0.97:
            more["previous_score"] = None if chance > 0.99 else Decimal(last) / 100
        return Score(
            entity_id=entity,
            entity_name=f"{kind.upper()} {number}" if number % 5 else f"Größe {number}",
            score=Decimal(now) / 100,
            scored_at=at,
            entity_type=kind or None,
            run_id=run_id,
            labels={"snapshot_space": f"{entity}.eth"} if number % 2 else {},
            url=f"https://scores.example.org/{entity}" if number % 3 == 0 else None,
            **more,
        )


def _nightly(scores: _Scores, day: int, at: datetime) -> list[Item]:
    names = [*(("dao", n) for n in range(40)), *(("vault", n) for n in range(15)), *(("", n) for n in range(5))]
    if day % 9 == 5:
        names = [name for name in names if name[1] != day % 15]
    how = "failed" if day % 13 == 7 else "" if day % 11 == 4 else "completed"
    return _run(scores, f"nightly-{day}", names, at, how=how, expected=60 if day % 3 else None)


def _run(
    scores: _Scores,
    run_id: str,
    names: Sequence[tuple[str, int]],
    at: datetime,
    *,
    how: str = "completed",
    expected: int | None = None,
    gap_ms: int = 2000,
) -> list[Item]:
    """A run's events. Some scores come twice, some late, some cannot be read; with `how` empty it never ends."""
    at_ms = epoch_ms(at)
    started = ScoreRun(run_id=run_id, status="started", at=at, expected=expected)
    found = [item(topics.SCORE_RUNS, started, at_ms)]
    for number, (kind, n) in enumerate(names):
        at_ms += gap_ms
        if not how and number == len(names) - 3:
            at_ms += 930_000  # longer than a run is waited for
        back_s = {13: 600, 29: 30 * 3600}.get((number + len(run_id)) % 50, 0)
        event = scores.next(kind, n, one_ms(at_ms) - timedelta(seconds=back_s), run_id)
        if (number + len(run_id)) % 97 == 41:
            broken = encode(event).replace(b'"score":', b'"score":"', 1).replace(b',"scored_at"', b'","scored_at"', 1)
            found.append(Item(topics.SCORES, broken, at_ms, None))
            continue
        found.append(item(topics.SCORES, event, at_ms, backfill=run_id.startswith("partial-1-")))
        if number % 31 == 7:
            found.append(found[-1]._replace(at_ms=at_ms + 100))
    if how:
        ended = ScoreRun(
            run_id=run_id,
            status=how,  # type: ignore[arg-type]
            at=one_ms(at_ms + 1000),
            expected=len(names) if expected else None,
            error="the source gave no answer" if how == "failed" else None,
        )
        found.append(item(topics.SCORE_RUNS, ended, at_ms + 1000))
    return found
