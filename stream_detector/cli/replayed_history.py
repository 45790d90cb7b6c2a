"""A history as one detector and one notifier would have judged it: the one way of `replay` and `import`."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stream_detector.detect import Config
from stream_detector.detect.replay import Replayer, run_event_part
from stream_detector.events import Action, Anomaly, AnomalyTypeName, Score, ScoreRun, SeverityName
from stream_detector.events.inputs import Event
from stream_detector.events.times import epoch_ms
from stream_detector.events.variant import shown_name
from stream_detector.notify.config import NotifyConfig
from stream_detector.notify.forecast import Forecast, Item, forecast_of


@dataclass
class Found:
    """What one profile found: counts by (type, severity) and by key, and what would have been sent."""

    profile: str
    by_type: Counter[tuple[AnomalyTypeName, SeverityName]] = field(default_factory=Counter)
    by_key: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    resolved: int = 0
    runs: int = 0
    forecast: Forecast | None = None
    """The messages; None until the history has ended."""

    @property
    def sent_by_channel(self) -> dict[str, int]:
        """How many messages each channel would have got."""
        return {name: self.forecast.count(name) for name in self.forecast.channels} if self.forecast else {}


class ReplayedHistory:
    """One profile: what the detector finds, and what the notifier would send of it on the clock of the data.

    Args:
        each: gets every anomaly as it is found.
        actions: silences that hold from the beginning.
    """

    def __init__(
        self,
        config: Config,
        notify: NotifyConfig,
        each: Callable[[Anomaly], None] | None = None,
        actions: Iterable[Action] = (),
    ) -> None:
        self.found, self._each, self._actions = Found(config.profile), each, actions
        self._replayer = Replayer(config)
        self._items: list[Item] = []
        self._notify = notify

    def apply(self, event: Event, record_ms: int | None = None) -> None:
        """Judge one event.

        Args:
            record_ms: the timestamp of its record, where the history has it.
        """
        stamp = -1 if record_ms is None else record_ms
        if isinstance(event, ScoreRun):
            self._take(self._replayer.put(run_event_part(event, stamp), epoch_ms(event.at)))
            return
        outcome = self._replayer.apply(event, stamp)
        self.found.outcomes["changed duplicate" if outcome.correction else outcome.kind] += 1
        self._take(outcome.anomalies)
        if isinstance(event, Score):
            self._take(self._replayer.gather(event, outcome, epoch_ms(event.scored_at)))

    def finish(self) -> Found:
        """End every run and ask what did not come, then let all that was found come to the notifier in the order of its
        times."""
        self._take(self._replayer.due())
        self._take(self._replayer.missing(sys.maxsize))
        for summary in self._replayer.summaries(sys.maxsize):
            self.found.runs += summary.part == 1
            self._items.append((summary, None))
        self.found.forecast = forecast_of(self._notify, self._items, self._actions)
        return self.found

    def _take(self, anomalies: Iterable[Anomaly]) -> None:
        found = self.found
        for anomaly in anomalies:
            self._items.append((anomaly, self._replayer.label_counts(anomaly)))
            if self._each:
                self._each(anomaly)
            if anomaly.state == "resolved":
                found.resolved += 1
                continue
            found.by_type[anomaly.anomaly_type, anomaly.severity] += 1
            found.by_key[shown_name(f"{anomaly.entity_kind}:{anomaly.entity_id}", anomaly.variant)] += 1
