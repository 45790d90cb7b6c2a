"""The event loop of every process that serves or works: uvloop, and aiokafka patched for it."""

import asyncio

import uvloop

from stream_detector.kafka import aiokafka_patches


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop for `asyncio.Runner` or to be run directly. Raises `AiokafkaError` where aiokafka cannot be patched."""
    aiokafka_patches.install()
    return uvloop.new_event_loop()
