"""Publish one workflow completion over HTTP: python examples/http_producer.py"""

import os
from datetime import UTC, datetime, timedelta

from stream_detector.client import Client

client = Client(
    os.environ.get("STREAM_DETECTOR_BASE_URL", "http://127.0.0.1:8080"),
    token=os.environ.get("STREAM_DETECTOR_API_TOKEN", ""),
)
now = datetime.now(UTC)
client.completion("nightly", f"nightly-{now:%Y-%m-%d}", "success", started_at=now - timedelta(seconds=93))
print("published", f"nightly-{now:%Y-%m-%d}")
