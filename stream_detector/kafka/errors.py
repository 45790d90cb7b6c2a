"""What a broker refused while a role ran, in words; before a role starts, `admission` has asked what is allowed."""

from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from stream_detector.kafka.acls import Operation


def in_words(error: BaseException, role: str, operation: Operation) -> str:
    """What happened, and for a right that was taken away which one, and what to do.

    Args:
        error: what aiokafka raised.
        role: whose right it is.
        operation: what was being done with the topic; in a group it is always Read.

    >>> print(in_words(TopicAuthorizationFailedError("alerts"), "detector", "Write"))
    the broker does not allow it: Write on topic alerts. `stream-detector acls --role detector` prints what to grant
    """
    if isinstance(error, TopicAuthorizationFailedError):
        kind = "topic"
    elif isinstance(error, GroupAuthorizationFailedError):
        kind, operation = "group", "Read"
    else:
        return repr(error)
    named = error.args[0] if error.args else ""
    names = ", ".join(sorted(map(str, named))) if isinstance(named, (set, frozenset, list, tuple)) else str(named)
    return (
        f"the broker does not allow it: {operation} on {kind} {names}. "
        f"`stream-detector acls --role {role}` prints what to grant"
    )
