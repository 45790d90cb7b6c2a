"""How a webhook's delivery proves that its sender knows the shared secret, in one of three ways.

Secrets are compared in constant time.
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

RequestHeaders = Mapping[str, str]
"""Of an HTTP request; names in any case of letters."""

_HEX = re.compile(r"sha256=(?P<signature>[0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """One way of proving it."""

    header: str
    """The header that carries the proof, as the answer 401 names it."""
    advice: str
    """Where the person enters the secret, as the end of a sentence."""
    may_be_authentic: Callable[[str, RequestHeaders], bool]
    """(secret, headers) -> whether the body is worth reading; asked before any of it is kept."""
    is_authentic: Callable[[str, RequestHeaders, bytes], bool]
    """(secret, headers, the raw body) -> whether the sender knows the secret."""


def hmac_sha256(header: str, form: re.Pattern[str] = _HEX, *, advice: str) -> Verification:
    """A header with the body's HMAC-SHA256 in hexadecimal digits, by default after `sha256=`.

    Args:
        form: the whole header, with the group `signature`. With a group `timestamp`, too, the signed text is the
            timestamp, a dot and the body.
    """

    def found(headers: RequestHeaders) -> re.Match[str] | None:
        return form.fullmatch(headers.get(header, ""))

    def is_authentic(secret: str, headers: RequestHeaders, body: bytes) -> bool:
        given = found(headers)
        if given is None:
            return False
        stamp = given.groupdict().get("timestamp")
        signed = body if stamp is None else stamp.encode() + b"." + body
        expected = hmac.new(secret.encode(), signed, sha256).hexdigest()
        return hmac.compare_digest(given["signature"], expected)

    return Verification(
        header=header,
        advice=advice,
        may_be_authentic=lambda _, headers: found(headers) is not None,
        is_authentic=is_authentic,
    )


def token_header(header: str, *, advice: str) -> Verification:
    """A header that is the secret itself, or `Bearer` and the secret."""

    def knows(secret: str, headers: RequestHeaders) -> bool:
        return _equal(headers.get(header, "").removeprefix("Bearer "), secret)

    return Verification(
        header=header,
        advice=advice,
        may_be_authentic=knows,
        is_authentic=lambda secret, headers, _: knows(secret, headers),
    )


def basic_auth(*, advice: str) -> Verification:
    """HTTP basic authentication: the password is the secret, whatever the user name is."""

    def knows(secret: str, headers: RequestHeaders) -> bool:
        scheme, _, encoded = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = b64decode(encoded.strip(), validate=True).decode("utf-8", "replace")
        except ValueError:
            return False
        return _equal(given.partition(":")[2], secret)

    return Verification(
        header="Authorization",
        advice=advice,
        may_be_authentic=knows,
        is_authentic=lambda secret, headers, _: knows(secret, headers),
    )


def authorization(*, advice: str) -> Verification:
    """The header `Authorization` as `Bearer` and the secret, or as basic authentication with it as the password."""
    return either(token_header("Authorization", advice=advice), basic_auth(advice=advice))


def either(first: Verification, second: Verification) -> Verification:
    """Either way proves it; what is answered names the first."""
    return Verification(
        header=first.header,
        advice=first.advice,
        may_be_authentic=lambda secret, headers: any(
            each.may_be_authentic(secret, headers) for each in (first, second)
        ),
        is_authentic=lambda secret, headers, body: any(
            each.is_authentic(secret, headers, body) for each in (first, second)
        ),
    )


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode("utf-8", "replace"))
