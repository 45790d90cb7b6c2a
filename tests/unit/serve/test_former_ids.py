"""Where queries by a former id go."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from stream_detector.serve.former_ids import FormerIds
from stream_detector.store.connect import StoreAwayError
from stream_detector.store.renames import Rename

NOW = datetime(2026, 1, 22, tzinfo=UTC)


def former(*pairs: tuple[str, str], away: bool = False) -> FormerIds:
    async def query(*_: Any) -> list[Rename]:
        if away:
            raise StoreAwayError("away")
        return [Rename(old, new, NOW, "ops") for old, new in pairs]

    return FormerIds(SimpleNamespace(query=query))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("named", "holds"),
    [
        ("old", "new:1"),
        ("workflow:old", "workflow:new:1"),
        ("workflow/default%20branch:old", "workflow/default%20branch:new:1"),
        ("score:old", "score:old"),
        ("older", "older"),
        ("workflow:", "workflow:"),
        ("a:b", "c"),
        ("workflow:a:b", "workflow:c"),
        ("", ""),
        ("\x00", "\x00"),
    ],
)
async def test_x20_ids_and_state_keys_lead_to_the_one_that_holds(named: str, holds: str) -> None:
    assert await former(("old", "new:1"), ("a:b", "c")).holds(named) == holds


async def test_x20_while_the_database_is_away_an_id_is_itself() -> None:
    assert await former(("old", "new"), away=True).holds("old") == "old"
