"""Signatures by HMAC-SHA256: of what is posted to a webhook."""

import hmac

TIMESTAMP_HEADER = "X-Stream-Detector-Timestamp"
SIGNATURE_HEADER = "X-Stream-Detector-Signature"
TOLERANCE_S = 300.0
"""A request whose timestamp is further off may be a copy of an old one."""


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """`v1=` and the hexadecimal HMAC of timestamp, dot and body.

    >>> signature(b"secret", "1769040300", b"{}")[:19]
    'v1=eaad17428d66891f'
    """
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, "sha256").hexdigest()


def is_genuine(secret: bytes, timestamp: str, body: bytes, given: str, now_s: float) -> bool:
    """Whether the body was signed with the secret not longer than `TOLERANCE_S` ago. What a receiver should ask."""
    fresh = timestamp.isascii() and timestamp.isdigit() and abs(now_s - int(timestamp)) <= TOLERANCE_S
    return fresh and hmac.compare_digest(signature(secret, timestamp, body).encode(), given.encode("utf-8", "replace"))
