"""What `doctor` looks at: each check answers with what it found and, where it is wrong, what to do."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_detector.kafka.client import client_options, wait_for_broker
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets
from stream_detector.kafka.preflight import MissingAclsError, find_missing_acls, read_topics
from stream_detector.settings import Settings
from stream_detector.store.connect import StoreAwayError, address_of, open_pool, server_of
from stream_detector.store.migrate import pending

PATIENCE_S = 10.0
SKEW_MOST_S = 5.0


@dataclass(frozen=True)
class Line:
    """One line of the report. `advice` is empty where it is ok."""

    name: str
    found: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


async def examine(settings: Settings) -> AsyncIterator[Line]:
    """Every line, in the order in which one thing needs the other; what cannot be looked at is left out."""
    async for line in _broker(settings):
        yield line
    async for line in _database(settings):
        yield line
    for line in _channels(settings):
        yield line


async def _broker(settings: Settings) -> AsyncIterator[Line]:
    if not settings.broker:
        yield Line("broker", "not set", "set STREAM_DETECTOR_BROKER, or use `stream-detector up`, which starts one")
        return
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await wait_for_broker(settings, give_up_after_s=0)  # its error names the setting to look at
            await admin.start()
            cluster = await admin.describe_cluster()
            states = await read_topics(admin, settings, "operators")
            refused = await find_missing_acls(admin, settings, "operators", states)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        why = str(error) or type(error).__name__
        yield Line(
            "broker",
            f"{settings.broker} does not answer ({why})",
            f"check that Kafka runs there, the address, and {settings.broker_security} as its security protocol",
        )
        return
    finally:
        await admin.close()
    yield Line("broker", f"{settings.broker}: {len(cluster['brokers'])} broker(s), cluster {cluster['cluster_id']}")
    wrong = [state for state in states if state.state != "ok"]
    if not wrong:
        yield Line("topics", f"{len(states)} as they should be")
    for state in wrong:
        yield Line(f"topic {state.name}", state.state, state.advice)
    if refused:
        yield Line("rights", "not all", str(MissingAclsError("operators", refused, settings)))
    elif all(state.state != "missing" for state in states):
        async for line in _lags(settings):
            yield line


async def _lags(settings: Settings) -> AsyncIterator[Line]:
    async with EndOffsets(settings) as ends:
        commits = {role: await ends.committed(role) for role in TOPICS_READ_BY}
        lags = await ends.lags()
    for role, by_topic in lags.items():
        behind = sum(by_topic.values())
        where = ", ".join(f"{topic} {lag}" for topic, lag in by_topic.items() if lag)
        started = any(offset >= 0 for offset in commits[role].values())
        advice = f"start one: stream-detector {role}" if behind and not started else ""
        state = "has never committed, " if not started else ""
        yield Line(role, f"{state}{behind} records behind" + (f" ({where})" if where else ""), advice)


async def _database(settings: Settings) -> AsyncIterator[Line]:
    if not settings.database_url:
        yield Line("database", "not set", "set STREAM_DETECTOR_DATABASE_URL, or use `stream-detector up`")
        return
    address = address_of(settings.database_url)
    try:
        pool = await open_pool(settings.database_url, name="doctor", size=1)
    except StoreAwayError as error:
        yield Line(
            "database", f"{address} does not answer ({error})", "check that PostgreSQL runs there, user and password"
        )
        return
    try:
        asked_s = time.time()
        version, theirs_s = await server_of(pool)
        missing = await pending(pool)
    finally:
        await pool.close()
    yield Line("database", f"{address}: PostgreSQL {version}")
    if missing:
        yield Line("tables", f"not migrated: {', '.join(missing)}", "run `stream-detector setup`")
    else:
        yield Line("tables", "migrated")
    skew_s = theirs_s - asked_s
    advice = "set both machines' clocks by NTP" if abs(skew_s) > SKEW_MOST_S else ""
    yield Line("clock", f"{skew_s:+.1f} s at the database, seen from here", advice)


def _channels(settings: Settings) -> list[Line]:
    lines = [Line("inbox", "on" if settings.inbox_enabled else "off")]
    slack = "on" if settings.slack_webhook_url else "not set (STREAM_DETECTOR_SLACK_WEBHOOK_URL)"
    lines.append(Line("slack", slack if settings.slack_enabled else "off"))
    mail = {name: getattr(settings, name) for name in ("smtp_url", "email_from", "email_to")}
    missing = [f"STREAM_DETECTOR_{name.upper()}" for name, value in mail.items() if not value]
    if not settings.email_enabled:
        lines.append(Line("email", "off"))
    elif missing and len(missing) < len(mail):
        lines.append(Line("email", "only partly set", f"set {' and '.join(missing)}, or no mail is sent"))
    else:
        lines.append(Line("email", "not set (STREAM_DETECTOR_SMTP_URL, _EMAIL_FROM, _EMAIL_TO)" if missing else "on"))
    return lines
