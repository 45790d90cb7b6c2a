"""When a message that could not be delivered is tried again, and when it is given up."""

from hashlib import blake2b

from stream_detector.notify.message import LONGEST_WAIT_S

GIVE_UP_AFTER_S = 24 * 3600.0
"""Counted from the decision to send. An alert that is a day old is found on the page, not in a mailbox."""

FIRST_WAIT_S = 2.0


def wait_before_retry_s(message_id: str, channel: str, tries: int, asked_s: float = 0.0) -> float:
    """Seconds until the next try, after `tries` that failed (1 or more).

    Doubles from 2 s up to 15 min, times 0.5 to 1.5; the factor comes from the id, so it is the same after a restart
    and different for messages that failed together. Never less than the provider asked for, never more than 15 min.

    >>> [round(wait_before_retry_s("a", "slack", tries)) for tries in (1, 2, 3, 12)]
    [2, 5, 9, 594]
    >>> wait_before_retry_s("a", "slack", 1, asked_s=30)
    30
    """
    digest = blake2b(f"{message_id}\x1f{channel}\x1f{tries}".encode(), digest_size=8).digest()
    jitter = 0.5 + int.from_bytes(digest, "big") / 2**64
    doubled = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 30))
    return min(LONGEST_WAIT_S, max(asked_s, doubled * jitter))
