"""The APIs that history can be imported from: one file each, and this table of them."""

from stream_detector.history import github
from stream_detector.history.provider import Provider

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (github.PROVIDER,)}
"""By name."""
