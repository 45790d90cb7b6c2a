"""What anomalies share, so that those which open together are one message that leads with it.

Most that breaks at once has one cause: a base image, a commit, a step that every workflow has. Who reads "12 workflows
share step compile" has found it; who reads 12 messages has not.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import NamedTuple

from stream_detector.events import Anomaly
from stream_detector.events.label_counts import LabelCounts
from stream_detector.events.variant import key_parts, shown_name
from stream_detector.notify.causes import MIN_ODD, Evidence, OddExecutions, says_how_it_runs
from stream_detector.notify.subject import is_missed_run, key_of_anomaly

GROUP_BY = ("execution", "build", "commit", "step", "*")
"""What `group_by` may name: these, or any label by its name. `*` is every label."""

NOT_LABELS = {"execution", "step", "workflow", "*"}
"""What `group_by` may name that is no label."""

MISSED_RUNS = "missed runs of"
"""The facet of runs of a source that did not come; no label, and nothing joins by it but in `stages.missed_runs`."""

Facet = tuple[str, str]
"""A name and a value, for example ("step", "compile"). Two anomalies with the same one share it."""


def facets_of(anomaly: Anomaly, group_by: Sequence[str]) -> list[Facet]:
    """What it may share, in the order of `group_by`; nothing of a missed run: there is no execution with labels."""
    found: list[Facet] = []
    if is_missed_run(anomaly):
        return found
    for name in group_by:
        if name == "execution" and anomaly.execution_id:
            found.append((name, f"{anomaly.execution_id} of {anomaly.entity_name}"))
        elif name == "step":
            found += [(name, one.name or one.id) for one in anomaly.affected_entities if one.kind == "step"]
        elif name == "workflow":
            found.append((name, key_of_anomaly(anomaly)))
        elif name == "*":
            found += sorted(anomaly.labels.items())
        elif name not in NOT_LABELS and name in anomaly.labels:
            found.append((name, anomaly.labels[name]))
    return list(dict.fromkeys(found))


class Cluster(NamedTuple):
    """Anomalies that are one message."""

    shared: list[Facet]
    """Everything that all of them share, first what made them one message."""
    numbers: list[int]
    """Their places among those that were given."""
    joins: Sequence[Facet] = ()
    """What of it makes them, and others after them, one message."""
    causes: Sequence[Facet] = ()
    """What of it may be why they are odd."""
    evidence: Mapping[Facet, Evidence] = MappingProxyType({})


def cluster_by_facet(
    anomalies: Sequence[Anomaly],
    group_by: Sequence[str],
    counts: Sequence[LabelCounts | None] = (),
    ignored: Container[str] = (),
) -> list[Cluster]:
    """Split them into what belongs together.

    An execution and every label that `group_by` names make a group of two or more. A step, and with `*` any label, make
    one of three executions or more, the label only where it may be the cause (`causes`): two workflows have many labels
    in common, and most say nothing. Two executions that differ in direction have a label in common and no cause.

    Greedy: of what may be a cause, else of the rest, the facet that most of those left have makes the next cluster; of
    equal ones the first in `group_by`, then the first by value, so the same anomalies give the same clusters in
    whatever order they came. What belongs to nothing is a cluster of its own. Records of one incident count once: they
    share everything, and are no group.

    Args:
        counts: of each anomaly, how common its labels are; none known where it is empty.
        ignored: names of labels that all of them have because they were chosen by it, as by a route.

    >>> cluster_by_facet([], ["step"])
    []
    """
    incidents: dict[str, list[int]] = {}
    for number, anomaly in enumerate(anomalies):
        incidents.setdefault(anomaly.incident_id, []).append(number)
    numbers = list(incidents.values())
    firsts = [anomalies[first] for first, *_ in numbers]
    own = [facets_of(one, group_by) for one in firsts]
    executions = [_execution_of(one) for one in firsts]
    rank: dict[Facet, int] = {}
    holders: dict[Facet, list[int]] = {}
    for member, found in enumerate(own):
        for place, facet in enumerate(found):
            rank[facet] = min(place, rank.get(facet, place))
            holders.setdefault(facet, []).append(member)
    evidence = _evidence(executions, [counts[first] if counts else None for first, *_ in numbers], holders)
    causes = {facet for facet in holders if _may_be_cause(facet, evidence, ignored)}
    named = {facet for facet in holders if joins_by_name(facet, group_by)}
    joining = {facet for facet in causes | named if len(holders[facet]) > 1}
    left, clusters = set(range(len(own))), []
    grouping = {facet: holders[facet] for facet in joining}
    directions = [one.metrics.direction for one in firsts]
    for best, members in _greedy(grouping, left, causes, named, rank, executions, directions):
        common = set(own[members[0]]).intersection(*(own[member] for member in members))
        shared = sorted(common, key=lambda facet: (facet != best, facet not in joining, rank[facet], facet))
        many = len({executions[member] for member in members}) >= MIN_ODD
        clusters.append(
            Cluster(
                shared,
                [number for member in members for number in numbers[member]],
                [facet for facet in shared if facet in named or (many and facet in causes)],
                [facet for facet in shared if facet[0] == "execution" or (many and facet in causes)],
                {facet: evidence[facet] for facet in shared if facet in evidence},
            )
        )
        left.difference_update(members)
    return clusters + [Cluster([], numbers[member]) for member in sorted(left)]


def joins_by_name(facet: Facet, group_by: Sequence[str]) -> bool:
    """Whether what shares it is one message without further evidence: an execution, a workflow, a label by its name."""
    return facet[0] != "step" and facet[0] in group_by


def _execution_of(anomaly: Anomaly) -> tuple[str, str]:
    """What the reading was of: anomalies of one execution are one odd execution."""
    return (anomaly.entity_id, anomaly.execution_id) if anomaly.execution_id else ("", anomaly.incident_id)


def _evidence(
    executions: Sequence[tuple[str, str]],
    counts: Sequence[LabelCounts | None],
    holders: Mapping[Facet, Sequence[int]],
) -> dict[Facet, Evidence]:
    """Of each label that three odd executions carry."""
    first_of = {execution: number for number, execution in reversed([*enumerate(executions)])}
    odd = OddExecutions([counts[number] for number in first_of.values()])
    found = {}
    for facet, members in holders.items():
        if facet[0] in NOT_LABELS or len(members) < MIN_ODD:
            continue
        carriers = [counts[member] for member in members if first_of[executions[member]] == member]
        if len(carriers) >= MIN_ODD and (evidence := odd.evidence(facet[0], carriers)) is not None:
            found[facet] = evidence
    return found


def _may_be_cause(facet: Facet, evidence: Mapping[Facet, Evidence], ignored: Container[str]) -> bool:
    name, value = facet
    if name == "step":
        return True
    known = evidence.get(facet)
    return known is not None and known.is_cause and name not in ignored and not says_how_it_runs(name, value)


def _greedy(
    holders: Mapping[Facet, Sequence[int]],
    left: Container[int],
    causes: Container[Facet],
    named: Container[Facet],
    rank: Mapping[Facet, int],
    executions: Sequence[tuple[str, str]],
    directions: Sequence[str],
) -> Iterator[tuple[Facet, list[int]]]:
    """The next best facet and who of those left has it, until none makes a cluster; the caller empties `left`.

    What a facet has left only becomes less, so one that is still as good as when it was put aside is the best.
    """

    def apart(facet: Facet, members: Sequence[int]) -> bool:
        """Two executions of a build of which one was slower and one faster: no one cause does that."""
        return (
            facet[0] not in NOT_LABELS
            and len({executions[member] for member in members}) == 2
            and len({directions[member] for member in members}) == 2
        )

    def standing(facet: Facet) -> tuple[tuple[bool, int, int, Facet], list[int]]:
        members = [member for member in holders[facet] if member in left]
        is_cause = facet in causes and len({executions[member] for member in members}) >= MIN_ODD
        counts = len(members) > 1 and (is_cause or (facet in named and not apart(facet, members)))
        return (not is_cause, -len(members), rank[facet], facet), members if counts else []

    waiting = [standing(facet)[0] for facet in holders]
    heapify(waiting)
    while waiting:
        before = heappop(waiting)
        now, members = standing(before[3])
        if members and now == before:
            yield before[3], members
        elif members:
            heappush(waiting, now)


def facet_words(facet: Facet) -> str:
    """A facet for people.

    >>> facet_words(("step", "compile")), facet_words(("commit", "4f2a"))
    ('step compile', 'commit=4f2a')
    >>> facet_words(("workflow", "workflow/pull%20request:app"))
    'workflow app (pull request)'
    """
    name, value = facet
    if name == "workflow":
        return _key_words(value)
    return f"{name} {value}" if name in ("step", "execution", MISSED_RUNS) else f"{name}={value}"


def _key_words(key: str) -> str:
    """A state key for people; a kind of a later version has keys of its own."""
    try:
        kind, entity_id, variant = key_parts(key)
    except ValueError:
        return key.replace(":", " ", 1)
    return f"{kind} {shown_name(entity_id, variant)}"
