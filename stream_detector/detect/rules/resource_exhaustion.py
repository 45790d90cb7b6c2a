"""ResourceExhaustion: a resource that is at its limit, or on its way there (W13).

Three rules, the first that holds is reported: used >= 90 % of the limit (`critical` from 98 % on); z > 3 against the
exponentially weighted mean of 10 executions or more, and the third rise in a row; forecast: at the present slope the
limit is reached within 10 executions, rising. The last two need half of the limit; without one the second holds alone.

>>> from stream_detector.events import Resource
>>> find_exhaustion("nightly", "memory", Resource(3.8, 4.0, "GiB"), 0.95, None, gate=1.0).description
'nightly used 95 % of its memory limit (3.8 of 4 GiB)'
>>> find_exhaustion("nightly", "memory", Resource(3.0, 4.0, "GiB"), 0.75, None, gate=1.0) is None
True
"""

from typing import Final

from stream_detector.detect import wording
from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.finding import Finding, ended
from stream_detector.detect.incident import Frozen, Incident
from stream_detector.detect.statistics.level import ACCEPTED_AFTER
from stream_detector.detect.statistics.resources import ResourceBaseline
from stream_detector.detect.statistics.tails import UNKNOWN, confidence, t_tail
from stream_detector.events import Completion, Resource, Severity
from stream_detector.events.anomaly import EndReason
from stream_detector.events.times import epoch_ms

NAME = "resource_exhaustion"
FULL: Final = 0.9
CRITICAL: Final = 0.98
_Z: Final = 3.0
_LEAST: Final = 10
_RISES: Final = 3
_AHEAD: Final = 10
_HALF: Final = 0.5
_FREE: Final = 0.95 * FULL
_BARELY: Final = 0.98 * FULL
"""What is usual again lies below the first, or where the usual use lay above it already, below the second."""
_STEADY: Final = 0.5
_STILL: Final = 0.01
"""A usual use that stays within half its deviation, or a hundredth of itself, does not move."""


def judge(
    baseline: WorkflowBaseline, event: Completion, failed: bool, explain: list[str] | None
) -> tuple[list[Finding], list[Finding]]:
    """Score each resource of an execution, then learn it; the findings, and the ends of open incidents."""
    found: list[Finding] = []
    ended: list[Finding] = []
    if not event.resources:
        return found, ended
    name = wording.name_of(event)
    resources, incidents = baseline.resources, baseline.incidents
    gate = float(baseline.threshold_multiplier) if baseline.feedbacks else 1.0
    for resource_name, resource in event.resources.items():
        at = resources.place(resource_name)
        known, share = resources.baseline_at(at), share_of(resource)
        one = find_exhaustion(name, resource_name, resource, share, known, gate)
        incident = incidents.get((NAME, crc32_of(resource_name))) if incidents else None
        if one is not None:
            found.append(one)
            if incident is not None and incident.frozen is not None:
                incident.frozen.calm = 0
        elif incident is not None:
            at_ms = epoch_ms(event.finished_at)
            end = find_end(name, resource_name, resource, share, known, incident, at_ms)
            if end is not None:
                ended.append(end)
        resources.learn(at, resource_name, known, share)
        if explain is not None:
            gates = "; ".join(one.gates) if one is not None else "not full, not rising, not forecast to reach its limit"
            explain.append(f"{resource_name}: {gates}")
    return found, ended


def share_of(resource: Resource) -> float:
    """What is learned: the share of the limit, or what was used where there is none."""
    limit = resource.limit
    return resource.used / limit if limit else resource.used


def find_exhaustion(
    name: str, resource_name: str, resource: Resource, share: float, known: ResourceBaseline | None, gate: float
) -> Finding | None:
    """The finding for one resource of one execution, or nothing.

    Args:
        share: what `share_of` says of it.
        known: what is known of it; None for a new one.
        gate: 1, or more after feedback (the z gate is multiplied by it).
    """
    full = share >= FULL and bool(resource.limit)
    if not full and (known is None or known.n < _LEAST or known.rises < _RISES - 1 or not known.is_rise(share)):
        return None
    limit = resource.limit
    unit = f" {resource.unit}" if resource.unit else ""
    used = f"{resource.used:.4g} of {limit:.4g}{unit}" if limit else f"{resource.used:.4g}{unit}"
    z = _z_of(share, known)
    severity: Severity = "warning"
    if full:
        severity = "critical" if share >= CRITICAL else "warning"
        what = f"used {wording.share(share)} of its {resource_name} limit ({used})"
        gates = [f"{wording.share(share)} of the limit reaches {wording.share(FULL)}"]
        frozen_gate = _usual_gate(share, known)
    elif known is not None and z is not None and z > _Z * gate and (not limit or share >= _HALF):
        usually = wording.share(known.mean) if limit else f"{known.mean:.4g}{unit}"
        what = f"used {used} of {resource_name}, rising, usually {usually}"
        gates = [_rises(known), f"z {z:.2f} is above {_Z * gate:.2f}"]
        frozen_gate = known.mean + _Z * gate * known.deviation
    elif known is not None and limit and share >= _HALF and share + _AHEAD * known.slope >= 1.0:
        left = (1.0 - share) / known.slope
        what = f"reaches its {resource_name} limit in about {left:.0f} executions ({used} now)"
        slope = f"at {wording.share(known.slope)} an execution the limit is {left:.1f} away, at most {_AHEAD}"
        gates = [_rises(known), slope]
        frozen_gate = _usual_gate(share, known)
    else:
        return None
    return Finding(
        detector=NAME,
        anomaly_type="ResourceExhaustion",
        severity=severity,
        description=f"{name} {what}",
        current=share,
        baseline=known.mean if known else 0.0,
        deviation=share - (known.mean if known else 0.0),
        z=z,
        confidence=UNKNOWN if z is None or known is None else confidence(t_tail(z, known.n)),
        unit="ratio" if limit else resource.unit or "",
        direction="up",
        gates=gates,
        opens_incident=True,
        subject=resource_name,
        threshold=FULL if limit else _Z * gate,
        frozen=_freeze(share, known, frozen_gate),
    )


