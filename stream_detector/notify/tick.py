"""What only time brings: groups whose wait is over, digests of what was held, ends that waited for quiet, reminders."""

from stream_detector.events import Notification
from stream_detector.notify.act import silences
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.digest import digests
from stream_detector.notify.flap import ENDING, quiet
from stream_detector.notify.kept import Flap
from stream_detector.notify.pool import flush, wait, waits
from stream_detector.notify.record import of_line
from stream_detector.notify.remind import REPEAT, REPEAT_GROUP, reminded, reminded_of_group
from stream_detector.notify.render.line import line_of
from stream_detector.notify.route import route_of, routes_of
from stream_detector.notify.send import entry_of, send
from stream_detector.notify.silence import facts_of, silence
from stream_detector.notify.state import TIMER, State, keys


def tick(state: State, now_s: float, config: NotifyConfig) -> list[Notification]:
    """Do it. Repeating it at the same time changes nothing more.

    Returns:
        The outcomes that are final already: held back, and silenced meanwhile.
    """
    said: list[Notification] = []
    for key in sorted(key for key in keys(state, TIMER) if float(key.split(":", 2)[1]) <= now_s):
        _, _, kind, what = key.split(":", 3)
        del state[key]
        if kind == REPEAT:
            said += reminded(state, what, now_s, config)
        elif kind == REPEAT_GROUP:
            said += reminded_of_group(state, what, now_s, config)
        elif kind == ENDING and (flap := quiet(state, what, now_s)):
            said += _tell_end(state, flap, now_s, config)
    said += flush(state, now_s, config)
    digests(state, now_s)
    return said


def _tell_end(state: State, flap: Flap, now_s: float, config: NotifyConfig) -> list[Notification]:
    """The end of what flapped, now that it has been quiet; wherever an opening was told."""
    said: list[Notification] = []
    anomaly = flap.ending
    if anomaly is None:
        return []
    line, taking = line_of(anomaly, config, now_s), routes_of(facts_of(anomaly), config)
    for channel in flap.told:
        if channel == INBOX or not config.channels.get(channel):
            continue
        taken = route_of(channel, taking, config, flap.routes.get(channel, "")) or config.fallback
        reason = f"it flapped {flap.times} times and has been quiet for {flap.window_s:g} s"
        verdict = silence(anomaly, silences(state), now_s)
        if verdict.goes and waits(taken):
            wait(state, channel, taken, anomaly, flap.groups, reason, now_s)
        elif verdict.goes:
            verdict = send(state, taken, entry_of(channel, anomaly, reason, now_s), [line], now_s)
        if verdict.outcome:
            said.append(of_line(line, channel, verdict.outcome, verdict.reason, now_s, tries=1))
    return said
