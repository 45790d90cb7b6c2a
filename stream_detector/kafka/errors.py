"""Error messages for what a broker refuses while a role runs; `preflight` checks the same before it starts."""

from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from stream_detector.kafka.acls import Operation


def describe_error(error: BaseException, role: str, operation: Operation) -> str:
    """The message for an error; for a missing ACL it names the ACL and the command that prints how to grant it.

    Args:
        error: what aiokafka raised.
        role: which needs the ACL.
        operation: what was being done with the topic; in a group it is always Read.

    >>> print(describe_error(TopicAuthorizationFailedError("alerts"), "detector", "Write"))
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