def _rises(known: ResourceBaseline) -> str:
    return f"{known.rises + 1} rises in a row are {_RISES} or more"


def _z_of(share: float, known: ResourceBaseline | None) -> float | None:
    if known is None or known.n < _LEAST or known.deviation <= 1e-9 * abs(known.mean):
        return None
    return (share - known.mean) / known.deviation


def find_end(
    name: str,
    resource_name: str,
    resource: Resource,
    share: float,
    known: ResourceBaseline | None,
    incident: Incident,
    at_ms: int,
) -> Finding | None:
    """The end of an open incident by an execution in which none of the rules held.

    recovered: for three executions in a row none did, and what is used lay within what was usual at the opening.
    new_normal: it stays outside of that, clearly below 90 % of the limit, and the usual use has come to it and no more
    moves. What stays at the limit stays open.

    Args:
        share: what `share_of` says of it; `known` says what was known before.
    """
    frozen = incident.frozen
    if frozen is None:  # opened by a version that froze nothing
        frozen = incident.frozen = _freeze(share, known, _FREE if resource.limit else share)
    if frozen.count_calm(share < frozen.gate, _RISES):
        description = (
            f"{name} uses less {resource_name} again: {_amount(share, resource)}, "
            f"usually {_amount(frozen.baseline, resource)} before it began"
        )
        gates = [
            f"{_RISES} executions in a row are below {_amount(frozen.gate, resource)}, usual at the opening",
            "and neither full, nor rising, nor forecast",
        ]
        return _ended(description, gates, resource_name, resource, share, frozen.baseline, "recovered")
    if share < frozen.gate or known is None:
        return None
    band = max(_STEADY * known.deviation, _STILL * abs(known.mean))
    steady = frozen.is_steady(known.mean, band, at_ms, ACCEPTED_AFTER, 0)
    near_full = bool(resource.limit) and known.mean + _Z * max(known.deviation, _STILL * known.mean) >= FULL
    if not steady or near_full or abs(share - known.mean) > 2 * band:
        return None
    description = (
        f"{name} has a new usual use of {resource_name} since {wording.instant(incident.since_ms)}: "
        f"{_amount(known.mean, resource)}, before {_amount(frozen.baseline, resource)}"
    )
    gates = [
        f"{ACCEPTED_AFTER} executions have not moved it",
        f"it is not below {_amount(frozen.gate, resource)}, as was usual at the opening",
    ]
    return _ended(description, gates, resource_name, resource, known.mean, frozen.baseline, "new_normal")


def _usual_gate(share: float, known: ResourceBaseline | None) -> float:
    """Below which a share of the limit is usual again, by what was known at the opening.

    Within 3 deviations of the usual use; what rises has a large one, so that no nearer to what opened it than to the
    usual; and clearly below the limit, else what lies at it opens and ends by turns. Where the usual use itself lies so
    high, below that.
    """
    if known is None:
        return _FREE
    usual = known.mean
    if usual >= _FREE:
        return min(usual, _BARELY)
    near = usual + _Z * max(known.deviation, _STILL * usual)
    return min(near, max((share + usual) / 2, usual), _FREE)


def _freeze(share: float, known: ResourceBaseline | None, gate: float) -> Frozen:
    return Frozen(known.mean if known else share, known.deviation if known else 0.0, gate)


def _amount(share: float, resource: Resource) -> str:
    return wording.share(share) if resource.limit else f"{share:.4g} {resource.unit or ''}".rstrip()


def _ended(
    description: str,
    gates: list[str],
    resource_name: str,
    resource: Resource,
    current: float,
    usual: float,
    end_reason: EndReason,
) -> Finding:
    unit = "ratio" if resource.limit else resource.unit or ""
    return ended(
        NAME,
        "ResourceExhaustion",
        description,
        end_reason,
        gates,
        current=current,
        usual=usual,
        unit=unit,
        subject=resource_name,
    )


def first_step(found: Finding) -> str:
    """What to look at first."""
    return f"See what filled {found.subject} in this execution, and whether its limit still fits"
