"""What of an anomaly decides how it is sent."""

import pytest

from stream_detector.notify.subject import will_resolve
from tests.events_made import anomaly


@pytest.mark.parametrize(
    ("anomaly_type", "severity", "profile", "ends"),
    [
        ("SpikeInFailures", "warning", "classic", True),
        ("ConsecutiveFailures", "critical", "robust", True),
        ("ResourceExhaustion", "warning", "classic", True),
        ("UnusualExecutionTime", "warning", "robust", True),
        ("UnusualExecutionTime", "info", "robust", False),
        ("PerformanceDegradation", "warning", "classic", False),
        ("PerformanceDegradation", "info", "robust", False),
        ("SignificantScoreChange", "critical", "robust", False),
        ("PatternDeviation", "info", "robust", False),
    ],
)
def test_what_detection_ends(anomaly_type, severity, profile, ends):
    """As `lasting` of the findings in `detect` says: nobody waits for an end that never comes, or is reminded."""
    assert will_resolve(anomaly(anomaly_type=anomaly_type, severity=severity, profile=profile)) is ends
