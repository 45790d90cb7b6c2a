"""What is reported adds up: of every anomaly of a real history, in both profiles."""

from pathlib import Path
from random import Random

import pytest

import stream_detector.devstack
from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer
from stream_detector.events import Resource
from stream_detector.events.files import read_history
from tests.unit.detect.events_of import run

HISTORY = Path(stream_detector.devstack.__file__).parent / "demo_data" / "builds.csv.gz"


def anomalies_of(profile):
    """Of the demo's builds, and of a workflow that breaks, becomes slow and uses up its memory, and is well again."""
    random, folding = Random(1), Replayer(Config(profile=profile))
    events = [line.event for line in read_history(HISTORY, record_ms=-1, builds=True)]
    for number in range(300):
        bad = 150 <= number % 200 < 165
        duration_s = random.lognormvariate(4.6, 0.05) * (3.0 if bad else 1.0)
        used = Resource(3.9 if bad else 1.0 + random.random(), 4.0)
        status = "failure" if bad and number % 3 else "success"
        events.append(run(number, duration_s, status, workflow_id="own", resources={"memory": used}))
    return [one for event in events for one in folding.apply(event).anomalies]


@pytest.mark.parametrize("profile", ["classic", "robust"])
def test_deviation_side_and_confidence_fit_the_readings(profile):
    told = anomalies_of(profile)
    assert {"UnusualExecutionTime", "SpikeInFailures", "ResourceExhaustion"} <= {one.anomaly_type for one in told}
    for one in told:
        numbers = one.metrics
        assert 0.0 <= numbers.confidence <= 1.0, one
        assert numbers.deviation == pytest.approx(numbers.current_value - numbers.baseline_value, abs=1e-9), one
        if one.detector == "unusual_execution_time" and one.state != "resolved":  # a shift's side is that of its mean
            assert (numbers.direction == "up") == (numbers.deviation > 0), one
