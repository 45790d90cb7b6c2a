"""Print each anomaly once, over HTTP: python examples/http_subscriber.py [FILE]       FILE keeps the place reached."""

import os
import sys
from pathlib import Path

from stream_detector.client import Client

FILE = Path((sys.argv[1:] or ["last-anomaly.txt"])[0])
client = Client(
    os.environ.get("STREAM_DETECTOR_BASE_URL", "http://127.0.0.1:8080"),
    token=os.environ.get("STREAM_DETECTOR_API_TOKEN", ""),
)
for place, anomaly in client.anomalies(FILE.read_text() if FILE.exists() else ""):
    print(anomaly["severity"], anomaly["anomaly_type"], anomaly["description"], anomaly["id"], flush=True)
    FILE.write_text(place)
