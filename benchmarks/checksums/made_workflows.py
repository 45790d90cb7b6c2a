"""Made-up workflows that reach every type of anomaly, what people decide about them, and what is no event."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any

from benchmarks.checksums.histories import DAY_MS, HOUR_MS, START, Item, config_of, item
from benchmarks.checksums.replays import Kept
from stream_detector.events import Action, Completion
from stream_detector.events.completion import Resource, Step
from stream_detector.events.times import epoch_ms
from stream_detector.kafka import topics

KINDS = ("steady", "slower", "failing", "filling", "staged", "rushing", "odd", "learned", "decided", "creeping")
EACH, EXECUTIONS = 5, 360
_FAILED = ("failure", "error", "timeout")
_DECISIONS = ("expected", "comment", "resolve", "not_an_anomaly", "acknowledge", "silence")
BROKEN = (
    (topics.COMPLETIONS, b"{"),
    (topics.COMPLETIONS, b""),
    (topics.COMPLETIONS, b'{"execution_id":"1","workflow_id":"w"}'),
    (topics.COMPLETIONS, b'{"execution_id":1,"workflow_id":"w","status":"success"}'),
    (topics.SCORES, b'{"entity_id":"dao-1","run_id":"nightly-3","entity_name":"DAO 1","score":"7.5"}'),
    (topics.SCORES, b'{"entity_id":"dao-2","run_id":"nightly-3","entity_name":"DAO 2","score":1e99}'),
    (topics.SCORE_RUNS, b'{"run_id":"nightly-3","status":"over","at":"2026-03-05T00:00:00Z"}'),
    (topics.ACTIONS, b'{"action_id":"x","kind":"expected","by":"ann","at":"2026-03-05T00:00:00Z"}'),
)
"""What decoding refuses."""


def made_workflows(seed: int = 1) -> list[Item]:
    """50 workflows of ten kinds over 60 days and more, what people decide about them, and what is no event."""
    draw = random.Random(seed)
    found: list[Item] = []
    for number in range(len(KINDS) * EACH):
        kind = KINDS[number % len(KINDS)]
        for event, late_ms, backfill in _executions(kind, number, random.Random(seed * 1000 + number)):
            at_ms = epoch_ms(event.finished_at) + late_ms + 1000
            found.append(item(topics.COMPLETIONS, event, at_ms, backfill=backfill, astray=draw.random() < 0.1))
            if draw.random() < 0.01:
                found.append(found[-1]._replace(at_ms=at_ms + 500))  # the same again
    found += [item(topics.ACTIONS, action, epoch_ms(action.at)) for action in _decisions()]
    for number in range(5 * len(BROKEN)):
        topic, value = BROKEN[number % len(BROKEN)]
        found.append(Item(topic, value, epoch_ms(START) + number * DAY_MS, None))
    return reacted(found)


def reacted(items: list[Item]) -> list[Item]:
    """In the order in which they come; and people decide about some of the incidents that profile `robust` opens."""
    judging, found, opened = Kept(config_of("robust")[0]), [], count(1)
    for one in sorted(items, key=lambda one: one.at_ms):  # stable: what comes at the same time keeps its order
        found.append(one)
        for anomaly in judging.apply(one):
            kind = {3: "resolve", 7: "expected", 11: "acknowledge"}.get(next(opened) % 12)
            if kind is None or anomaly.state != "opened":
                continue
            action = Action(
                action_id=f"{kind} {anomaly.id}",
                kind=kind,  # type: ignore[arg-type]
                by="ann",
                at=one_ms(one.at_ms),
                entity=f"{anomaly.entity_kind}:{anomaly.entity_id}",
                incident_id=anomaly.incident_id,
            )
            found.append(item(topics.ACTIONS, action, one.at_ms))
            judging.apply(found[-1])
    return found


def one_ms(at_ms: int) -> datetime:
    """Epoch ms as an instant."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _executions(kind: str, number: int, draw: random.Random) -> Iterator[tuple[Completion, int, bool]]:
    """One workflow's executions, by how much each comes late (ms), and whether it is history."""
    at, usual_s = START + timedelta(minutes=7 * number), 20.0 * (1 + number % 7)
    for n in range(EXECUTIONS + (500 if kind == "rushing" else 0)):
        at += _gap(kind, n, draw)
        calm = number % 20 in (0, 9)
        rhythm = 1.0 if calm else 1 + 0.2 * math.sin(at.hour / 24 * math.tau)
        duration_s = usual_s * math.exp(draw.gauss(0, 0.02 if calm else 0.08)) * rhythm
        failed = draw.random() < 0.03
        given: dict[str, Any] = {}
        if kind == "steady" and calm:
            duration_s *= (8.0, 12.0)[n % 90 - 80] if n % 90 in (80, 81) else 1.0
        elif kind in ("steady", "decided") and draw.random() < 0.04:
            duration_s *= draw.choice((0.2, 2.5, 4.0))
        elif kind == "slower" and (150 <= n < 190 or n >= 270):
            duration_s *= 1.8
        elif kind == "creeping":
            weekly = (1 + n * 0.004) * (1.3 if at.weekday() >= 5 else 1.0)
            duration_s *= 1.15 ** min(max(n - 200, 0), 30) if calm else weekly
        elif kind == "failing":
            failed = 120 <= n < 129 or 300 <= n < 303 or draw.random() < (0.6 if 200 <= n < 240 else 0.02)
        elif kind == "filling":
            given["resources"] = _resources(n, draw)
        elif kind == "odd":
            given, duration_s = _odd(n, draw), usual_s
        status = draw.choice(_FAILED) if failed else "success"
        if kind in ("staged", "failing", "filling"):
            given["steps"] = _steps(kind, n, duration_s, failed, draw)
        event = {
            "execution_id": f"{kind}-{number}/{n}",
            "workflow_id": f"{kind}-{number}",
            "workflow_name": f"Workflow {number} ({kind}), größer" if number % 3 else None,
            "status": status,
            "started_at": at - timedelta(seconds=min(duration_s, 1e6)),
            "finished_at": at,
            "duration_s": round(duration_s, 3),
            "labels": _labels(number, n, at),
            "url": f"https://ci.example.org/{number}/{n}" if number % 2 else None,
        }
        late_ms = 0
        if n % 60 == 59:
            late_ms = draw.choice((HOUR_MS // 2, 3 * HOUR_MS, 26 * HOUR_MS, 31 * DAY_MS))
        yield Completion(**(event | given)), late_ms, kind == "learned" and (n < 100 or 200 <= n < 220)


def _gap(kind: str, n: int, draw: random.Random) -> timedelta:
    if kind == "rushing" and (200 <= n < 500 or 600 <= n < 750):
        return timedelta(seconds=120 + draw.random())
    if kind == "rushing" and 100 <= n < 125:  # a busy day: 64 are more than twice of it, and no three times
        return timedelta(minutes=30)
    return timedelta(hours=4 + draw.random())


def _labels(number: int, n: int, at: datetime) -> dict[str, str]:
    labels = {
        "team": ("core", "web", "data")[number % 3],
        "environment": ("prod", "staging")[number % 2],
        "commit": sha256(f"{at:%Y-%m-%d}".encode()).hexdigest()[:40],
        "build": f"{at:%Y%m%d}.{at.hour // 6}",
        "branch": "main" if n % 9 else f"feature-{n}",
    }
    return labels | ({"image": f"base:{n // 80}"} if number % 4 == 0 else {})


def _steps(kind: str, n: int, duration_s: float, failed: bool, draw: random.Random) -> list[Step]:
    shares = {"checkout": 0.05, "compile": 0.4, "test": 0.45, "publish": 0.1}
    if kind == "staged" and 180 <= n < 186:
        shares = {"checkout": 0.05, "compile": 0.05, "test": 0.8, "publish": 0.1}
    names = list(shares)
    if kind == "staged" and n >= 120:
        names.insert(3, "deploy")
    if kind == "staged" and n % 100 == 77:
        names[1], names[2] = names[2], names[1]
    if kind == "filling" and n % 50 == 33:
        names += [f"shard-{shard}" for shard in range(40)]
    noisy = (round(duration_s * shares.get(name, 0.02) * (0.9 + 0.2 * draw.random()), 3) for name in names)
    steps = [Step(name, "success", took_s if n % 11 else None) for name, took_s in zip(names, noisy, strict=True)]
    if failed:
        at = draw.randrange(len(steps))
        steps = [*steps[:at], Step(steps[at].name, "failure", steps[at].duration_s)]
    return steps


def _resources(n: int, draw: random.Random) -> dict[str, Resource]:
    found = {
        "memory": Resource(0.4 + n % 90 / 90 * 3.6, 4.0, "GiB"),
        "disk": Resource(round(50 + 2 * draw.random(), 3), 100.0, "GB"),
        "cpu": Resource(100.0 + n % 2 + (40 * (n % 70 - 66) if n % 70 > 66 else 0), None, "s"),
        "idle": Resource(0.0, None),
    }
    if n > 150:
        found |= {f"gpu-{index}": Resource(round(draw.random() * 9.2, 3), 10.0) for index in range(15)}
    return found


def _odd(n: int, draw: random.Random) -> dict[str, Any]:
    """What counts otherwise, or in nothing."""
    given: dict[str, Any] = {"attempt": 1 + n % 4}
    if n % 5 == 4:
        given["status"] = draw.choice(("cancellation", "skip", "error"))
    if n % 7 == 3:
        given["duration_s"] = draw.choice((None, 0.0, 1e-9, 1e12))
    if n % 13 == 5:
        given["execution_id"] = f"retried-{n // 26}"
    return given


def _decisions() -> Iterator[Action]:
    """What people decide about what is `decided`, whether or not anything is wrong with it."""
    for number in range(len(KINDS) * EACH):
        if KINDS[number % len(KINDS)] != "decided":
            continue
        for n in range(24):
            kind = {18: "relearn", 21: "retire"}.get(n, _DECISIONS[(n + number) % len(_DECISIONS)])
            at = START + timedelta(days=15 + 2 * n, hours=number)
            yield Action(
                action_id=f"{number}/{n - (n % 8 == 7)}",
                kind=kind,  # type: ignore[arg-type]
                by="bob",
                at=at,
                entity=f"workflow:decided-{number if n % 9 else 10_000}",
                until=at + timedelta(hours=6) if kind == "silence" else None,
                comment="looked at it" if kind == "comment" else None,
            )
