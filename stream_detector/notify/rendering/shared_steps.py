"""What to look at where several anomalies are one message: what they share first, then what each says alike."""

from collections.abc import Sequence

from stream_detector.events import Anomaly
from stream_detector.events.anomaly import severity_rank
from stream_detector.notify.causes import Evidence
from stream_detector.notify.rendering.alert import anomaly_name
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.words import percent
from stream_detector.notify.shared_facets import NOT_LABELS, Cluster, Facet, facet_words
from stream_detector.notify.subject import RESOLVED

MAX_STEPS = 6
STEP_LIMIT = 300
_NAMED = 2
"""So many of the things that brought them together have a step of their own."""


def shared_steps(cluster: Cluster, anomalies: Sequence[Anomaly]) -> list[str]:
    """Steps for what made these anomalies one message, with the evidence for it; none for one by itself."""
    return [_step_of(facet, cluster, len(anomalies)) for facet in cluster.joins[:_NAMED] if facet[0] != "execution"]


def common_steps(anomalies: Sequence[Anomaly]) -> list[str]:
    """What all of them that have not ended say alike; where they differ, the first step of the most severe."""
    active = [one for one in anomalies if one.state != RESOLVED]
    if not active:
        return []
    worst = max(active, key=lambda one: (severity_rank(one.severity), abs(one.metrics.z_score or 0.0)))
    if len({(one.entity_id, one.execution_id) for one in active}) == 1:
        every = dict.fromkeys(step for one in active for step in one.investigation_steps)
        return [_shown(step) for step in every][:MAX_STEPS]
    common = [step for step in worst.investigation_steps if all(step in other.investigation_steps for other in active)]
    found = [_shown(step) for step in common][:MAX_STEPS]
    own = next((step for step in worst.investigation_steps if step not in common), "")
    name = anomaly_name(worst, 120)
    return [*found, _shown(f"Begin with {name}: {own}")] if own else found


def _step_of(facet: Facet, cluster: Cluster, many: int) -> str:
    name, what = facet[0], one_line(facet_words(facet), 100)
    all_of_them = "both anomalies" if many == 2 else f"all {many} anomalies"
    known = cluster.evidence.get(facet)
    if name == "step":
        return f"Look at the {what}: {all_of_them} name it"
    if name in NOT_LABELS or known is None:
        return f"Look at {what} as a whole: {all_of_them} have it in common"
    if facet in cluster.causes:
        return f"Look at what {what} brought: {_evidence_words(known)}"
    return f"Look at {what} as a whole, and at what it runs on: {_evidence_words(known)}"


def _evidence_words(known: Evidence) -> str:
    """How common it is among the odd and among the rest."""
    odd = f"{known.odd_with} of {known.odd} executions with anomalies have it"
    if not known.others:
        return f"{odd}, and no others ran in that hour"
    others = "1 other" if known.others == 1 else f"{known.others:,} others"
    return f"{odd}, and {percent(known.others_with / known.others)} of the {others} of that hour"


def _shown(step: str) -> str:
    return one_line(step, STEP_LIMIT)
