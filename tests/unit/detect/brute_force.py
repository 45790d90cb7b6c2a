"""Profile `classic` once more, slowly, from the raw history and the written rules: the judge of the fast one."""

from fractions import Fraction
from math import sqrt

from stream_detector.events import Completion
from stream_detector.events.times import epoch_ms

DAY_MS = 86_400_000
JUDGED = {"UnusualExecutionTime", "PerformanceDegradation", "SpikeInFailures", "ConsecutiveFailures"}


class Judge:
    """Keeps every execution it was shown."""

    def __init__(self) -> None:
        self.history: list[tuple[int, int, bool, float | None]] = []
        self.ids: list[tuple[str, int]] = []
        self.streak = 0

    def judge(self, event: Completion) -> tuple[str, list[tuple[str, str]]]:
        """Outcome, and the type and severity of each anomaly."""
        identity = event.execution_id, event.attempt
        if identity in self.ids[-8:]:
            return "duplicate", []
        self.ids.append(identity)
        if event.status in ("cancellation", "skip"):
            return "ignored", []
        at, failed = epoch_ms(event.finished_at), event.status != "success"
        newest = max((one[0] for one in self.history), default=at)
        if newest - at > DAY_MS // 24:
            if newest - at <= 30 * DAY_MS:
                self.history.append((at, len(self.history), failed, event.duration_s))
            return "late", []
        self.streak = self.streak + 1 if failed else 0
        before = [one for one in sorted(self.history)[-40:] if one[0] >= at - 30 * DAY_MS]
        found = self.durations(before[-30:], event.duration_s)
        if failed:
            found += self.spike(before)
            if self.streak in (3, 5):
                found.append(("ConsecutiveFailures", "warning" if self.streak == 3 else "critical"))
        self.history.append((at, len(self.history), failed, event.duration_s))
        return "applied", found

    def durations(self, before, duration_s) -> list[tuple[str, str]]:
        times = [Fraction(one[3]) for one in before if one[3]]
        if not duration_s or len(times) < 10:
            return []
        mean = sum(times) / len(times)
        variance = sum((time - mean) ** 2 for time in times) / (len(times) - 1)
        # Compared squared and as fractions: exact, also at 2 and 3 standard deviations.
        off = (Fraction(duration_s) - mean) ** 2
        if variance == 0 or off <= 4 * variance:
            return []
        severity = "critical" if off >= 9 * variance else "warning"
        found = [("UnusualExecutionTime", severity)]
        if duration_s > mean:
            found.append(("PerformanceDegradation", severity))
        return found

    def spike(self, before) -> list[tuple[str, str]]:
        recent, earlier = before[-9:], before[:-9][-30:]
        if len(earlier) < 10:
            return []
        rate = (1 + sum(one[2] for one in recent)) / 10
        p = (sum(one[2] for one in earlier) + 1) / (len(earlier) + 2)
        z = (rate - p) / sqrt(p * (1 - p) / 10)
        return [("SpikeInFailures", "critical" if z >= 3 else "warning")] if z > 2 else []
