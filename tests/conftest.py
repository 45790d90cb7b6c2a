"""Fixtures for every test, how many cases are tried, and two rules: CI skips nothing, no process is left behind."""

import tests.effort  # noqa: F401  # its profiles are there before the command line may name one

pytest_plugins = ["tests.fixtures", "tests.no_orphans", "tests.no_skips", "tests.workers"]
