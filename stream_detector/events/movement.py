"""How many entities of a score run moved which way, and what that says about one of them.

An entity fell or rose where its score changed by at least half of the threshold that it was judged with. Half, so that
a shift of the whole run counts where only a few entities reach the threshold, and noise does not: in daily poll
averages of 82 entities, quiet runs have at most 4 such moves; of changes of any size they have about 40 up and 40 down.
"""

from typing import Final, Literal

from msgspec import Struct

Move = Literal["not_compared", "unchanged", "fell", "rose"]
MOVES: Final[tuple[Move, ...]] = ("not_compared", "unchanged", "fell", "rose")
"""What one score is for its run. not_compared: a first score, or one that is older than the newest."""

_LEAST, _SHARE, _TIMES = 3, 3, 2
"""A move is common from 3 entities on, if a third of those compared made it, and twice as many as the opposite one. Two
that move together may be chance; where scores are noisy, about as many rise as fall."""


class Movement(Struct, frozen=True, gc=False, kw_only=True):
    """Of the entities of a run that had a previous score, how many fell, rose, or changed by less."""

    fell: int = 0
    rose: int = 0
    unchanged: int = 0

    @property
    def compared(self) -> int:
        """How many had a previous score."""
        return self.fell + self.rose + self.unchanged

    def same_and_other(self, direction: str) -> tuple[int, int]:
        """How many moved in `direction` ("up" or "down"), and how many the other way."""
        return (self.rose, self.fell) if direction == "up" else (self.fell, self.rose)

    def is_common(self, direction: str) -> bool:
        """Whether so many moved in `direction` that the run is the more likely cause than any entity.

        >>> [Movement(fell=n, rose=4, unchanged=79 - n).is_common("down") for n in (3, 27, 28, 41)]
        [False, False, True, True]
        >>> [Movement(fell=fell, rose=rose).is_common("down") for fell, rose in ((3, 0), (2, 0), (3, 2))]
        [True, False, False]
        """
        same, other = self.same_and_other(direction)
        return same >= _LEAST and _SHARE * same >= self.compared and same >= _TIMES * other


def common_words(movement: Movement, direction: str) -> str:
    """What to do where a move is common to the run; empty where it is not.

    >>> common_words(Movement(fell=41, rose=2, unchanged=40), "down")
    '41 of 83 fell: look at the run first'
    """
    if not movement.is_common(direction):
        return ""
    return f"{movement.same_and_other(direction)[0]:,} of {movement.compared:,} {_moved(direction)}: {_ADVICE}"


def movement_words(movement: Movement, direction: str, *, is_change: bool = True) -> str:
    """What the run says about one of its anomalies; empty where there is nothing to compare it with.

    Args:
        is_change: of an anomaly that is itself a move of this run; a drift has happened over many runs.

    >>> movement_words(Movement(fell=1, unchanged=82), "down")
    'Of the 83 entities of the run it alone moved: the others changed by less than half of their thresholds'
    >>> movement_words(Movement(fell=2, rose=5, unchanged=76), "down")
    '2 of 83 fell, 5 rose'
    >>> movement_words(Movement(fell=1), "down")
    ''
    """
    same, other = movement.same_and_other(direction)
    if movement.compared < 2 or (is_change and not same):
        return ""
    if is_change and same == 1 and not other:
        return (
            f"Of the {movement.compared:,} entities of the run it alone moved: the others changed by less than half of "
            "their thresholds"
        )
    counted = f"{same:,} of {movement.compared:,} {_moved(direction)}, {other:,} {_moved(_opposite(direction))}"
    return common_words(movement, direction) or counted


def words_so_far(moved: int, direction: str, expected: int | None) -> str:
    """The same while the run has not ended, when only the moves by the whole threshold are known.

    Args:
        moved: how many entities have moved that way so far, at least 1.
        expected: how many the run announced.

    >>> words_so_far(12, "down", 30)
    'So far 12 of the 30 expected fell: look at the run first'
    >>> words_so_far(1, "up", None)
    'So far it alone moved by its threshold or more; the run has not ended'
    """
    if moved == 1:
        return "So far it alone moved by its threshold or more; the run has not ended"
    of = f" of the {expected:,} expected" if expected is not None and expected >= moved else " entities of the run"
    is_common = moved >= _LEAST and (expected is None or _SHARE * moved >= expected)
    return f"So far {moved:,}{of} {_moved(direction)}{f': {_ADVICE}' if is_common else '; the run has not ended'}"


_ADVICE = "look at the run first"


def _moved(direction: str) -> str:
    return "rose" if direction == "up" else "fell"


def _opposite(direction: str) -> str:
    return "down" if direction == "up" else "up"
