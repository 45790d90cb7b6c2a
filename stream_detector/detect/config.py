"""The configuration of detection: the profile and the thresholds. Frozen, and the same for every key of one worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, get_args

from stream_detector.events import Completion, Profile, Score, Start
from stream_detector.timing_rules import Expectation, ExpectRule, MaxDurationRule

ClockMode = Literal["auto", "on", "off"]


class ProfileRule(NamedTuple):
    """Workflows whose id, or whose label `label`, matches `pattern` (shell-like: `*`, `?`, `[ab]`) have `profile`."""

    label: str
    pattern: str
    profile: Profile


def profile_rules(text: str) -> tuple[ProfileRule, ...]:
    """Rules separated by commas, the first that matches holds. Raises `ValueError`.

    >>> profile_rules("deploy-* -> classic, team=core -> robust")[1]
    ProfileRule(label='team', pattern='core', profile='robust')
    """
    rules = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        pattern, arrow, profile = (word.strip() for word in part.rpartition("->"))
        label, equals, value = pattern.partition("=")
        if not arrow or profile not in get_args(Profile) or not pattern or (equals and not (label and value)):
            raise ValueError("must be PATTERN -> PROFILE or LABEL=PATTERN -> PROFILE, several separated by commas")
        rules.append(ProfileRule(label if equals else "", value if equals else pattern, profile))  # type: ignore[arg-type]
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """How far a score may move. `relative` counts the threshold in shares of the previous score: 0.1 is 10 %."""

    threshold: Decimal = Decimal("0.5")
    relative: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` unless the threshold is positive and finite."""
        if not self.threshold.is_finite() or self.threshold <= 0:
            raise ValueError("a score threshold must be a positive, finite number, for example 0.5")


class ScoreThresholdRule(NamedTuple):
    """Scores whose `entity_type` (`field` is `type`) or whose `entity_id` (`field` is empty) match `pattern`."""

    field: Literal["", "type"]
    pattern: str
    rule: ScoreRule


def score_threshold_rules(text: str) -> tuple[ScoreThresholdRule, ...]:
    """Rules separated by commas, the first that matches holds; a percentage is of the previous score.

    Raises:
        ValueError: a rule that cannot be read, or a threshold that is not positive.

    >>> rules = score_threshold_rules("type=dao -> 5 %, poll-* -> 1.0")
    >>> [(rule.field, rule.pattern, str(rule.rule.threshold), rule.rule.relative) for rule in rules]
    [('type', 'dao', '0.05', True), ('', 'poll-*', '1.0', False)]
    """
    rules = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        pattern, arrow, threshold = (word.strip() for word in part.rpartition("->"))
        field, equals, value = (word.strip() for word in pattern.rpartition("="))
        number, percent, rest = threshold.partition("%")
        try:
            read = ScoreRule(Decimal(number.strip()) / (100 if percent else 1), bool(percent))
        except (ArithmeticError, ValueError):
            read = None
        if not (arrow and value and read and not rest.strip() and field == ("type" if equals else "")):
            raise ValueError(
                "must be type=PATTERN -> THRESHOLD or ENTITY_ID_PATTERN -> THRESHOLD, a positive number "
                "or percentage, several separated by commas"
            )
        rules.append(ScoreThresholdRule("type" if equals else "", value, read))
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of `step`.

    Args:
        profile: which rules judge durations and failures.
        score_threshold: a score that moves by so much or more is an anomaly; in points.
        score_rules: which scores have another threshold; the first that matches holds.
        profile_rules: which workflows have another profile.
        duration_from_times: an execution that says no duration took as long as its two times are apart.
        variant_by: the labels that give the variant of an execution that names none; none: it has none.
        clock: whether runs that are missing or late to end are found; auto: in the profile `robust`.
        max_duration_rules: which workflows have a given limit of how long they may run.
        expect_rules: of which workflows runs are expected at given times.
        has_clock: what `clock` means for the profile of this configuration.
    """

    profile: Profile = "robust"
    score_threshold: Decimal = Decimal("0.5")
    score_rules: tuple[ScoreThresholdRule, ...] = ()
    profile_rules: tuple[ProfileRule, ...] = ()
    duration_from_times: bool = True
    variant_by: tuple[str, ...] = ()
    clock: ClockMode = "auto"
    max_duration_rules: tuple[MaxDurationRule, ...] = ()
    expect_rules: tuple[ExpectRule, ...] = ()
    has_clock: bool = field(init=False, repr=False, compare=False, default=False)
    _by_profile: "Mapping[str, Config]" = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ValueError` for a profile or clock that does not exist, or a threshold that is not positive."""
        if self.profile not in get_args(Profile):
            raise ValueError("profile must be classic or robust")
        if self.clock not in get_args(ClockMode):
            raise ValueError("clock must be auto, on or off")
        is_on = self.clock == "on" or (self.clock == "auto" and self.profile == "robust")
        object.__setattr__(self, "has_clock", is_on)
        ScoreRule(self.score_threshold)
        if self.profile_rules:
            every = {name: replace(self, profile=name, profile_rules=()) for name in get_args(Profile)}
            object.__setattr__(self, "_by_profile", every)

    def for_execution(self, event: Completion | Start) -> "Config":
        """The configuration in force for one execution: that of the first rule that matches, else this one."""
        return self.for_key(event.workflow_id, event.labels) if self.profile_rules else self

    def for_key(self, workflow_id: str, labels: Mapping[str, str]) -> "Config":
        """The same for a workflow of which no execution came, with the labels that it usually has."""
        for rule in self.profile_rules:
            seen = labels.get(rule.label) if rule.label else workflow_id
            if seen is not None and fnmatchcase(seen, rule.pattern):
                return self._by_profile[rule.profile]
        return self

    def max_duration_s(self, event: Completion | Start) -> float | None:
        """The given limit of an execution in seconds; 0.0: it may run for any time; None: the limit is learned."""
        for rule in self.max_duration_rules:
            seen = event.labels.get(rule.label) if rule.label else event.workflow_id
            if seen is not None and fnmatchcase(seen, rule.pattern):
                return rule.limit_s
        return None

    def expectation(self, workflow_id: str, labels: Mapping[str, str]) -> Expectation | None:
        """When runs of a workflow are expected; `OFF`: none is, whatever was learned; None: as learned."""
        for rule in self.expect_rules:
            seen = labels.get(rule.label) if rule.label else workflow_id
            if seen is not None and fnmatchcase(seen, rule.pattern):
                return rule.expectation
        return None

    def score_rule(self, event: Score) -> ScoreRule:
        """The rule in force for one score."""
        for rule in self.score_rules:
            seen = event.entity_type if rule.field else event.entity_id
            if seen is not None and fnmatchcase(seen, rule.pattern):
                return rule.rule
        return ScoreRule(self.score_threshold)
