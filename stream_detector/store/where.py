"""Conditions of a question, their values always apart from the text."""

import re
from typing import Any

from stream_detector.events.variant import is_workflow_key, key_parts, names_of


class Where:
    """Conditions whose values are always parameters."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """`{}` in the condition stands for the next value."""
        places = range(len(self.values) + 1, len(self.values) + len(values) + 1)
        self.conditions.append(condition.format(*(f"${place}" for place in places)))
        self.values += values

    def text(self) -> str:
        """All of them together."""
        return " AND ".join(self.conditions) or "true"

    def any_of(self, column: str, words: Any) -> None:
        """The column is one of the words; nothing where there are none."""
        if len(words) == 1:  # equality lets the index give the order as well
            self.add(column + " = {}", words[0])
        elif words:
            self.add(column + " = ANY({}::text[])", list(words))

    def entity(self, entity: str | None) -> None:
        """An entity's id, or a state key; one that names no variant means all variants of its workflow."""
        if entity is None:
            return
        try:
            kind, entity_id, variant = key_parts(entity)
        except ValueError:
            self.add("entity_id = {}", entity)
            return
        if variant is None:
            self.add("(entity_id = {} OR (entity_id = {} AND entity_kind = {}))", entity, entity_id, kind)
        else:
            self.add(
                "(entity_id = {} OR (entity_id = {} AND entity_kind = {} AND variant = {}))",
                entity, entity_id, kind, variant.replace("\x00", ""),
            )  # fmt: skip

    def about(self, key: str) -> None:
        """Of actions: about a state key. Of a workflow also those about its variants, of a variant those about all."""
        names = names_of(key)
        if len(names) == 1 and is_workflow_key(key):
            self.add(
                "(entity = {} OR (entity LIKE 'workflow/%' AND substr(entity, strpos(entity, ':') + 1) = {}))",
                key, key.partition(":")[2],
            )  # fmt: skip
        else:
            self.any_of("entity", names)

    def variant(self, variant: str | None) -> None:
        """A variant, of whichever workflow."""
        if variant is not None:
            self.add("variant = {}", variant)

    def part_of_name(self, text: str | None) -> None:
        """Part of the entity's name or id, case-insensitive."""
        if text is not None:
            part = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
            self.add("(entity_name ILIKE {} OR entity_id ILIKE {})", part, part)

    def incident(self, is_open: bool | None, is_acknowledged: bool | None) -> None:
        """Of anomalies: the status of the incident of each."""
        if is_open is None and is_acknowledged is None:
            return
        self.add(
            "EXISTS (SELECT 1 FROM incidents i WHERE i.id = incident_id"
            " AND (i.state <> 'resolved') = coalesce({}::boolean, i.state <> 'resolved')"
            " AND (i.acknowledged_at IS NOT NULL) = coalesce({}::boolean, i.acknowledged_at IS NOT NULL))",
            is_open,
            is_acknowledged,
        )
