"""What ends an import."""


class HistoryImportError(Exception):
    """The import cannot go on. The message is for a person: what is wrong, and what to change."""
