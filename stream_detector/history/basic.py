"""Basic authentication of RFC 7617."""

from base64 import b64encode
from collections.abc import Mapping


def basic(user_and_password: str) -> Mapping[str, str]:
    """The header for USER:PASSWORD; none for an empty text.

    >>> basic("Aladdin:open sesame")
    {'Authorization': 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='}
    """
    if not user_and_password:
        return {}
    return {"Authorization": f"Basic {b64encode(user_and_password.encode()).decode()}"}
