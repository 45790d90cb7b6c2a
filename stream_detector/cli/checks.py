"""The checks of `doctor`: each returns what it found and, if something is wrong, what to do."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_detector.kafka.client import client_options, wait_for_broker
from stream_detector.kafka.end_offsets import TOPICS_READ_BY, EndOffsets
from stream_detector.kafka.preflight import MissingAclsError, find_missing_acls, read_topics
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.settings import PREFIX, Settings
from stream_detector.store.connect import StoreAwayError, address_of, open_pool, server_of
from stream_detector.store.migrate import pending

PATIENCE_S = 10.0
SKEW_MOST_S = 5.0


@dataclass(frozen=True)
class Check:
    """Result of one check. `advice` is empty if it passed."""

    name: str
    found: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


async def run_checks(settings: Settings) -> AsyncIterator[Check]:
    """Run every check, prerequisites first; checks whose prerequisite failed are left out."""
    async for line in _broker(settings):
        yield line
    async for line in _database(settings):
        yield line
    for check in check_channels(settings):
        yield check


async def _broker(settings: Settings) -> AsyncIterator[Check]:
    if not settings.broker:
        yield Check(
            "broker", "not set", "set STREAM_DETECTOR_BROKER, or use `stream-detector up`, which starts a broker"
        )
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
        yield Check(
            "broker",
            f"{settings.broker} does not answer ({why})",
            f"check that Kafka runs at this address with the security protocol {settings.broker_security}",
        )
        return
    finally:
        await admin.close()
    yield Check("broker", f"{settings.broker}: {len(cluster['brokers'])} broker(s), cluster {cluster['cluster_id']}")
    wrong = [state for state in states if state.state != "ok"]
    if not wrong:
        yield Check("topics", f"{len(states)} topics are configured correctly")
    for state in wrong:
        yield Check(f"topic {state.name}", state.state, state.advice)
    if refused:
        yield Check("ACLs", "some are missing", str(MissingAclsError("operators", refused, settings)))
    elif all(state.state != "missing" for state in states):
        async for line in _lags(settings):
            yield line


async def _lags(settings: Settings) -> AsyncIterator[Check]:
    async with EndOffsets(settings) as ends:
        commits = {role: await ends.committed(role) for role in TOPICS_READ_BY}
        lags = await ends.lags()
    for role, by_topic in lags.items():
        behind = sum(by_topic.values())
        where = ", ".join(f"{topic} {lag}" for topic, lag in by_topic.items() if lag)
        started = any(offset >= 0 for offset in commits[role].values())
        advice = f"start it: stream-detector {role}" if behind and not started else ""
        state = "no committed offsets, " if not started else ""
        yield Check(role, f"{state}consumer lag {behind}" + (f" ({where})" if where else ""), advice)


async def _database(settings: Settings) -> AsyncIterator[Check]:
    if not settings.database_url:
        yield Check("database", "not set", "set STREAM_DETECTOR_DATABASE_URL, or use `stream-detector up`")
        return
    address = address_of(settings.database_url)
    try:
        pool = await open_pool(settings.database_url, name="doctor", size=1)
    except StoreAwayError as error:
        yield Check(
            "database",
            f"{address} does not answer ({error})",
            "check that PostgreSQL runs there, and user and password",
        )
        return
    try:
        asked_s = time.time()
        version, theirs_s = await server_of(pool)
        missing = await pending(pool)
    finally:
        await pool.close()
    yield Check("database", f"{address}: PostgreSQL {version}")
    if missing:
        yield Check("tables", f"missing migrations: {', '.join(missing)}", "run `stream-detector setup`")
    else:
        yield Check("tables", "up to date")
    skew_s = theirs_s - asked_s
    advice = "synchronise the clocks of both machines, for example with NTP" if abs(skew_s) > SKEW_MOST_S else ""
    yield Check("clock", f"the database clock differs by {skew_s:+.1f} s", advice)


def check_channels(settings: Settings) -> Iterator[Check]:
    """Whether each channel has its settings; nothing is sent."""
    for name, channel in CHANNELS.items():
        missing = [f"{PREFIX}{each.upper()}" for each in channel.settings if not getattr(settings, each)]
        is_wanted = any(getattr(settings, each) for each in channel.wanted_by or channel.settings)
        if not getattr(settings, channel.switch):
            yield Check(name, "off")
        elif missing and is_wanted:
            yield Check(name, "incomplete", f"set {' and '.join(missing)}; until then nothing is sent")
        else:
            yield Check(name, f"not set ({', '.join(missing)})" if missing else "on")
