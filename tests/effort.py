"""How many cases a test tries: a fifth of the full number, which `make drills` tries (`--hypothesis-profile full`)."""

from typing import Any

from hypothesis import settings

_QUICK_PART = 5
FULL, QUICK = "full", "quick"
_DEFAULT_EXAMPLES = 100

settings.register_profile(FULL, max_examples=_DEFAULT_EXAMPLES, deadline=None)
settings.register_profile(QUICK, max_examples=_DEFAULT_EXAMPLES // _QUICK_PART, deadline=None)
settings.load_profile(QUICK)


def cases(full: int) -> int:
    """How many of `full` cases are tried now, at least 8."""
    return full if settings.get_current_profile_name() == FULL else min(full, max(8, full // _QUICK_PART))


def examples(full: int, **more: Any) -> settings:
    """Hypothesis tries `cases(full)` examples; further settings as it takes them."""
    return settings(max_examples=cases(full), deadline=None, **more)
