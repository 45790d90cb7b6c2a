"""The checks of `doctor`: each returns what it found and, if something is wrong, what to do."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_detector.composition import detection_config
from stream_detector.database_url import parse_database_url
from stream_detector.events.id_patterns import unique_ids_text
from stream_detector.events.lookalikes import spelled
from stream_detector.kafka.client import client_options, wait_for_broker
from stream_detector.kafka.end_offsets import EndOffsets
from stream_detector.kafka.group_monitor import FRESH_S, LOOK_EVERY_S
from stream_detector.kafka.preflight import MissingAclsError, SetupError, find_missing_acls, read_topics
from stream_detector.notify.channels.registry import CHANNELS
from stream_detector.roles.restore.rewind import find_missing_rows
from stream_detector.serve.database import Database
from stream_detector.serve.pipeline import Part, Pipeline
from stream_detector.settings import PREFIX, Settings
from stream_detector.store.connect import (
    StoreAwayError,
    address_of,
    find_wrong_encoding,
    open_pool,
    server_of,
    why_not_writable,
)
from stream_detector.store.connector import is_pooled
from stream_detector.store.lookalikes import stored_lookalikes
from stream_detector.store.migrate import pending
from stream_detector.store.source_positions import Gap
from stream_detector.store.unique_ids import ids_that_look_unique

TABLES = "tables"
PATIENCE_S = 10.0
SKEW_MOST_S = 5.0
_GROUPS_SHOWN = 5


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
    database = Database(settings)
    pipeline = Pipeline(settings, database)
    try:
        pipeline.start()
        async for line in _broker(settings, pipeline):
            yield line
        has_tables = False
        async for line in _database(settings, database):
            has_tables |= line.name == TABLES and line.ok
            yield line
        if settings.broker and has_tables and database.pool is not None:
            async for line in _stored(settings, database.pool):
                yield line
        for check in check_timing_rules(settings):
            yield check
        await pipeline.ask_database()
        channels = {part.name: part for part in pipeline.parts() if part.kind == "channel"}
        for check in check_channels(settings):
            yield _with_answer(check, channels.get(check.name))
    finally:
        await pipeline.stop()
        if database.pool is not None:
            await database.pool.close()


def _with_answer(check: Check, channel: Part | None) -> Check:
    """A channel's settings, and what it last answered."""
    if channel is None or not channel.reason or not check.ok:
        return check
    advice = f"`stream-detector notify test {check.name}` tries it now" if channel.state == "failing" else ""
    return Check(check.name, f"{check.found}, {channel.state}: {channel.reason}", advice)


async def _broker(settings: Settings, pipeline: Pipeline) -> AsyncIterator[Check]:
    if not settings.broker:
        yield Check(
            "broker",
            "not set",
            "set STREAM_DETECTOR_BROKER (--broker), or use `stream-detector up`, which starts a broker",
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
    for state in states:
        if state.state == "ok" and state.hint:
            yield Check(f"topic {state.name}", f"accepted. {state.hint}")
    if refused:
        yield Check("ACLs", "some are missing", str(MissingAclsError("operators", refused, settings)))
    elif all(state.state != "missing" for state in states):
        async for line in _roles(settings, pipeline):
            yield line


async def _roles(settings: Settings, pipeline: Pipeline) -> AsyncIterator[Check]:
    """Each role by its lag, and by whether it works; one with something to read is watched until it commits."""
    async with EndOffsets(settings) as ends:
        commits = await ends.commits()
        lags = await ends.lags(commits)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FRESH_S + LOOK_EVERY_S):
            while not all(pipeline.is_settled(role) for role in lags):  # noqa: ASYNC110 - a broker does not notify
                await asyncio.sleep(0.1)
    parts = {part.name: part for part in pipeline.parts()}
    for role, by_topic in lags.items():
        part, behind = parts[role], sum(by_topic.values())
        where = ", ".join(f"{topic} {lag}" for topic, lag in by_topic.items() if lag)
        started = any(offset >= 0 for offset in commits[role].values())
        found = f"consumer lag {behind}" + (f" ({where})" if where else "")
        found = found if started else f"no committed offsets, {found}"
        advice = ""
        if part.state == "away" and (behind or started or role in settings.probes):
            advice = f"start it: stream-detector {role}"
        elif part.state == "behind":
            advice = f"its log has the reason; if it hangs, restart it: stream-detector {role}"
        if part.reason and (part.state != "away" or started or role in settings.probes):
            found += f"; {part.state}: {part.reason}"
        yield Check(role, found, advice)


