"""The metrics that each role serves. No label holds a name from an event, so their number is bounded."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "stream_detector_events",
    "Events read, by source topic and outcome (applied, duplicate, forwarded, refused, late, backfilled)",
    ["source", "outcome"],
)
ANOMALIES = Counter("stream_detector_anomalies", "Anomalies found, by type and severity", ["type", "severity"])
LAG = Gauge("stream_detector_lag_records", "Records behind the end of the partition", ["topic", "partition"])
CHECKPOINT_AGE = Gauge("stream_detector_checkpoint_age_seconds", "Time since the last finished checkpoint")
DEAD_LETTERS = Counter("stream_detector_dead_letters", "Events written to dead letters, by reason", ["reason"])
SINK_ROWS = Counter("stream_detector_sink_rows", "Rows stored, by table", ["table"])
NOTIFICATIONS = Counter("stream_detector_notifications", "Messages, by channel and outcome", ["channel", "outcome"])
EVENT_TO_ALERT = Histogram(
    "stream_detector_event_to_alert_seconds",
    "From the event's record time on the broker to the broker's answer for its alert",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
