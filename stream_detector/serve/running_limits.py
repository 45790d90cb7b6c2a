"""How long executions that run may take, read from the stored state of their workflow."""

from typing import Literal, NamedTuple

from stream_detector.detect.running import usual_run
from stream_detector.serve.stored_states import workflow_state
from stream_detector.store.running import Running

LimitOrigin = Literal["start", "rule", "learned"]


class Limit(NamedTuple):
    """The limit of one execution, None where there is none, and what gives it."""

    limit_s: float | None = None
    origin: LimitOrigin | None = None


def limit_of(running: Running) -> Limit:
    """What came with its start, else what MAX_DURATION_RULES or the workflow's own executions give it."""
    if running.event.limit_s:
        return Limit(running.event.limit_s, "start")
    baseline = workflow_state(running.key, running.packed)
    if baseline is None or baseline.running is None:
        return Limit()
    one = baseline.running.find(running.event.execution_id)
    if one is not None and one.off:
        return Limit()
    if one is not None and one.given:
        return Limit(one.limit_s, "rule")
    learned_s = (one.limit_s if one is not None else 0.0) or usual_run(baseline).limit_s
    return Limit(learned_s, "learned") if learned_s else Limit()


def count_unwatched(of: list[Running]) -> int:
    """How many executions of these workflows are not watched: of each the detector watches 16 at once."""
    by_key = {each.key: each for each in of if each.key is not None}
    baselines = [workflow_state(each.key, each.packed) for each in by_key.values()]
    return sum(int(each.running.unwatched) for each in baselines if each is not None and each.running is not None)