async def _database(settings: Settings, database: Database) -> AsyncIterator[Check]:
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
    database.pool = pool
    asked_s = time.time()
    version, theirs_s = await server_of(pool)
    missing = await pending(pool)
    async with pool.acquire() as connection:
        through = " through a connection pooler" if is_pooled(connection) else ""
    yield Check("database", f"{address}: PostgreSQL {version}{through}")
    if unused := parse_database_url(settings.database_url).without_effect:
        yield Check("database URL", f"without effect: {', '.join(unused)}")
    if wrong := await find_wrong_encoding(pool):
        yield Check("encoding", "not UTF8", wrong)
    if why := await why_not_writable(pool, PATIENCE_S):
        advice = "wait for the end of the failover, or name all hosts in the URL, with target_session_attrs=read-write"
        yield Check("writing", why, advice)
    if missing:
        yield Check(TABLES, f"missing migrations: {', '.join(missing)}", "run `stream-detector setup`")
    else:
        yield Check(TABLES, "up to date")
        async for line in _workflow_ids(database):
            yield line
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):  # of a user that may not read what is recorded
            for kind, words in (("workflow", "similar workflow ids"), ("score", "similar entity ids")):
                yield check_lookalikes(words, await stored_lookalikes(pool, kind))
    skew_s = theirs_s - asked_s
    advice = "synchronise the clocks of both machines, for example with NTP" if abs(skew_s) > SKEW_MOST_S else ""
    yield Check("clock", f"the database clock differs by {skew_s:+.1f} s", advice)


async def _stored(settings: Settings, pool: asyncpg.Pool) -> AsyncIterator[Check]:
    """Whether the database has what the recorder has committed. Nothing where that cannot be asked: see above."""
    try:
        async with asyncio.timeout(3 * PATIENCE_S):
            missing = await find_missing_rows(settings, pool)
    except TimeoutError:
        yield Check("stored records", "not checked: Kafka or the database did not answer in time", "run doctor again")
        return
    except (KafkaError, SetupError, StoreAwayError, OSError):
        return
    if not missing.gaps and not missing.gone:
        yield Check("stored records", "all that the recorder has committed are in the database")
        return
    advice = []
    if missing.since is not None:
        time_ = f"{missing.since:%Y-%m-%dT%H:%M:%SZ}"
        advice.append(f"stop the recorder and run `stream-detector recorder rewind --to {time_}`, then start it")
    if missing.gone:
        advice.append(
            f"Kafka does not have {_listed(missing.gone)} any more: publish them again; "
            "`recorder rewind` stops this message"
        )
    listed = _listed([*missing.gaps, *missing.gone])
    yield Check("stored records", f"restored from an older dump: lacks {listed}", "; ".join(advice))


def _listed(gaps: Iterable[Gap]) -> str:
    return ", ".join(f"{gap.topic}-{gap.partition} offsets {gap.first} to {gap.end - 1}" for gap in gaps)


async def _workflow_ids(database: Database) -> AsyncIterator[Check]:
    for pattern, count in (await database.query(ids_that_look_unique)).items():
        yield Check("workflow ids", unique_ids_text(pattern, count), "docs/operations.md#workflow-ids-that-never-end")


def check_lookalikes(words: str, groups: Sequence[Sequence[str]]) -> Check:
    """Whether ids look the same and are kept apart."""
    if not groups:
        return Check(words, "no two of the last 7 days look the same")
    shown = "; ".join(" and ".join(map(spelled, group)) for group in groups[:_GROUPS_SHOWN])
    more = f" and {len(groups) - _GROUPS_SHOWN} more" if len(groups) > _GROUPS_SHOWN else ""
    return Check(words, f"look the same, but have a baseline each: {shown}{more}", "send one spelling of each id")


def check_timing_rules(settings: Settings) -> Iterator[Check]:
    """Whether rules of the clock's settings have an effect; nothing where there are none."""
    config = detection_config(settings)
    profiles = {config.profile, *(rule.profile for rule in config.profile_rules)}
    has_clock = any(replace(config, profile=profile, profile_rules=()).has_clock for profile in profiles)
    for name in ("max_duration_rules", "expect_rules"):
        rules = getattr(config, name)
        if rules and not has_clock:
            why = "CLOCK is off" if config.clock == "off" else "CLOCK=auto is off in profile classic"
            yield Check(name.upper(), f"without effect: {why}", f"set {PREFIX}CLOCK=on for all detectors")
        elif rules:
            yield Check(name.upper(), f"{len(rules)} rule{'s' if len(rules) > 1 else ''}")


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
