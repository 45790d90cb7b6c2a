"""Combined messages: the digest of what was held back, anomalies that opened together, and reminders of a group.

Each leads with what matters: how many and how bad, or what they share. Lines follow, the most severe first; what does
not fit a channel is counted, never dropped unsaid.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream_detector.events.anomaly import severity_rank
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.rendering.alert import joined
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.rendering.words import duration, mark_of, minute, type_words
from stream_detector.notify.shared_facets import MISSED_RUNS, facet_words
from stream_detector.notify.state.line_order import ENDS, NEW_NORMAL_KIND, reading_rank
from stream_detector.notify.state.state_models import Combined, Line
from stream_detector.notify.subject import RESOLVED, instant

MAX_FIRST_STEPS = 3
"""Steps of a digest."""
MAX_NAMED = 3
"""So many of the things that brought them together are named in the title."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One reading of the message: an anomaly, or several types that one execution was found with."""

    title: str
    facts: str
    """Current, baseline, deviation, z-score and when it happened; empty for a line that an earlier version kept."""
    link: str


@dataclass(frozen=True, kw_only=True)
class CombinedContent:
    """What a combined message says, not yet escaped."""

    title: str
    intro: str
    entries: tuple[Entry, ...]
    steps: tuple[str, ...] = ()
    footer: str
    link: str


