"""What ends an import."""

PASSING = 503
"""The status of an error after which the same command may work later."""


class HistoryImportError(Exception):
    """The import cannot go on. The message is for a person: what is wrong, and what to change.

    Attributes:
        status: with which the server refused; 0 where it is something else.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
