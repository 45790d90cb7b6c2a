"""Fixtures for every test, and the rule that in CI nothing is skipped."""

pytest_plugins = ["tests.fixtures", "tests.no_skips"]
