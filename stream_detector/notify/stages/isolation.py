"""What raises is set aside by itself: a defect about one incident, group or delivery must not stop all messages (S27).

A step runs so that the state is as before where it raises. What raises alone is set aside then (`set_aside`), and the
rest is done without it.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext

from stream_detector.events import Notification
from stream_detector.notify.state.keys import State
from stream_detector.notify.state.slotted_store import SlottedStore

OnFailure = Callable[[str, Exception], None]
"""Called with the key of what is set aside, and with what it raised."""
Step = Callable[[Collection[str]], list[Notification]]
"""Does what lies under these keys. Returns its outcomes."""


def raise_again(key: str, error: Exception) -> None:
    """For callers that are to see a defect, such as tests."""
    raise error


class _RehearsedError(Exception):
    """Undoes a rehearsal that went well."""


def isolate(
    state: State,
    key: str,
    step: Callable[[], list[Notification]],
    set_aside: Callable[[Exception], list[Notification]],
    failed: OnFailure,
) -> list[Notification]:
    """Do the step, or set `key` aside."""
    try:
        with undo_on_error(state):
            return step()
    except Exception as error:
        failed(key, error)
        return set_aside(error)


def isolate_each(
    state: State,
    key: str,
    parts: Collection[str],
    step: Step,
    set_aside: Callable[[str, Exception], list[Notification]],
    failed: OnFailure,
) -> list[Notification]:
    """Do the step with all parts of `key`; where it raises, without those that raise alone.

    Where it raises without any, it is none of theirs: they stay as they are, for the next time.
    """
    outcomes: list[Notification] = []
    left = list(parts)
    while True:
        try:
            with undo_on_error(state):
                return [*outcomes, *step(left)]
        except Exception as error:
            if why := _rehearse(state, step, []):
                failed(key, why)
                return outcomes
            found = {part: why for part in left if (why := _rehearse(state, step, [part]))}
            found = found or dict.fromkeys(left, error)  # only together do they raise: nobody knows which it is
        for part, why in found.items():
            failed(part, why)
            outcomes += set_aside(part, why)
        left = [part for part in left if part not in found]


def undo_on_error(state: State) -> AbstractContextManager[None]:
    """Where what is within raises, the state is as before; of the notifier's own state, not of a plain mapping."""
    return state.undo_on_error() if isinstance(state, SlottedStore) else nullcontext()


def _rehearse(state: State, step: Step, parts: Collection[str]) -> Exception | None:
    """What the step raises with these alone; changes nothing."""
    try:
        with undo_on_error(state):
            step(parts)
            raise _RehearsedError
    except _RehearsedError:
        return None
    except Exception as error:
        return error
