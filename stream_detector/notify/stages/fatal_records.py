"""Records that ended a role each time it processed them alone, as one message a look, each in one message alone."""

from collections.abc import Collection

from stream_detector.events import Notification
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.stages.self_monitoring import send_notice
from stream_detector.notify.state.keys import SET_ASIDE, State, read, write
from stream_detector.notify.state.state_models import Notice, SetAsideReported

_WHAT_TO_DO = (
    "The {role} continues behind it. Look at the record (`stream-detector dead-letters`) and at what the system logged "
    "when the process ended: memory, a crash."
)


def report_set_aside(
    state: State, role: str, records: Collection[str], now_s: float, config: NotifyConfig
) -> list[Notification]:
    """Notify everybody of those of a role that were in no message before.

    Args:
        state: of the notifier.
        role: which they ended.
        records: `topic-partition@offset` of all that the role notes now.
        now_s: the time of the message.
        config: which channels are on.
    """
    known = read(state, SET_ASIDE + role, SetAsideReported) or SetAsideReported()
    if (now := sorted(set(records))) == known.records:
        return []
    write(state, SET_ASIDE + role, SetAsideReported(records=now))
    if not (new := [record for record in now if record not in known.records]):
        return []
    what = "A record" if len(new) == 1 else f"{len(new)} records"
    title = f"⚠️ {what} ended the {role} each time, and {'is' if len(new) == 1 else 'are'} on dead-letters"
    notice = Notice(title=title, text="\n".join([*new, _WHAT_TO_DO.format(role=role)]))
    return send_notice(state, notice, f"aside {role} {' '.join(new)}", now_s, config)
