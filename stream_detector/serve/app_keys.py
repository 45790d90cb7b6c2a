"""What the application holds, for its handlers."""

import asyncio

from aiohttp import web

from stream_detector.serve.broker import Broker
from stream_detector.serve.database import Database
from stream_detector.serve.judged import JudgedOffsets
from stream_detector.serve.pipeline import Pipeline
from stream_detector.serve.unique_ids import UniqueIdsWatch
from stream_detector.settings import Settings

DATABASE: web.AppKey[Database] = web.AppKey("database", Database)
BROKER: web.AppKey[Broker] = web.AppKey("broker", Broker)
JUDGED: web.AppKey[JudgedOffsets] = web.AppKey("judged", JudgedOffsets)
PIPELINE: web.AppKey[Pipeline] = web.AppKey("pipeline", Pipeline)
UNIQUE_IDS: web.AppKey[UniqueIdsWatch] = web.AppKey("unique_ids", UniqueIdsWatch)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
EDITING: web.AppKey[asyncio.Lock] = web.AppKey("editing", asyncio.Lock)
"""Held during the edit of an anomaly: each reads what the one before has left."""
DOCUMENT: web.AppKey[bytes] = web.AppKey("document", bytes)
