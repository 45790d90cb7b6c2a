"""What was found through the notifier's policy, on a fake clock and with channels that fail now and then."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.headerregistry import Address
from hashlib import sha256
from typing import Any

import msgspec

from benchmarks.checksums.sums import WORDS, Figures, Sum, WrongError, progress
from stream_detector.events import Action, Anomaly, RunSummary
from stream_detector.events.encode import encode
from stream_detector.kafka import topics
from stream_detector.notify.channels.email.client import EmailSmtp, MailServer
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.notify.channels.webhook.client import payload
from stream_detector.notify.config import INBOX, NotifyConfig
from stream_detector.notify.message import Delivered, Delivery, Refused, Result, RetryAfter
from stream_detector.notify.policy import accept, due_deliveries, expire, settle, watch_topic
from stream_detector.notify.routes import read_routes
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.notify.signing import signature
from stream_detector.notify.state.slotted_store import Slot, SlottedStore
from stream_detector.notify.tick import next_tick_s, tick
from stream_detector.roles.notifier import SLOTS

EMAIL, WEBHOOK = "email", "webhook"
LEAST_STEP_S = 60.0
REPACK_EVERY = 200
SECRET = b"k" * 32
ROUTES = """
[[route]]
name = "core"
match = { team = "core", severity = ["critical", "warning"] }
channels = ["slack", "email"]
group_by = ["commit", "build", "*"]
group_wait_s = 30
group_interval_s = 300
repeat_interval_s = 14400
rate_limit = { count = 20, window_s = 3600 }
continue = true

[[route]]
name = "scores"
match = { kind = "score" }
threshold = "info"
group_by = []

