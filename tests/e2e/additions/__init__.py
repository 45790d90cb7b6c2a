"""A type of anomaly, a channel and a source as CONTRIBUTING.md says to add them, to a copy of the checkout."""

from tests.e2e.additions.addition import Addition
from tests.e2e.additions.anomaly_type import RETRIED_OFTEN
from tests.e2e.additions.channel import PAGER
from tests.e2e.additions.source import ACME

ADDITIONS = (RETRIED_OFTEN, PAGER, ACME)

__all__ = ["ACME", "ADDITIONS", "PAGER", "RETRIED_OFTEN", "Addition"]
