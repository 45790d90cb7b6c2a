"""State keys within a statement: of the columns kind, variant and id of a row, as `events.variant.state_key`."""

_ENCODED = r"""(
    SELECT string_agg(CASE WHEN c COLLATE "C" ~ '[A-Za-z0-9._~-]' THEN c
        ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END, '' ORDER BY n)
    FROM unnest(string_to_array({variant}, NULL)) WITH ORDINALITY AS characters (c, n))"""


def sql_key(kind: str, entity_id: str, variant: str) -> str:
    """An expression for the state key of a row.

    Args:
        kind: an expression: a column, or a text in quotes.
        entity_id: a column.
        variant: a column; the key of a row in which it is NULL has none.
    """
    encoded = _ENCODED.format(variant=variant)
    return f"({kind} || CASE WHEN {variant} IS NULL THEN '' ELSE '/' || {encoded} END || ':' || {entity_id})"
