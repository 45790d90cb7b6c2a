"""What anomalies share, so that those which open together are one message that leads with it.

Most that breaks at once has one cause: a base image, a commit, a step that every workflow has. Who reads "12 workflows
share step compile" has found it; who reads 12 messages has not.
"""

from collections import Counter
from collections.abc import Sequence

from stream_detector.events import Anomaly
from stream_detector.notify.subject import state_key

GROUP_BY = ("execution", "build", "commit", "step", "*")
"""What `group_by` may name: these, or any label by its name. `*` is every label."""

NOT_LABELS = {"execution", "step", "workflow", "*"}
"""What `group_by` may name that is no label."""

Facet = tuple[str, str]
"""A name and a value, for example ("step", "compile"). Two anomalies with the same one share it."""


def facets_of(anomaly: Anomaly, group_by: Sequence[str]) -> list[Facet]:
    """What it may share, in the order of `group_by`."""
    found: list[Facet] = []
    for name in group_by:
        if name == "execution" and anomaly.execution_id:
            found.append((name, f"{anomaly.execution_id} of {anomaly.entity_name}"))
        elif name == "step":
            found += [(name, one.name or one.id) for one in anomaly.affected_entities if one.kind == "step"]
        elif name == "workflow":
            found.append((name, state_key(anomaly)))
        elif name == "*":
            found += sorted(anomaly.labels.items())
        elif name not in NOT_LABELS and name in anomaly.labels:
            found.append((name, anomaly.labels[name]))
    return list(dict.fromkeys(found))


def cluster_by_facet(anomalies: Sequence[Anomaly], group_by: Sequence[str]) -> list[tuple[list[Facet], list[int]]]:
    """Split them into what shares something: (everything that all of them share, their numbers).

    Greedy: the facet that most of those left have makes the next cluster; of equal ones the first in `group_by`, then
    the first by value, so the same anomalies give the same clusters in whatever order they came. What shares nothing
    is a cluster of its own. Records of one incident count once: they share everything, and are no group.

    >>> cluster_by_facet([], ["step"])
    []
    """
    incidents: dict[str, list[int]] = {}
    for number, anomaly in enumerate(anomalies):
        incidents.setdefault(anomaly.incident_id, []).append(number)
    numbers = list(incidents.values())
    own = [facets_of(anomalies[first], group_by) for first, *_ in numbers]
    rank: dict[Facet, int] = {}
    holders: dict[Facet, list[int]] = {}
    for member, found in enumerate(own):
        for place, facet in enumerate(found):
            rank[facet] = min(place, rank.get(facet, place))
            holders.setdefault(facet, []).append(member)
    left = set(range(len(own)))
    clusters: list[tuple[list[Facet], list[int]]] = []
    counts = Counter(facet for found in own for facet in found)
    while counts:
        best = min(counts, key=lambda facet: (-counts[facet], rank[facet], facet))
        if counts[best] < 2:
            break
        members = [member for member in holders[best] if member in left]
        common = set(own[members[0]]).intersection(*(own[member] for member in members))
        shared = sorted(common, key=lambda facet: (facet != best, rank[facet], facet))
        clusters.append((shared, [number for member in members for number in numbers[member]]))
        left.difference_update(members)
        for member in members:
            counts.subtract(own[member])
        counts += Counter()  # drops what nobody left has
    return clusters + [([], numbers[member]) for member in sorted(left)]


def facet_words(facet: Facet) -> str:
    """A facet for people.

    >>> facet_words(("step", "compile")), facet_words(("commit", "4f2a"))
    ('step compile', 'commit=4f2a')
    """
    name, value = facet
    if name == "workflow":
        return value.replace(":", " ", 1)
    return f"{name} {value}" if name in ("step", "execution") else f"{name}={value}"
