"""ResourceExhaustion: a resource that is at its limit, or on its way there (W13).

Three rules, the first that holds is told: used >= 90 % of the limit (`critical` from 98 % on); z > 3 against the
exponentially weighted mean of 10 executions or more, and the third rise in a row; forecast: at the present slope the
limit is reached within 10 executions, rising, and half of it is used. A resource without a limit has the second alone.

>>> from stream_detector.events import Resource
>>> find_exhaustion("nightly", "memory", Resource(3.8, 4.0, "GiB"), 0.95, None, gate=1.0).description
'nightly used 95 % of its memory limit (3.8 of 4 GiB)'
>>> find_exhaustion("nightly", "memory", Resource(3.0, 4.0, "GiB"), 0.75, None, gate=1.0) is None
True
"""

from typing import Final

from stream_detector.detect import wording
from stream_detector.detect.finding import Finding, confidence, one_sided
from stream_detector.detect.statistics.resources import Usual
from stream_detector.events import Resource, Severity

NAME = "resource_exhaustion"
FULL: Final = 0.9
CRITICAL: Final = 0.98
_Z: Final = 3.0
_LEAST: Final = 10
_RISES: Final = 3
_AHEAD: Final = 10
_FORECAST_FROM: Final = 0.5


def share_of(resource: Resource) -> float:
    """What is learned: the share of the limit, or what was used where there is none."""
    limit = resource.limit
    return resource.used / limit if limit else resource.used


def find_exhaustion(
    name: str, resource_name: str, resource: Resource, share: float, usual: Usual | None, gate: float
) -> Finding | None:
    """The finding for one resource of one execution, or nothing.

    Args:
        share: what `share_of` says of it.
        gate: 1, or more after feedback (the z gate is multiplied by it).
    """
    full = share >= FULL and bool(resource.limit)
    if not full and (usual is None or usual.n < _LEAST or usual.rises < _RISES - 1 or not usual.is_rise(share)):
        return None
    limit = resource.limit
    unit = f" {resource.unit}" if resource.unit else ""
    used = f"{resource.used:.4g} of {limit:.4g}{unit}" if limit else f"{resource.used:.4g}{unit}"
    z = _z_of(share, usual)
    severity: Severity = "warning"
    if full:
        severity = "critical" if share >= CRITICAL else "warning"
        told = f"used {wording.share(share)} of its {resource_name} limit ({used})"
        gates, sure = [f"{wording.share(share)} of the limit reaches {wording.share(FULL)}"], 1.0
    elif usual is not None and z is not None and z > _Z * gate:
        told = f"used {used} of {resource_name}, rising, usually {wording.share(usual.mean)}"
        if not limit:
            told = f"used {used} of {resource_name}, rising, usually {usual.mean:.4g}{unit}"
        gates, sure = [f"z {z:.2f} is above {_Z * gate:.2f}"], confidence(one_sided(z), usual.n)
    elif usual is not None and limit and share >= _FORECAST_FROM and share + _AHEAD * usual.slope >= 1.0:
        left = (1.0 - share) / usual.slope
        told = f"reaches its {resource_name} limit in about {left:.0f} executions ({used} now)"
        gates, sure = (
            [f"at {wording.share(usual.slope)} an execution the limit is {left:.1f} away, at most {_AHEAD}"],
            0.5,
        )
    else:
        return None
    if len(gates) == 1 and sure != 1.0:
        gates = [f"{usual.rises + 1} rises in a row are {_RISES} or more", *gates] if usual else gates
    baseline = usual.mean if usual else 0.0
    return Finding(
        detector=NAME,
        anomaly_type="ResourceExhaustion",
        severity=severity,
        description=f"{name} {told}",
        current=share,
        baseline=baseline,
        deviation=share - baseline,
        z=z,
        confidence=sure,
        unit="ratio" if limit else resource.unit or "",
        direction="up",
        gates=gates,
        opens_incident=True,
        subject=resource_name,
        threshold=FULL if limit else _Z * gate,
    )


def _z_of(share: float, usual: Usual | None) -> float | None:
    if usual is None or usual.n < _LEAST or usual.deviation <= 1e-9 * abs(usual.mean):
        return None
    return (share - usual.mean) / usual.deviation


def exhaustion_ended(name: str, resource_name: str, resource: Resource, usual: Usual | None) -> Finding:
    """The end: none of the rules holds any more."""
    share = share_of(resource)
    baseline = usual.mean if usual else share
    return Finding(
        detector=NAME,
        anomaly_type="ResourceExhaustion",
        severity="info",
        description=f"{name} uses less {resource_name} again",
        current=share,
        baseline=baseline,
        deviation=share - baseline,
        z=None,
        confidence=1.0,
        unit="ratio" if resource.limit else resource.unit or "",
        direction="up" if share > baseline else "down",
        gates=[f"neither the limit, nor z, nor the forecast of {resource_name} is told any more"],
        opens_incident=True,
        subject=resource_name,
    )
