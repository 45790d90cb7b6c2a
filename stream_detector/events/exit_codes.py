"""How a command has ended, by its exit code."""

from stream_detector.events.completion import Status

_STATUS: dict[int, Status] = {0: "success", 124: "timeout", 130: "cancellation", 143: "cancellation"}
"""124: timeout(1) has ended it; 130 and 143: it was ended by SIGINT or SIGTERM (128 + 2, 128 + 15)."""


def status_of_exit_code(code: int) -> Status:
    """The status of a run with this exit code.

    >>> status_of_exit_code(0), status_of_exit_code(137), status_of_exit_code(124)
    ('success', 'failure', 'timeout')
    """
    return _STATUS.get(code, "failure")


def excerpt_of_run(excerpt: str | None, code: int | None) -> str | None:
    """Its last lines; of a run that printed nothing and has failed, its exit code."""
    return excerpt or (f"Exit code {code}" if code else None)
