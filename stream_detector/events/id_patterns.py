"""What ids have in common whose producer makes a new one each run: `build-20261130-4711` is one of `build-*`.

Such a producer sends no two executions of one workflow, so nothing can be compared, and each run is a key for good.
"""

import re
from collections import Counter

LOOKS_UNIQUE_FROM = 1_000
"""So many new ids of one pattern with a single execution in a day look like a producer that makes one each run."""
MOST_PATTERNS = 20_000
"""So many patterns are told apart; what lies beyond is counted by group alone."""
UNIQUE_IDS_NOTICE = {"notice": "unique-workflow-ids"}
"""The matchers of the comment on `operator-actions` by which the API lets the notifier know."""

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
_SEPARATORS = re.compile(r"([^\w*]+|_+)")
_NUMBERED = re.compile(r"([^\d*]{2,}?)\d+")
_STARS = re.compile(r"\*(?:[^\w*]*_*[^\w*]*\*)+")


def pattern_of(workflow_id: str) -> str:
    """The id with `*` for what looks counted, random or like a time.

    >>> [pattern_of(each) for each in ("build-4711", "build-20261130-4711", "run/7f3b09aa/test", "nightly")]
    ['build-*', 'build-*', 'run/*/test', 'nightly']
    >>> pattern_of("job_550e8400-e29b-41d4-a716-446655440000"), pattern_of("etl 2026-11-30T10:00:00Z"), pattern_of("77")
    ('job_*', 'etl *', '*')
    >>> pattern_of("deploy1234"), pattern_of("nightly-28473920-x7k2p")
    ('deploy*', 'nightly-*')
    """
    parts = _SEPARATORS.split(_UUID.sub("*", workflow_id))
    parts[::2] = [_without_what_varies(part) for part in parts[::2]]
    return _STARS.sub("*", "".join(parts))


def _without_what_varies(part: str) -> str:
    if not _HEX.fullmatch(part) and (numbered := _NUMBERED.fullmatch(part)):
        return numbered[1] + "*"
    return "*" if _varies(part) else part


def _varies(part: str) -> bool:
    return "*" in part or _HEX.fullmatch(part) is not None or any(character.isdigit() for character in part)


def group_of(workflow_id: str) -> str:
    """The text before the first separator, or before its first digit: ids of one pattern are in one group.

    >>> [group_of(each) for each in ("job-correct-horse", "deploy1234", "xkqzpwma", "4711")]
    ['job-*', '*', '*', '*']
    """
    first, *rest = _SEPARATORS.split(workflow_id, maxsplit=1)
    return f"{first}{rest[0]}*" if rest and first and not _varies(first) else "*"


class Patterns:
    """Counts ids by pattern, and by group what has no pattern in common: words that are drawn, names of branches.

    >>> counted = Patterns()
    >>> for each in ("build-1", "build-2", "ci-a-1", "ci-b-2", "nightly", "weekly"):
    ...     counted.add(each)
    >>> counted.that_look_unique(2)
    {'build-*': 2, 'ci-*': 2}
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        """Group and pattern -> how many ids."""

    def add(self, workflow_id: str) -> None:
        """Count one id, with a single execution today."""
        group, pattern = group_of(workflow_id), pattern_of(workflow_id)
        if (group, pattern) not in self._counts and len(self._counts) >= MOST_PATTERNS:
            pattern = ""
            if (group, pattern) not in self._counts and len(self._counts) >= 2 * MOST_PATTERNS:
                return
        self._counts[group, pattern] += 1

    def that_look_unique(self, at_least: int = LOOKS_UNIQUE_FROM) -> dict[str, int]:
        """Pattern -> how many of the ids have it, where they are so many, the most first."""
        found: Counter[str] = Counter()
        groups: Counter[str] = Counter()
        for (group, pattern), count in self._counts.items():
            if "*" in pattern and count >= at_least:
                found[pattern] += count
            else:
                groups[group] += count
        del groups["*"]
        found.update({group: count for group, count in groups.items() if count >= at_least})
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def unique_ids_text(pattern: str, count: int) -> str:
    """What people are told of them.

    >>> unique_ids_text("build-*", 1234)
    'workflow ids look unique per run: `build-*` (1,234 today); send what is the same in all as workflow_id'
    """
    return (
        f"workflow ids look unique per run: `{pattern}` ({count:,} today); send what is the same in all as workflow_id"
    )
