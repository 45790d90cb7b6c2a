"""What both profiles watch in the same way: resources, the pattern of steps, the rate of arrival."""

from typing import Final

from stream_detector.detect.baseline import WorkflowBaseline
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.finding import Finding
from stream_detector.detect.rules import pattern_deviation, resource_exhaustion
from stream_detector.events import Completion

_RESOURCE: Final = resource_exhaustion.NAME


def judge(
    baseline: WorkflowBaseline, event: Completion, failed: bool, explain: list[str] | None
) -> tuple[list[Finding], list[Finding]]:
    """Score, then learn resources; score the steps of a good execution, and the count of the day so far.

    Returns:
        The findings, and the endings of open incidents.
    """
    found: list[Finding] = []
    ended: list[Finding] = []
    name = event.workflow_name or event.workflow_id
    if event.resources:
        resources, incidents = baseline.resources, baseline.incidents
        gate = float(baseline.threshold_multiplier) if baseline.feedbacks else 1.0
        for resource_name, resource in event.resources.items():
            at = resources.place(resource_name)
            usual, share = resources.usual(at), resource_exhaustion.share_of(resource)
            one = resource_exhaustion.find_exhaustion(name, resource_name, resource, share, usual, gate)
            if one is not None:
                found.append(one)
            elif incidents and (_RESOURCE, crc32_of(resource_name)) in incidents:
                ended.append(resource_exhaustion.exhaustion_ended(name, resource_name, resource, usual))
            resources.learn(at, resource_name, usual, share)
            if explain is not None:
                gates = "; ".join(one.gates) if one is not None else "neither full, nor rising, nor forecast"
                explain.append(f"{resource_name}: {gates}")
    volume_spike = baseline.days.volume_spike()
    if volume_spike is not None:
        found.append(pattern_deviation.volume_spiked(name, *volume_spike))
    if event.steps and not failed:
        found += pattern_deviation.find_step_deviations(name, event.steps, baseline.evidence, explain)
    return found, ended
