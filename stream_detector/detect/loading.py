"""What a first score needs: river, which takes scipy with it, seconds of work that no other event needs."""

import asyncio
from importlib import import_module


def load_detection() -> None:
    """Have what `step` imports at its first score."""
    import_module("river.drift.page_hinkley")


async def detection_loaded() -> None:
    """Wait for it without keeping others waiting. Loaded already, it takes a moment."""
    await asyncio.to_thread(load_detection)
