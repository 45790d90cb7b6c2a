"""The reference job: what every compared system does with each event, and what must come out.

Decode the event, judge its duration against the mean and variance of its workflow's earlier ones (alert beyond 3
sigma), learn it. The mean and the sum of squared deviations are kept by Welford's method (Technometrics 4, 1962), so
that the result depends on the order within a key alone and every system must find the same alerts.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.json import Decoder

LEAST_READINGS = 5
SIGMAS = 3.0


class Reading(Struct, gc=False):
    """What the job reads of a workflow completion."""

    execution_id: str
    workflow_id: str
    duration_s: float


decode = Decoder(Reading).decode


def judge(count: int, mean: float, squares: float, value: float) -> bool:
    """Whether `value` lies beyond 3 sigma of the `count` earlier values (sample variance; squares to spare a root)."""
    deviation = value - mean
    return count >= LEAST_READINGS and deviation * deviation * (count - 1) > SIGMAS * SIGMAS * squares


def learn(count: int, mean: float, squares: float, value: float) -> tuple[int, float, float]:
    """The three numbers with `value` among them."""
    count += 1
    deviation = value - mean
    mean += deviation / count
    return count, mean, squares + deviation * (value - mean)


def expected_alerts(values: Iterable[bytes]) -> set[str]:
    """The execution ids that every system must alert on."""
    state: dict[str, tuple[int, float, float]] = {}
    alerts = set()
    for value in values:
        reading = decode(value)
        baseline = state.get(reading.workflow_id, (0, 0.0, 0.0))
        if judge(*baseline, reading.duration_s):
            alerts.add(reading.execution_id)
        state[reading.workflow_id] = learn(*baseline, reading.duration_s)
    return alerts
