"""Which tests one worker of pytest-xdist runs whole, so that what is dear to start is started once.

A scheduler of our own: the groups of `--dist loadgroup` are lost between pytest-xdist 3.8 and pytest 9.2, which keeps a
test's id where the plugin does not change it.
"""

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    (r"tests/e2e/test_(dashboard\w*|manual|at_this_machine|mail_in_browser)\.py::", "the site and Chromium"),
    (r"tests/e2e/test_wheel\.py::", "the wheel"),
    (r"tests/integration/roles/test_secured\.py::", "the secured broker"),
    (r"tests/integration/store/test_secured\.py::", "the secured database"),
    (
        r"tests/integration/(roles/test_sources|delivery/test_pitfalls_apache)\.py::"
        r"|tests/integration/roles/test_liveness\.py::test_asked_to_end"
        r"|tests/integration/roles/test_run_ends\.py::test_x1_(scores_of_a_transaction|a_run_behind)"
        r"|tests/integration/roles/test_restore\.py::test_x2_baselines_alone"
        r"|tests/integration/kafka/test_create_topics\.py::test_what_it_says",
        "Apache Kafka",
    ),
    (r"tests/integration/kafka/test_create_topics\.py::", "three brokers"),
)
"""Beginning of a test's id -> the group that it is in. Any other test is a group of its own."""


class ByGroup(LoadScopeScheduling):
    """Gives each worker one group after the other, those with most tests first, then in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """
    >>> group_of("tests/e2e/test_manual.py::test_a"), group_of("tests/unit/test_a.py::test_b[1]")
    ('the site and Chromium', 'tests/unit/test_a.py::test_b[1]')
    """
    return next((group for beginning, group in TOGETHER if re.match(beginning, nodeid)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Instead of the plugin's own for `--dist loadgroup`."""
    return ByGroup(config, log) if config.getvalue("dist") == "loadgroup" else None
