"""PostgreSQL is restored from an older dump, and the recorder stores on: `doctor` finds what is missing, and `recorder
rewind` with the time that it prints stores it again. The rows are those of an empty database that reads everything."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from itertools import islice

import asyncpg
from aiokafka import AIOKafkaProducer

from stream_detector.devstack.postgres import Postgres
from stream_detector.events import Completion
from stream_detector.events.encode import encode
from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import COMPLETIONS, owner_partition
from stream_detector.roles.restore.rewind import find_missing_rows
from stream_detector.store.connect import open_pool
from stream_detector.store.source_positions import Gap
from tests.drills.commands import call, doctor
from tests.drills.ledger import Verdict, compare_rows, folded
from tests.drills.load import completions
from tests.drills.roles import Role
from tests.drills.stage import Options, Outcome, Play, Stage, create_database, stage

EVENTS = 5_000
OTHERS = ("detector", "notifier")
CHECK = "stored records"
_HOW_IT_WAS_STORED = ("recorder_progress", "recorder_positions", "recorder_gaps", "schema_migrations", "stream_epochs")
_CHECKSUM = "SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (SELECT concat_ws('|', {}) AS line FROM {}) AS lines"


async def drill(options: Options) -> Outcome:
    """Runs in turn: the recorder stores new records before anybody asks `doctor`, or only after the rewind."""
    outcome = Outcome("older-dump")
    with stage(options.kafka) as ground:
        for number in range(options.runs):
            outcome.add(await _run(ground, options, options.seed + number, goes_on=number % 2 == 0))
    return outcome


async def _run(ground: Stage, options: Options, seed: int, *, goes_on: bool) -> Verdict:
    async with ground.play(partitions=options.partitions) as play:
        events, ids = completions(seed, options.events), set[str]()
        others = [play.start(name) for name in OTHERS]
        for share in (0.3, 0.4):
            await _publish(play, events, round(options.events * share), ids)
            await _record(play, options, others)
            if share == 0.3:
                dump = _copy(ground.postgres, play)
        _restore(ground.postgres, play, dump)
        if goes_on:
            await _publish(play, events, round(options.events * 0.3), ids)
            await _record(play, options, others)
        verdict = Verdict(events=len(ids))
        await _rewind(play, verdict)
        await _record(play, options, others)
        if not goes_on:
            await _publish(play, events, round(options.events * 0.3), ids)
            await _record(play, options, others)
        if left := await _missing(play):
            verdict.note(f"still missing: {left}", lost=len(left))
        rows = await _checksums(play)
        _, wanted = await folded(play.settings)
        await compare_rows(play.settings, set(wanted), ids, verdict)
        _restore(ground.postgres, play, "template0")
        await asyncio.to_thread(call, play.settings, "recorder", "rewind", "--to", "1970-01-01T00:00:00Z")
        await _record(play, options, others)
        reference = await _checksums(play)
        for table in reference.keys() | rows.keys():
            verdict.note(f"rows of {table}", different=int(rows.get(table) != reference.get(table)))
        if not any(reference.values()):
            verdict.findings.append("nothing is stored: nothing was tested")
        await asyncio.gather(*(asyncio.to_thread(role.stop) for role in others))
        return verdict


async def _publish(play: Play, events: Iterator[Completion], count: int, ids: set[str]) -> None:
    n, topic = play.settings.partitions, play.settings.topic(COMPLETIONS)
    async with AIOKafkaProducer(**client_options(play.settings), max_batch_size=1 << 17) as producer:
        sent = []
        for event in islice(events, count):
            ids.add(event.execution_id)
            place = owner_partition(event.workflow_id, n)
            sent.append(await producer.send(topic, encode(event), key=event.workflow_id.encode(), partition=place))
        await asyncio.gather(*sent)


async def _record(play: Play, options: Options, others: list[Role]) -> None:
    """A recorder stores everything, and stops: nobody else is in the database."""
    recorder = play.start("recorder", change=options.without)
    roles = [recorder, *others]
    await play.drained("recorder", *OTHERS, alive=lambda: all(role.alive for role in roles))
    await asyncio.to_thread(recorder.stop)


async def _rewind(play: Play, verdict: Verdict) -> None:
    """As `doctor` says."""
    found = await asyncio.to_thread(doctor, play.settings)
    line = found.get(CHECK, {"ok": True, "advice": ""})
    command = re.search(r"recorder rewind --to (\S+?)`", line["advice"])
    if command is None:
        verdict.note(f"doctor does not see that the database is older: {found}", lost=1)
        return
    done = await asyncio.to_thread(call, play.settings, "recorder", "rewind", "--to", command[1])
    if done.returncode:
        verdict.note(f"recorder rewind: {done.stdout}{done.stderr}", lost=1)


async def _missing(play: Play) -> list[Gap]:
    pool = await open_pool(play.settings.database_url, name="drill", size=1)
    try:
        found = await find_missing_rows(play.settings, pool)
    finally:
        await pool.close()
    return [*found.gaps, *found.gone]


def _copy(server: Postgres, play: Play) -> str:
    """What a dump of the database would hold; its name."""
    name = play.folder.name
    _psql(server, f"CREATE DATABASE {name}_dump TEMPLATE {name}")
    return f"{name}_dump"


def _restore(server: Postgres, play: Play, dump: str) -> None:
    name = play.folder.name
    _psql(server, f"DROP DATABASE {name} WITH (FORCE)")
    if dump == "template0":
        create_database(server, name)
    else:
        _psql(server, f"CREATE DATABASE {name} TEMPLATE {dump}")


def _psql(server: Postgres, statement: str) -> None:
    command = [str(server.binaries / "psql"), server.url("postgres"), "-qc", statement]
    subprocess.run(command, check=True, capture_output=True)


async def _checksums(play: Play) -> dict[str, str | None]:
    """Table -> checksum of its rows, without the time at which each was stored."""
    connection = await asyncpg.connect(play.settings.database_url)
    try:
        columns = await connection.fetch(
            "SELECT table_name, string_agg(quote_ident(column_name)::text, ', ' ORDER BY ordinal_position) AS listed"
            " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> ALL($1)"
            " AND column_name NOT IN ('recorded_at', 'stream_epoch') GROUP BY table_name",
            list(_HOW_IT_WAS_STORED),
        )
        return {name: await connection.fetchval(_CHECKSUM.format(listed, name)) for name, listed in map(tuple, columns)}
    finally:
        await connection.close()
