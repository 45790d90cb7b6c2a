"""The report of an import: on one screen, what would have been sent in that time."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os.path import commonprefix
from typing import Any

import click

from stream_detector.cli.api_client import public_address
from stream_detector.cli.file_report import counted
from stream_detector.cli.import_publish import PublishedHistory
from stream_detector.cli.replayed_history import Found
from stream_detector.events import Completion
from stream_detector.history.provider import Provider
from stream_detector.history.spool import Progress
from stream_detector.notify.rendering.escape import one_line
from stream_detector.settings import Settings

SHOWN_MESSAGES = 6
SHOWN_KEYS = 5
SHOWN_REASONS = 3
_LINE = 160
_DAY_S = 86_400.0


@dataclass
class Imported:
    """What an import has found. `found` and `published` are set once they are known."""

    provider: Provider
    place: str
    unfinished: int
    refused: dict[str, int]
    notes: list[str]
    days: float = 0.0
    runs: int = 0
    foreign: int = 0
    """Runs of another system, in a dump."""
    workflows: set[str] = field(default_factory=set)
    first_s: float = float("inf")
    last_s: float = float("-inf")
    found: Found | None = None
    published: PublishedHistory | None = None

    @classmethod
    def of(cls, provider: Provider, place: str, progress: Progress) -> "Imported":
        """Of a spool that is whole."""
        return cls(provider, place, progress.unfinished, progress.refused, list(progress.notes))

    def add(self, event: Completion) -> None:
        """Count an execution."""
        self.runs += 1
        self.foreign += not event.execution_id.startswith(f"{self.provider.name}:")
        self.workflows.add(event.workflow_id)
        ended_s = event.finished_at.timestamp()
        self.first_s, self.last_s = min(self.first_s, ended_s), max(self.last_s, ended_s)

    @property
    def span_days(self) -> int:
        """From the first end to the last, in days, at least 1."""
        return max(1, round((self.last_s - self.first_s) / _DAY_S)) if self.runs else 0


def print_report(imported: Imported, settings: Settings, *, as_json: bool) -> None:
    """Print it to stdout."""
    page = f"{public_address(settings)}/workflows"
    if as_json:
        click.echo(json.dumps(_as_json(imported, page), ensure_ascii=False))
        return
    for line in _lines(imported, settings, page):
        click.echo(line)


def _lines(imported: Imported, settings: Settings, page: str) -> list[str]:
    lines = [_head(imported)]
    if imported.unfinished:
        lines.append(f"  {counted(imported.unfinished, 'run')} not ended yet: left to the webhook")
    reasons = sorted(imported.refused.items(), key=lambda one: -one[1])
    for what, count in reasons[:SHOWN_REASONS]:
        lines.append(f"  {counted(count, 'run')} not read: {one_line(what, _LINE)}")
    if len(reasons) > SHOWN_REASONS:
        lines.append(f"  {sum(count for _, count in reasons[SHOWN_REASONS:]):,} more not read, for other reasons")
    if imported.refused and not imported.runs:
        lines.append(f"  How a dump of {imported.provider.title} is made: docs/sources.md, History first")
    if imported.foreign:
        what = counted(imported.foreign, "run")
        lines.append(f"  {what} not of {imported.provider.title}: read in the format that the file has")
    lines += [f"  {one_line(text, _LINE)}" for text in imported.notes]
    if imported.runs:
        lines += ["", *_messages(imported, settings)]
    lines += ["", *_published(imported, page)]
    return lines


def _head(imported: Imported) -> str:
    what = f"{imported.provider.title} {one_line(imported.place, 100)}"
    if not imported.runs:
        return f"{what}: no run has ended in this time"
    runs = f"{imported.runs:,} run{'' if imported.runs == 1 else 's'}"
    span = f"{_day(imported.first_s)} to {_day(imported.last_s)}"
    return f"{what}: {runs} of {counted(len(imported.workflows), 'workflow')}, {span}"


def _messages(imported: Imported, settings: Settings) -> list[str]:
    found = imported.found
    assert found is not None and found.forecast is not None
    forecast, days = found.forecast, imported.span_days
    time = "In this day" if days == 1 else f"In these {days} days"
    number = len(forecast.sent)
    if not number:
        anomalies = f"{found.by_type.total():,} anomalies below that" if found.by_type else "nothing unusual"
        return [f"{time} you would have got no message at severity {settings.notify_severity} or higher: {anomalies}."]
    by_severity = Counter(message.severity for message in forecast.sent if message.state != "resolved")
    parts = [f"{by_severity[name]} {name}" for name in ("critical", "warning", "info") if by_severity[name]]
    if ends := sum(message.state == "resolved" for message in forecast.sent):
        parts.append(f"{counted(ends, 'end')} of what was reported")
    channels = ", ".join(found.sent_by_channel) + (" (which is not on)" if forecast.is_assumed else "")
    lines = [
        f"{time} you would have got {counted(number, 'message')}: {', '.join(parts)}",
        f"  by {channels}, about {number / days * 7:.1f} a week; severity "
        f"{settings.notify_severity} or higher, profile {found.profile}, grouped and within the rate limit",
    ]
    names = _short_names([key for key, _ in found.by_key.most_common(SHOWN_KEYS)])
    keys = ", ".join(f"{one_line(names[key], 60)} {count}" for key, count in found.by_key.most_common(SHOWN_KEYS))
    if keys:
        lines.append(f"  most anomalies: {keys}")
    shown = list(zip(forecast.sent_at_s, forecast.sent, strict=True))[-SHOWN_MESSAGES:]
    lines.append("  the last:" if number <= SHOWN_MESSAGES else f"  the last {SHOWN_MESSAGES}:")
    return lines + [f"  {_minute(at_s)}  {one_line(message.title, _LINE - 20)}" for at_s, message in shown]


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each without what all begin with, up to a separator: they are of one repository.

    >>> _short_names(["workflow:github:o/r:.github/workflows/ci.yml", "workflow:github:o/r:.github/workflows/a.yml"])
    {'workflow:github:o/r:.github/workflows/ci.yml': 'ci.yml', 'workflow:github:o/r:.github/workflows/a.yml': 'a.yml'}
    >>> _short_names(["workflow:nightly"])
    {'workflow:nightly': 'nightly'}
    """
    shared = commonprefix(list(keys)) if len(keys) > 1 else "workflow:"  # noqa: RUF071 - by characters, cut below
    cut = max(shared.rfind(":"), shared.rfind("/")) + 1
    return {key: key[cut:] for key in keys}


