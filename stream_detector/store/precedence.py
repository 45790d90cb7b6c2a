"""Which of two states, and which of two severities, an incident with both is shown with; as SQL.

A word that this version does not know ranks above all others, but for `resolved`: nobody must miss it, and what has
ended stays ended. The order in which records come does not matter.
"""

_STATE = "(CASE {0} WHEN 'opened' THEN '0' WHEN 'ongoing' THEN '1' WHEN 'resolved' THEN '3' ELSE '2' END || {0})"
_SEVERITY = "(CASE {0} WHEN 'info' THEN '0' WHEN 'warning' THEN '1' WHEN 'critical' THEN '2' ELSE '3' END || {0})"
"""A digit before the word: the greatest of such texts is the word that ranks highest."""


def ranked_severity(column: str) -> str:
    """The column's word after its rank, a digit.

    >>> ranked_severity("severity")[:24]
    "(CASE severity WHEN 'inf"
    """
    return _SEVERITY.format(column)


def worst_severity(column: str) -> str:
    """Of the rows of a group."""
    return f"substr(max({_SEVERITY.format(column)}), 2)"


def worse_severity(one: str, other: str) -> str:
    """Of two columns of a row."""
    return f"substr(greatest({_SEVERITY.format(one)}, {_SEVERITY.format(other)}), 2)"


def last_state(column: str) -> str:
    """Of the rows of a group: the one that comes last in the life of an incident."""
    return f"substr(max({_STATE.format(column)}), 2)"


def later_state(one: str, other: str) -> str:
    """Of two columns of a row."""
    return f"substr(greatest({_STATE.format(one)}, {_STATE.format(other)}), 2)"