def combined_content(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    """What is said of these lines, which are one an incident, the most severe first."""
    return _CONTENT[head.kind](head, lines, config)


def combined_text(content: CombinedContent, limit: int | None = None) -> str:
    """As plain text with so many entries at most; None: all of them."""
    shown = content.entries[:limit]
    rows = [row for entry in shown for row in entry_rows(entry)]
    if len(content.entries) > len(shown):
        rows.append(more_entries(len(content.entries) - len(shown)))
    return "\n".join(
        [
            *[content.title, "", content.intro, ""],
            *([*rows, ""] if rows else []),
            *([*step_rows(content), ""] if content.steps else []),
            *[content.footer, f"Dashboard: {content.link}"],
        ]
    )


def entry_rows(entry: Entry) -> list[str]:
    """An entry as text, one row each: what, its numbers, its link."""
    return [f"• {entry.title}", *([f"  {entry.facts}"] if entry.facts else []), f"  {entry.link}"]


def step_rows(content: CombinedContent) -> list[str]:
    """The steps as text."""
    return ["What to look at:", *(f"{number}. {step}" for number, step in enumerate(content.steps, 1))]


def more_entries(count: int) -> str:
    """What stands in place of entries that do not fit."""
    return f"• … and {count:,} more on the dashboard"


def entries_of(lines: Sequence[Line]) -> tuple[Entry, ...]:
    """The lines as they are shown: those of one reading are one entry that names each type once."""
    readings: dict[str, list[Line]] = {}
    for line in lines:
        readings.setdefault(line.reading or line.message_id, []).append(line)
    return tuple(_entry(sorted(together, key=reading_rank)) for together in readings.values())


def _entry(lines: Sequence[Line]) -> Entry:
    first = lines[0]
    kind, kinds = type_words(first.anomaly_type), joined([type_words(line.anomaly_type) for line in lines])
    names = "Current {} | Baseline {} | Deviation {} | Z-score {}".format(*first.facts) if first.facts else ""
    when = minute(instant(first.happened_s)) if first.happened_s else ""
    return Entry(
        # The title begins with the mark, the severity and the type: the first place where the type stands.
        title=first.title.replace(kind, kinds, 1) if kind else first.title,
        facts=" | ".join(filter(None, (names, when))),
        link=first.link,
    )


def _digest(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    what = "1 message was" if head.count == 1 else f"{head.count:,} messages were"
    critical = severity_rank("critical")
    mark = "🔴" if any(severity_rank(kind) >= critical for kind in head.counts if kind not in ENDS) else "🟠"
    return CombinedContent(
        title=f"{mark} {what} held back: {_count_words(head.counts)}",
        intro="The rate limit was reached, so these came together. The most severe come first:",
        entries=entries_of(lines),
        steps=_first_steps(lines),
        footer=f"Held back since {minute(instant(head.since_s))} | Limit: {head.limit} in {duration(head.window_s)}",
        link=f"{config.base_url}/anomalies",
    )


def _missed_runs(head: Combined, lines: Sequence[Line], source: str, config: NotifyConfig) -> CombinedContent:
    name, listed = one_line(source, 100), len(lines)
    if head.all_resolved:
        title = f"{mark_of(RESOLVED)} Resolved: {listed:,} missed run{'' if listed == 1 else 's'} of {name}"
        intro = "The last of them has ended:"
    else:
        worst = max((kind for kind in head.counts if kind not in ENDS), key=severity_rank, default="warning")
        title = f"{mark_of(worst)} {head.members:,} missed runs of {name}"
        before = head.members - listed
        others = (
            f" {before:,} had a message of {'its' if before == 1 else 'their'} own; these followed" if before else ""
        )
        intro = f"They were due within an hour of each other.{others} ({_count_words(head.counts)}):"
    return CombinedContent(
        title=title,
        intro=intro,
        entries=entries_of(lines),
        steps=() if head.all_resolved else tuple(head.bond.steps),
        footer=f"Source: {name} | Since {minute(instant(head.since_s))}",
        link=f"{config.base_url}/anomalies?type=PatternDeviation",
    )


def _group(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    joins = head.bond.causes or head.bond.joins or head.shared
    if joins and joins[0][0] == MISSED_RUNS:
        return _missed_runs(head, lines, joins[0][1], config)
    named = "; ".join(map(facet_words, joins[:MAX_NAMED])) or "one incident"
    more = f" and {len(joins) - MAX_NAMED} more" if len(joins) > MAX_NAMED else ""
    worst = max((kind for kind in head.counts if kind not in ENDS), key=severity_rank, default="info")
    is_well = head.all_resolved and NEW_NORMAL_KIND not in head.counts
    mark = mark_of(RESOLVED if is_well else "info" if head.all_resolved else worst)
    ended = "Resolved: all" if is_well else "Ended: all" if head.all_resolved else ""
    # What may be the cause, they share; what merely all of them have in common is said to be that.
    how = "share" if head.bond.causes or not head.bond.joins else "with"
    many = f"{head.members:,} anomalies {how}" if head.members > 1 else "1 anomaly opened again:"
    title = f"{mark} {ended} {many} {one_line(named, 120)}{more}"
    active = f", of which {head.active:,} are ongoing" if head.active else ""
    entries = entries_of(lines)
    if head.all_resolved:
        intro = "The last of it has ended:"
    elif head.members <= len(lines):
        within = f" in {len(entries):,} executions" if len(entries) < len(lines) else ""
        intro = f"They opened together{within} ({_count_words(head.counts)}):"
    else:
        intro = f"News of it: {_count_words(head.counts)}. In all {head.members:,}{active}:"
    return CombinedContent(
        title=" ".join(title.split()),
        intro=intro,
        entries=entries,
        steps=() if head.all_resolved else tuple(head.bond.steps),
        footer=_footer(head),
        link=f"{config.base_url}/anomalies",
    )


def _reminder(head: Combined, lines: Sequence[Line], config: NotifyConfig) -> CombinedContent:
    newest = max(lines, key=lambda line: line.at_s)
    after = duration(max(1.0, newest.at_s - head.since_s))
    return CombinedContent(
        title=f"{mark_of(newest.severity)} Still going on after {after}: {newest.title}",
        intro="Nobody has acknowledged them. This is said again until somebody does, or they have ended.",
        entries=(),
        steps=tuple(head.bond.steps),
        footer=_footer(head),
        link=f"{config.base_url}/anomalies",
    )


_CONTENT: dict[str, Callable[[Combined, Sequence[Line], NotifyConfig], CombinedContent]] = {
    "digest": _digest,
    "group": _group,
    "reminder": _reminder,
}


def _first_steps(lines: Sequence[Line]) -> tuple[str, ...]:
    """Of a digest, whose lines share nothing: the first step that most of them name, then those of the most severe."""
    steps = Counter(line.step for line in lines if line.step)
    common = [f"{step} ({many:,} of them)" for step, many in steps.most_common(MAX_FIRST_STEPS) if many > 1]
    own = [
        f"{line.title.partition(': ')[2].partition(': ')[0]}: {line.step}" for line in lines if steps[line.step] == 1
    ]
    return tuple([*common, *own][:MAX_FIRST_STEPS])


def _count_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{many:,} {kind}" for kind, many in counts.items())


def _footer(head: Combined) -> str:
    shared = "; ".join(map(facet_words, head.shared)) or "one incident"
    return f"All share: {one_line(shared, 600)} | Since {minute(instant(head.since_s))}"
