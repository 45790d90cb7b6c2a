"""Fixtures for every test, how many cases are tried, and the rule that in CI nothing is skipped."""

import tests.effort  # noqa: F401  # its profiles are there before the command line may name one

pytest_plugins = ["tests.fixtures", "tests.no_skips"]
