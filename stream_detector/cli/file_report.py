"""What the valid events of a file are like, and what of them would be ignored or could not be compared."""

from collections import Counter
from difflib import get_close_matches
from typing import Any

from msgspec import UNSET

from stream_detector.events import Completion, Score
from stream_detector.events.completion import recorded_duration_s
from stream_detector.events.inputs import INPUTS, Kind
from stream_detector.events.lines import Line
from stream_detector.events.lookalikes import find_lookalikes, spelled
from stream_detector.notify.rendering.escape import one_line

FEW = 3
"""Of fewer events nothing is said of them all."""

_ABSENT = {
    "equal_times": "with started_at = finished_at and no duration_s",
    "zero": "with duration_s 0",
    "null": "with duration_s null",
}
_UNITS = {"ms": "ms", "millis": "ms", "milliseconds": "ms", "us": "us", "ns": "ns", "min": "min", "minutes": "min"}
"""What a name ends with -> the unit as a mapping has it."""
_TIMED = ("duration", "elapsed", "runtime", "run_time", "took", "time_taken")
_UNKNOWN_SHOWN = 10


class FileReport:
    """Counts while the file is read. `add` costs 0.3 us an event."""

    def __init__(self) -> None:
        self._others: Counter[str] = Counter()
        self._completions = 0
        self._has_payloads = False
        self.given = 0
        self.whole_seconds = 0
        self.durations: Counter[str] = Counter()
        self.absent: Counter[str] = Counter()
        self.unknown: Counter[tuple[Kind, str]] = Counter()
        self.workflows: set[str] = set()
        self.entities: set[str] = set()
        self.runs: set[str | None] = set()

    def add(self, line: Line) -> None:
        """Count a line that has an event."""
        _, kind, _, event, _, unknown, is_foreign, _ = line
        assert kind is not None
        if type(event) is Completion:
            self._completions += 1
            self._has_payloads |= is_foreign
            self.workflows.add(event.workflow_id)
            if event.duration_s:  # neither absent nor null nor 0
                self.given += 1
            else:
                self._without_duration(event)
        else:
            self._others[kind] += 1
            if type(event) is Score:
                self.entities.add(event.entity_id)
                self.runs.add(event.run_id)
        if unknown:
            for name in unknown:
                self.unknown[kind, name] += 1

    @property
    def kinds(self) -> Counter[str]:
        """How many there are of each kind that there is."""
        own = {"completion": self._completions} if self._completions else {}
        return Counter(own) + self._others

    def _without_duration(self, event: Completion) -> None:
        if recorded_duration_s(event):
            self.durations["computed"] += 1
            self.whole_seconds += event.started_at.microsecond == event.finished_at.microsecond == 0
            return
        self.durations["none"] += 1
        self.absent["equal_times" if event.duration_s is UNSET else "null" if event.duration_s is None else "zero"] += 1

    def summary(self) -> dict[str, Any]:
        """The counts, for programs; what is empty is left out."""
        durations = dict(self.durations) | ({"given": self.given} if self.given else {})
        found = {
            "durations": dict(sorted(durations.items())),
            "without_duration": dict(self.absent),
            "lookalikes": find_lookalikes(self.workflows | self.entities),
            "unknown_fields": self._unknown_by_name(),
            "warnings": self.warnings(),
        }
        return {name: value for name, value in found.items() if value}

    def lines(self) -> list[str]:
        """The same for people."""
        lines = []
        if computed := self.durations["computed"]:
            lines.append(f"{counted(computed, 'duration')} computed as finished_at - started_at (no duration_s)")
        if self.absent:
            whys = ", ".join(f"{count} {_ABSENT[why]}" for why, count in self.absent.most_common())
            number = counted(self.absent.total(), "completion")
            lines.append(f"{number} without a duration ({whys}): evaluated by the outcome alone")
        lines += self.warnings()
        for group in find_lookalikes(self.workflows | self.entities):
            shown = " and ".join(map(spelled, group))
            lines.append(f"{shown} look the same, but each has its own baseline: send one spelling")
        return lines

    def warnings(self) -> list[str]:
        """What is valid and hardly meant."""
        return [*self._unknown_fields(), *self._no_durations(), *self._whole_seconds(), *self._only_new_ids()]

    def _unknown_by_name(self) -> dict[str, int]:
        return {name: count for (_, name), count in self.unknown.most_common(_UNKNOWN_SHOWN)}

    def _unknown_fields(self) -> list[str]:
        lines = []
        for (kind, name), count in self.unknown.most_common(_UNKNOWN_SHOWN):
            shown = one_line(name, 100)
            lines.append(f"the field {shown} is ignored ({counted(count, kind.replace('_', ' '))}){_meant(name, kind)}")
        if (more := len(self.unknown) - _UNKNOWN_SHOWN) > 0:
            lines.append(f"{counted(more, 'further field')} of other names {'is' if more == 1 else 'are'} ignored")
        return lines

    def _no_durations(self) -> list[str]:
        if not self.kinds["completion"] or self.given or self.durations["computed"]:
            return []
        return ["no event has a duration, so slow executions cannot be found: send duration_s, or the real start"]

    def _whole_seconds(self) -> list[str]:
        computed = self.durations["computed"]
        if computed < FEW or self.whole_seconds < computed:
            return []
        return [
            "all times are in whole seconds, so a duration that is computed from them may be off by a second: send "
            "duration_s, or times with a fraction"
        ]

    def _only_new_ids(self) -> list[str]:
        lines = []
        if self._completions == len(self.workflows) >= FEW and not self._has_payloads:  # their ids are ours
            lines.append(
                "each execution has a workflow_id of its own, so none has a baseline: send the id of the job as "
                "workflow_id and that of the run as execution_id"
            )
        if self.kinds["score"] == len(self.entities) >= FEW and len(self.runs) > 1:
            lines.append("each score has an entity_id of its own, so none has a baseline: send one id per entity")
        return lines


def counted(count: int, noun: str) -> str:
    """The number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _meant(name: str, kind: Kind) -> str:
    """Which field of ours is meant, and in which unit it is."""
    own = INPUTS[kind].event_type.__struct_fields__
    plain = name.casefold().replace("-", "_").replace(" ", "_")
    unit = next((unit for end, unit in _UNITS.items() if plain.endswith(end)), "")
    if kind == "completion" and plain.startswith(_TIMED):
        text = ": did you mean duration_s, in seconds? A mapping (--map) of the line duration_s = "
        return one_line(f"{text}{{ field = {name[:100]!r}, unit = {unit or 's'!r} }} converts it", 300).replace(
            "'", '"'
        )
    near = get_close_matches(plain, own, n=1, cutoff=0.7)
    return f": did you mean {near[0]}?" if near else ""
