"""What messages say about runs that did not come: several of one source, or a source of which nothing comes."""

from collections.abc import Sequence
from datetime import UTC, datetime

from stream_detector.notify.rendering.escape import name_line, one_line
from stream_detector.notify.rendering.words import duration, minute
from stream_detector.notify.state.state_models import Notice, SilentSource
from stream_detector.notify.subject import instant

NAMED = 5
"""So many workflows are named."""


def source_name(source: str) -> str:
    """A source for people, on one line; never blank."""
    return name_line(source, 100) or "an unnamed source"


def joined_steps(source: str) -> list[str]:
    """What to look at where several runs of a source did not come."""
    name = source_name(source)
    return [
        f"Look at {name} first, which all of them have in common: its scheduler, its workers, its credentials",
        f"If it ran them, look at what sends the events of {name}: webhook, token, network",
    ]


def silence_notice(source: str, silent: SilentSource, names: Sequence[str], now_s: float) -> Notice:
    """The one message about a source of which nothing comes.

    Args:
        names: of the workflows that did not come, those that are known.
    """
    name = source_name(source)
    last = f"The newest one came at {minute(instant(silent.since_s))}. " if silent.since_s < silent.first_due_s else ""
    return Notice(
        title=f"🔕 No events from {name} since {_hour(silent.since_s, now_s)}: {_share(silent)} did not come",
        text=f"{last}The first missing run was due at {minute(instant(silent.first_due_s))}.\n"
        f"{_listed('Missing', names, silent.missed)}"
        f"Look at {name} and at what sends its events (webhook, token, network), not at each workflow. "
        "No message is sent about its single workflows until events come again.",
    )


def end_notice(source: str, silent: SilentSource, still: Sequence[str], *, has_events: bool) -> Notice:
    """The end of it.

    Args:
        still: the names of the workflows that have not come yet.
        has_events: False where nothing is expected of the source any more.
    """
    name, until = source_name(source), minute(instant(silent.over_s))
    since = minute(instant(silent.since_s))
    lasted = duration(max(1.0, silent.over_s - silent.since_s))
    if not has_events:
        title, text = f"✅ Nothing is expected from {name} any more", f"No event came from {since} to {until}.\n"
    else:
        title, text = f"✅ Events come from {name} again", f"None came from {since} to {until} ({lasted}).\n"
        text += f"{_share(silent)} did not come in time.\n"
        text += _listed("Still missing", still, len(still)) or "None of them is missing any more.\n"
    return Notice(title=title, text=text.rstrip(), resolved=True)


def away_notice(from_s: float, until_s: float, expected_runs: int) -> Notice:
    """Nobody processed events for a while."""
    runs = "1 run was" if expected_runs == 1 else f"{expected_runs:,} runs were"
    return Notice(
        title=f"⏸️ No events were processed for {duration(max(1.0, until_s - from_s))}",
        text=f"From {minute(instant(from_s))} to {minute(instant(until_s))} no detector processed events. {runs} "
        "expected in that time and not seen; they are not reported as missed.",
    )


def _share(silent: SilentSource) -> str:
    one = "workflow" if silent.scheduled == 1 else "workflows"
    return f"{silent.missed:,} of {silent.scheduled:,} scheduled {one}"


def _listed(what: str, names: Sequence[str], count: int) -> str:
    if not names:
        return ""
    shown = [name_line(name, 100) for name in names[:NAMED]]
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return f"{what}: {one_line(', '.join(shown), 600)}{more}.\n"


def _hour(at_s: float, now_s: float) -> str:
    at, now = instant(at_s), instant(now_s)
    return f"{at:%H:%M} UTC" if _day(at) == _day(now) else minute(at)


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"
