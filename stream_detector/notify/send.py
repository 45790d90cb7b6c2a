"""Letting a message through, or holding it back: the one place that writes deliveries into the state."""

from msgspec.structs import replace

from stream_detector.events import Anomaly, SeverityName
from stream_detector.events.ids import derived_id
from stream_detector.notify.config import Route
from stream_detector.notify.kept import Due, Line, Reference, Sent, Several
from stream_detector.notify.state import DUE, HELD, LINE, REFERENCE, SENT, State, bucket_of, keys, read, write
from stream_detector.notify.subject import Run, Subject, message_id, severity_of
from stream_detector.notify.throttle import throttle, within
from stream_detector.notify.verdict import Verdict


def due_key(name: str, channel: str) -> str:
    """Where a delivery lies."""
    return f"{DUE}{name}:{channel}"


def limit_bucket(channel: str, route: Route) -> str:
    """What its messages are counted by: the channel, unless the route counts for itself."""
    return bucket_of(channel, route.name if route.own_limit else "")


def entry_of(channel: str, subject: Subject, reason: str, now_s: float) -> Due:
    """The delivery of one anomaly or one run."""
    return Due(
        message_id=message_id(subject),
        channel=channel,
        severity=severity_of(subject),
        first_at_s=now_s,
        next_at_s=now_s,
        reason=reason,
        anomaly=subject if isinstance(subject, Anomaly) else None,
        run_id=subject.run_id or "",
        parts=subject.parts if isinstance(subject, Run) else 0,
        thread=subject.incident_id if isinstance(subject, Anomaly) else "",
    )


def send(state: State, route: Route, entry: Due, lines: list[Line], now_s: float) -> Verdict:
    """Let the message through, or hold its lines back for the digest. `lines` say in short what it tells."""
    bucket = limit_bucket(entry.channel, route)
    sent = read(state, SENT + bucket, Sent) or Sent()
    sent = replace(sent, window_s=route.rate_limit_window_s, limit=route.rate_limit_count)
    ends = any(line.state == "resolved" for line in lines)
    verdict = throttle(entry.channel, sent, now_s, route, ends=ends)
    if not verdict.goes:
        hold(state, bucket, lines, now_s, sent=sent)
        return verdict
    write(state, SENT + bucket, replace(sent, times=[*within(sent.times, now_s, sent.window_s), now_s]))
    reason = f"{entry.reason}; {verdict.reason}" if entry.reason else verdict.reason
    entry = replace(entry, reason=reason)
    if entry.several:
        send_several(state, entry, lines)
    else:
        write(state, due_key(entry.message_id, entry.channel), entry)
    return Verdict(True, reason)


def hold(state: State, bucket: str, lines: list[Line], now_s: float, *, sent: Sent) -> None:
    """Put lines behind those that are held back already."""
    number = sent.next_number
    for line in lines:
        write(state, f"{HELD}{bucket}:{number:012}", line)
        number += 1
    first_s = sent.held_from_s if sent.held else now_s
    write(
        state,
        SENT + bucket,
        replace(sent, held=sent.held + len(lines), next_number=number, held_from_s=first_s, held_last_s=now_s),
    )


def send_several(state: State, entry: Due, lines: list[Line]) -> None:
    """Leave a message about several things, whose lines lie beside it."""
    for number, line in enumerate(lines):
        write(state, f"{LINE}{entry.message_id}:{entry.channel}:{number:06}", line)
    write(state, due_key(entry.message_id, entry.channel), entry)


def lines_of(state: State, name: str, channel: str) -> list[Line]:
    """The lines of a message about several things, the most severe first."""
    found = [read(state, key, Line) for key in sorted(keys(state, f"{LINE}{name}:{channel}:"))]
    return sorted((line for line in found if line), key=lambda line: (ORDER.get(kind_of(line), 9), line.at_s))


def incidents_told(state: State, name: str, channel: str) -> set[str]:
    """The incidents that a message about several things tells of."""
    found = (read(state, key, Line) for key in keys(state, f"{LINE}{name}:{channel}:"))
    return {line.incident_id for line in found if line and line.incident_id}


def forget_lines(state: State, name: str, channel: str) -> None:
    """Drop them."""
    for key in keys(state, f"{LINE}{name}:{channel}:"):
        del state[key]


ORDER = {"critical": 0, "warning": 1, "info": 2, "resolved": 3}


def kind_of(line: Line) -> str:
    """Its severity, or `resolved`."""
    return "resolved" if line.state == "resolved" else line.severity


def counts_of(lines: list[Line]) -> dict[str, int]:
    """How many are critical, warning, info, resolved; what is none is left out."""
    found: dict[str, int] = {}
    for line in sorted(lines, key=lambda line: ORDER[kind_of(line)]):
        found[kind_of(line)] = found.get(kind_of(line), 0) + 1
    return found


def worst_of(lines: list[Line]) -> SeverityName:
    """The severity of a message with these lines: an end counts as info."""
    kinds = {kind_of(line) for line in lines}
    return "critical" if "critical" in kinds else "warning" if "warning" in kinds else "info"


def merged(lines: list[Line]) -> list[Line]:
    """One line an incident, the newest: what opened and ended while it waited is told once, as ended."""
    newest: dict[str, Line] = {}
    for line in lines:
        newest[line.incident_id or line.message_id] = line
    return list(newest.values())


def thread_reference(state: State, channel: str, thread: str) -> Reference | None:
    """What the provider calls the message about that incident or group."""
    return read(state, f"{REFERENCE}{channel}:{thread}", Reference) if thread else None


def several(kind: str, lines: list[Line], **more: object) -> Several:
    """What a message with these lines leads with."""
    return Several(kind=kind, count=len(lines), counts=counts_of(merged(lines)), **more)  # type: ignore[arg-type]


def several_id(*parts: str) -> str:
    """The same for the same message, whatever is replayed."""
    return derived_id("message", *parts)