def _published(imported: Imported, page: str) -> list[str]:
    done = imported.published
    if done is None and not imported.runs:
        return ["Nothing was published, and without --dry-run nothing would be: there is no run to learn from."]
    if done is None:
        return [f"Nothing was published. Without --dry-run, the baselines are warm afterwards: {page}"]
    known = f"; {done.known:,} were known before" if done.known else ""
    lines = [f"Published {done.published:,} as backfill in {done.seconds:.1f} s{known}."]
    lines += [f"  {one_line(text, _LINE)}" for text in done.notes]
    return [*lines, f"Page: {page}"]


def _as_json(imported: Imported, page: str) -> dict[str, Any]:
    found, done = imported.found, imported.published
    forecast = found.forecast if found else None
    sent = list(zip(forecast.sent_at_s, forecast.sent, strict=True)) if forecast else []
    return {
        "runs": imported.runs,
        "workflows": len(imported.workflows),
        "unfinished": imported.unfinished,
        "foreign": imported.foreign,
        "refused": imported.refused,
        "notes": [*imported.notes, *(done.notes if done else ())],
        "days": imported.span_days,
        "from": _instant(imported.first_s) if imported.runs else None,
        "to": _instant(imported.last_s) if imported.runs else None,
        "profile": found.profile if found else None,
        "anomalies": found.by_type.total() if found else 0,
        "channels": found.sent_by_channel if found else {},
        "messages": [
            {
                "at": _instant(at_s),
                "channel": message.channel,
                "severity": message.severity,
                "state": message.state,
                "title": message.title,
                "text": message.text,
            }
            for at_s, message in sent
        ],
        "published": done.published if done else 0,
        "known": done.known if done else 0,
        "page": page,
    }


def _instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")


def _minute(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")
