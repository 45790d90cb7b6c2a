"""The metrics that each role exports. No label holds a name from an event, so their number is bounded.

Series used by alert rules exist from startup with value 0: Prometheus sees no increase in a series that first appears
with value 1, so the first dead letter or failed message after a start would not fire an alert.
"""

from collections.abc import Iterable
from typing import ClassVar, get_args

from prometheus_client import Counter, Gauge, Histogram, Metric

from stream_detector.events.notification import Outcome
from stream_detector.events.refused import Reason
from stream_detector.events.sources import LEFT_OUT

EVENTS = Counter(
    "stream_detector_events",
    "Events read, by source topic and outcome "
    "(applied, started, duplicate, forwarded, refused, late, backfilled, ignored)",
    ["source", "outcome"],
)
ANOMALIES = Counter(
    "stream_detector_anomalies", "Anomalies opened, by type and severity; an incident counts once", ["type", "severity"]
)
LAG = Gauge(
    "stream_detector_lag_records",
    "Consumer lag: records between the last one processed and the end of the partition",
    ["topic", "partition"],
)
CHECKPOINT_AGE = Gauge("stream_detector_checkpoint_age_seconds", "Time since the last completed checkpoint")
DEAD_LETTERS = Counter("stream_detector_dead_letters", "Rejected events written to dead-letters, by reason", ["reason"])
STATE_LEFT_OUT = Counter(
    "stream_detector_state_records_left_out",
    "Unreadable records of a state topic that were left out, by topic: the previous value of their key is used",
    ["topic"],
)
RECORDS_LOST = Counter(
    "stream_detector_records_lost",
    "Records that Kafka deleted before this role had read them, by topic and partition",
    ["topic", "partition"],
)
RECORDS_MISSING = Counter(
    "stream_detector_records_missing",
    "Offsets that PostgreSQL had stored and lacks, since it was restored from an older dump, by topic",
    ["topic"],
)
SET_ASIDE = Counter(
    "stream_detector_records_set_aside",
    "Records stored on dead-letters because they ended a role each time it processed them alone, by topic",
    ["topic"],
)


class _CountedElsewhere(Counter):
    """`events.sources` is pure and counts into a value of its own, which each scrape takes over."""

    taken: ClassVar[dict[tuple[str, str], int]] = {}

    def collect(self) -> Iterable[Metric]:
        """The series as they stand now."""
        for place, count in list(LEFT_OUT.items()):
            self.labels(*place).inc(count - self.taken.get(place, 0))
            self.taken[place] = count
        return super().collect()


DETAILS_LEFT_OUT = _CountedElsewhere(
    "stream_detector_source_details_left_out",
    "Optional details of other systems' payloads that could not be used, by source and field",
    ["source", "field"],
)
SINK_ROWS = Counter("stream_detector_sink_rows", "Rows stored in PostgreSQL, by table", ["table"])
NOTIFICATIONS = Counter(
    "stream_detector_notifications", "Notification messages, by channel and outcome", ["channel", "outcome"]
)
DUE_KEYS = Gauge("stream_detector_due_keys", "Keys of this detector with a due time: a run expected, or one that runs")
STILL_RUNNING = Gauge("stream_detector_still_running", "Executions that are reported as still running")
TICKS = Counter("stream_detector_ticks", "Moments up to which all was applied, so that what was due could be reported")
TICKS_HELD = Gauge(
    "stream_detector_ticks_held_seconds",
    "Since when something is due that cannot be reported, as a partition is behind",
)
EVENT_TO_ALERT = Histogram(
    "stream_detector_event_to_alert_seconds",
    "From the record timestamp of an event to the broker's acknowledgement of its alert",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

for _reason in get_args(Reason):
    DEAD_LETTERS.labels(_reason)


def start_notifications(channels: Iterable[str]) -> None:
    """Create the series of these channels; the notifier knows them."""
    for channel in channels:
        for outcome in get_args(Outcome):
            NOTIFICATIONS.labels(channel, outcome)
