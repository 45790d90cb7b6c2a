"""What detection may be told: the profile and the thresholds. Frozen, and the same for every key of one worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Profile = Literal["classic", "robust"]


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """How far a score may move. `relative` counts the threshold in shares of the previous score: 0.1 is 10 %."""

    threshold: Decimal = Decimal("0.5")
    relative: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` unless the threshold is positive and finite."""
        if not self.threshold.is_finite() or self.threshold <= 0:
            raise ValueError("a score threshold must be a positive, finite number, for example 0.5")


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of `step`.

    Args:
        profile: which rules judge durations and failures.
        score_threshold: a score that moves by so much or more is an anomaly; in points.
        score_rules: entity type -> its own rule, before `score_threshold`.
    """

    profile: Profile = "robust"
    score_threshold: Decimal = Decimal("0.5")
    score_rules: Mapping[str, ScoreRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ValueError` for a profile that does not exist or a threshold that is not positive and finite."""
        if self.profile not in ("classic", "robust"):
            raise ValueError("profile must be classic or robust")
        ScoreRule(self.score_threshold)

    def score_rule(self, entity_type: str | None) -> ScoreRule:
        """The rule in force for an entity of this type."""
        if entity_type is not None and entity_type in self.score_rules:
            return self.score_rules[entity_type]
        return ScoreRule(self.score_threshold)