[[route]]
name = "rest"
match = { workflow = ["*-1*", "*@*"] }
channels = ["slack_bot", "webhook"]
flap_window_s = 86400
"""


def notify_configs() -> dict[str, NotifyConfig]:
    """Each thing told alone, with a limit; together, without one; by routes."""
    alone = NotifyConfig(
        channels=dict.fromkeys(CHANNELS, True),
        base_url="https://gvs.example.org",
        link_key=SECRET,
        quiet_after_s={topics.SCORES: 5 * 86_400.0},
        rate_limit_count=2,
    )
    together = replace(
        alone, severity="info", group_by=GROUP_BY, group_wait_s=30.0, group_interval_s=300.0, rate_limit_count=10**6
    )
    return {"alone": alone, "together": together, "routes": replace(alone, routes=read_routes(ROUTES, alone.fallback))}


@dataclass
class Channel:
    """What one channel was handed."""

    rendered_words: Sum = field(default_factory=Sum)
    ids: Sum = field(default_factory=Sum)
    """What each message is about, and its severity, without its words."""
    states: Counter[str] = field(default_factory=Counter)


class Notified:
    """The policy with its state, a fake clock and channels that fail now and then.

    Args:
        repack: the state is packed, and read again from its bytes, every 200 things.
    """

    def __init__(self, config: NotifyConfig, *, repack: bool) -> None:
        self._config, self._repack = config, repack
        self._dirty: set[str] = set()
        self._slots: dict[str, Slot] = {}
        self._state = self._memory({})
        self._now_s, self._expire_at_s = 0.0, 0.0
        self._number = self._sent = 0
        self._mail = EmailSmtp(
            MailServer(host="localhost", port=25),
            Address("Alerts", "alerts", "example.org"),
            [Address("On call", "oncall", "example.org")],
        )
        self.channels: dict[str, Channel] = {name: Channel() for name in config.channels}
        self.outcomes, self.outcomes_words, self.written = Sum(), Sum(), Sum()
        self.kinds: Counter[str] = Counter()

    def _memory(self, slots: dict[str, Slot]) -> SlottedStore:
        return SlottedStore(slots, keep=self._keep)

    def _keep(self, name: str, slot: Slot) -> None:
        self._slots[name] = slot
        self._dirty.add(name)

    def live(self, items: Sequence[tuple[float, Anomaly | RunSummary | Action]]) -> Figures:
        """Let all of it come at its time, and everything that waits be told at its own."""
        for at_s, one in items:
            self._until(at_s)
            self._now_s = max(self._now_s, at_s)
            self._say(accept(self._state, one, self._now_s, self._config))
            if isinstance(one, RunSummary):
                self._say(watch_topic(self._state, topics.SCORES, self._number + 1, self._now_s, self._config))
            elif self._number % 50 == 0:
                self._say(watch_topic(self._state, topics.SCORES, 1 + self._number // 1000, self._now_s, self._config))
            self._deliver()
            self._number += 1
            if self._number % REPACK_EVERY == 0:
                self._write()
        self._until(self._now_s + 2 * 86_400)
        self._now_s += 40 * 86_400
        expire(self._state, self._now_s)
        self._write()
        return self._figures()

    def _until(self, end_s: float) -> None:
        """Do what time brings. A message may wait for an earlier one that is tried again: then a minute passes."""
        while (at_s := next_tick_s(self._state)) is not None:
            at_s = max(at_s, self._now_s + LEAST_STEP_S) if at_s <= self._now_s else at_s
            if at_s > end_s:
                return
            self._now_s = at_s
            self._say(tick(self._state, at_s, self._config))
            self._deliver()

    def _deliver(self) -> None:
        while ready := due_deliveries(self._state, self._now_s, self._config):
            for delivery in ready:
                self._note(delivery)
                self._say(settle(self._state, delivery, self._answer(delivery), self._now_s, self._config))
        if self._now_s > self._expire_at_s:
            self._expire_at_s = self._now_s + 3600.0
            expire(self._state, self._now_s)

    def _answer(self, delivery: Delivery) -> Result:
        """One in ten is to be tried again and one in fifty refused; mail is away for six hours of every ten days."""
        self._sent += 1
        lot = sha256(f"{delivery.key} {delivery.tries}".encode()).digest()[0]
        if delivery.message.channel == EMAIL and self._now_s % (10 * 86_400) < 6 * 3600:
            return RetryAfter(0.0, "mail server gave no answer")
        if lot < 25:
            return RetryAfter(float(lot), "it answered 429")
        return Refused("it answered 400") if lot < 30 else Delivered("it answered ok", reference=f"C1 {self._sent}")

    def _note(self, delivery: Delivery) -> None:
        message, channel = delivery.message, self.channels[delivery.message.channel]
        channel.states[message.state] += 1
        about = (message.incident_id, message.anomaly_id, message.run_id, message.reference, delivery.first_at_s)
        channel.ids.add(message.id, message.state, message.severity, repr((*about, delivery.tries, self._now_s)))
        channel.rendered_words.add(encode(message))
        if message.channel == EMAIL:
            mail = self._mail.compose(message)
            del mail["Date"]
            if mail.is_multipart():
                mail.set_boundary("=====")
            channel.rendered_words.add(mail.as_bytes())
        elif message.channel == WEBHOOK:
            body = payload(message)
            channel.rendered_words.add(body, signature(SECRET, str(int(self._now_s)), body))

    def _say(self, notifications: Iterable[Any]) -> None:
        for one in notifications:
            self.kinds[f"{one.channel} {one.outcome}"] += 1
            self.outcomes.add(encode(msgspec.structs.replace(one, title="", body="", reason="")))
            self.outcomes_words.add(encode(one))
            if one.channel == INBOX:
                self.channels[INBOX].ids.add(one.id, one.outcome, one.severity or "", repr(self._now_s))
                self.channels[INBOX].rendered_words.add(encode(one))
                self.channels[INBOX].states[one.outcome] += 1

    def _write(self) -> None:
        """Sum up every slot that has changed, as it is written on `notifier-state`."""
        for name in sorted(self._dirty):
            self.written.add(name, SLOTS.pack(self._slots[name]))
        self._dirty.clear()
        if self._repack:
            self._slots = {name: SLOTS.unpack(name, SLOTS.pack(slot)) for name, slot in self._slots.items()}
            self._state = self._memory(self._slots)

    def _figures(self) -> Figures:
        state = Sum()
        for name, slot in sorted(self._slots.items()):
            state.add(name, SLOTS.pack(slot))
        counts = {"notifications": self.outcomes.count, "slots": state.count, "slots_written": self.written.count}
        figures = {
            "notifications": str(self.outcomes),
            "notifications_words": str(self.outcomes_words),
            "state_words": str(state),
            "written_words": str(self.written),
        }
        for name, channel in self.channels.items():
            figures |= {f"{name}_messages": str(channel.ids), f"{name}_rendered_words": str(channel.rendered_words)}
            counts |= {f"{name} message {kind}": number for kind, number in sorted(channel.states.items())}
        return figures | {"count": counts | dict(sorted(self.kinds.items()))}


def notified(said: Sequence[Anomaly | RunSummary], *, whole: bool) -> dict[str, Figures]:
    """All of it through the policy by each configuration; with `whole` also with a state that is packed meanwhile.

    With `whole` also with the same few words in each anomaly: there every figure must stay, words of ours included.
    """
    found: dict[str, Figures] = {}
    ways = ("kept", "packed", "same words") if whole else ("kept",)
    for name, config in notify_configs().items():
        for way in ways:
            figures = Notified(config, repack=way == "packed").live(_news(said, same=way == "same words"))
            if way == "same words":
                figures = {one.removesuffix(WORDS): value for one, value in figures.items()}
            found[f"{name} | {way}"] = figures
            progress(f"notifier, {name}, {way}: {figures['count']}")
        if whole and found[f"{name} | kept"] != found[f"{name} | packed"]:
            raise WrongError(f"notifier, {name}: a state that was packed meanwhile gives something else")
    return found


def _news(said: Sequence[Anomaly | RunSummary], *, same: bool) -> list[tuple[float, Anomaly | RunSummary | Action]]:
    """In the order of time, with what people decide about some of it."""
    news: list[tuple[float, Anomaly | RunSummary | Action]] = []
    for one in said:
        if isinstance(one, RunSummary):
            news.append((one.ended_at.timestamp(), one))
            continue
        at_s = one.detected_at.timestamp()
        if same:
            one = msgspec.structs.replace(one, description="It happened", investigation_steps=["Look at it"], gates=[])
        news.append((at_s, one))
        lot = sha256(one.id.encode()).digest()[0]
        kind = {0: "acknowledge", 1: "silence", 2: "resolve", 3: "retire", 4: "silence all"}.get(lot // 4)
        if one.state != "opened" or kind is None:
            continue
        matching = kind == "silence all"
        news.append(
            (
                at_s + 90,
                Action(
                    action_id=f"{kind} {one.id}",
                    kind=kind.split()[0],  # type: ignore[arg-type]
                    by="ann",
                    at=one.detected_at + timedelta(seconds=90),
                    entity="" if matching else f"{one.entity_kind}:{one.entity_id}",
                    incident_id=one.incident_id if kind in ("acknowledge", "resolve") else None,
                    matchers=dict(sorted(one.labels.items())[:1]) if matching else {},
                    until=one.detected_at + timedelta(hours=6) if lot % 2 else None,
                ),
            )
        )
    return sorted(news, key=lambda pair: pair[0])
