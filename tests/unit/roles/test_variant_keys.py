"""X21: what a workflow had before variants goes on in `default branch`, whatever dies at whatever moment."""

import base64
import random
import zlib
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_detector.delivery.checkpoint import _batches
from stream_detector.delivery.chunk import Chunk
from stream_detector.delivery.state import changelog_record
from stream_detector.delivery.state.partition import StatePartition
from stream_detector.delivery.state.snapshot import PartitionSnapshot
from stream_detector.detect import Baseline
from stream_detector.detect.replay import Replayer
from stream_detector.events import Action, Completion
from stream_detector.events.decode import decode_anomaly, decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.variant import DEFAULT_BRANCH, SCHEDULE, workflow_key
from stream_detector.kafka import topics
from stream_detector.kafka.topics import owner_partition
from tests.effort import cases
from tests.events_made import NOON, completion
from tests.unit.roles import many_keys
from tests.unit.roles.many_keys import CONFIG, PARTITIONS, World

WORKFLOWS = "build", "deploy", "nightly"
VARIANTS = None, None, None, DEFAULT_BRANCH, SCHEDULE, "pull request"

OF_4659E91 = {
    "robust": (
        "c-muPWZ+<Ep7w4wBLf370|+oNoMSl4_*dFp=sd$YMt3j2?h6d(8823O{<+9-fzcuTTh1khi;UO8KT4lsIK{ZNGDr6`!)Zok&+Mo("
        "3}+Z;N+ca-Vg;GgFeM&rs(|3vOAn$V*H4K&_R996?<;1AHBdX1?U!T(%Y=I_O1K_>@Auz1fBhL4*cl*h0nvH4x8>e8i*$Gbq_*V>"
        "JAlNQc_ct4oN|I-21lS}jt$#Cz6BWw)thQ;$)F9S+ovpEeyCK)A^mgQJhv`Edzifrf<>7R;!83akih@{A0H~pN0tdWfMg^^Tl>O8"
        "H`{A5nVw;UAd@qH1=)oJg~%as%S}vKXLu0kM7yaE*VRnAZ(o%+*SZc!GyM6_z`zP7nSpL&WMG4eFo1o=4tMuFua335PFguI002h*"
        "jeY"
    ),
    "classic": (
        "c-q~L%PT~29L3M?P7@0Y&nS<LJT|gWLg9{*#<M6Ic}1d(*TRC;7iD85L&Rd{zHQieW?`W$W`=PsSjZ&Vm@-3Qfhn##e}z-uK6UDQ"
        "&fyprkNMT`1_LZG#Nh(xESg!D9KZ#ut8ZSsM1bit_HP}Rj34@NUO{Kq9j}>Qc-h{xv&aV@%e9Ym`r&8m8U3f6)yN@N?_X+S()-nY"
        "r(?(EI15$kO(Ba}6YI>amWJE1I_yH<O>gikx*2T&;$UtuICi@~dRyw?AAhkwn!+2tB_YE|@Ya|I+i#hT4ql&)z}W9#NjXpzt~IQ}"
        "oH&@Gh~14KxygUv#&Ot9TX`O=b$MuE*@G#shX$B{)-r+kaRJ4OK-qT!5>iF_tQYY#E7HxOh_i@DyZI8tZi$v$638df7$>8<T&9Kz"
        "85OEbg+UqVX$n~z6}-(U^l+p=e^Kb9K*e^CN}DSx7X2zsTQm$;Xw*Kbp;puWM)D5c92+BI{D=Mz`wXqw"
    ),
}
"""A baseline as that version packed it, compressed: 40 successes an hour apart from noon on, then three failures."""
SPIKE, STREAK = "1011f5d2-e05a-59af-9459-c6ea3dd14dea", "233fa468-531c-5749-a260-d75fdefbfd9c"
"""The incidents that are open in it."""


class Batch:
    """Two records of any size, or a whole group."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []

    def append(self, *, key: bytes, value: bytes, timestamp: object) -> object:
        self.records.append((key, value))
        return object()

    def record_count(self) -> int:
        return len(self.records)


class Torn(World):
    """A world whose checkpoints are written batch by batch, as the detector's are."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        super().__init__(most=1_000)

    def write(self, taken: list[tuple[int, Any, dict[tuple[str, int], int]]]) -> None:
        for number, snapshot, _ in taken:
            snapshot.encode_for(float("inf"))
            groups = snapshot.groups()
            grouped = {key for group in groups for key, _ in group}
            batches = [*groups, *([record] for record in snapshot.records if record[0] not in grouped)]
            self.waiting += [(number, batch) for batch in batches]

    def append_some(self, most: int) -> None:
        """So many of the batches that wait are in the log."""
        for number, batch in self.waiting[:most]:
            self.changelog[number] += batch
        del self.waiting[:most]


def run_of(number: int, day: float, workflow_id: str, variant: str | None, failed: bool) -> Completion:
    at = NOON + timedelta(days=day)
    status = "failure" if failed else "success"
    labels = {"branch": f"b{number % 5}"}
    return completion(
        f"{workflow_id}/{number}", workflow_id, finished_at=at, status=status, variant=variant, labels=labels
    )


async def wander(seed: int) -> Torn:
    """Crashes at any moment, also between two batches of a checkpoint, while variants begin and come back to none."""
    draw, world, day = random.Random(seed), Torn(), 0.0
    taken: Any = None
    for number in range(150):
        act = draw.choice(("publish", "publish", "apply", "apply", "begin", "write", "finish", "crash"))
        if act == "publish":
            day += draw.choice((0, 0.1, 0.5, 20))
            variant = draw.choice(VARIANTS)
            world.publish(run_of(number, day, draw.choice(WORKFLOWS), variant, draw.random() < 0.6))
        elif act == "apply":
            await world.apply(most=draw.choice((1, 3)))
        elif act == "begin" and taken is None:
            taken = world.begin_checkpoint()
            world.write(taken) if draw.random() < 0.5 else None
        elif act == "write" and taken is not None:
            if any(not snapshot.is_done for _, snapshot, _ in taken):
                world.write(taken)
            world.append_some(draw.choice((1, 2, 100)))
        elif act == "finish" and taken is not None:
            if any(not snapshot.is_done for _, snapshot, _ in taken):
                world.write(taken)
            world.append_some(1_000)
            world.finish(taken)
            taken = None
        elif act == "crash" and draw.random() < 0.4:
            world.waiting.clear()
            world.restart()
            taken = None
    world.waiting.clear()
    world.restart()
    await world.apply()
    world.write(taken := world.begin_checkpoint())
    world.append_some(1_000)
    world.finish(taken)
    return world


def folded(world: World) -> tuple[dict[str, bytes], set[str]]:
    """Key -> baseline, and the ids of the anomalies, of the same events in a replay without any crash."""
    fold, anomalies = Replayer(CONFIG), set()
    for number in range(PARTITIONS):
        for record in world.sources[topics.COMPLETIONS, number]:
            outcome = fold.apply(decode_completion(record.value, (), record.timestamp), record.timestamp)
            anomalies |= {one.id for one in outcome.anomalies}
    return {key: baseline.pack() for key, baseline in fold.baselines.items()}, anomalies


def kept(world: World) -> dict[str, bytes]:
    return {
        key: changelog_record.payload_of(value)
        for key, value in world.written().items()
        if not changelog_record.is_deleted(value)
    }


@pytest.mark.parametrize("seed", range(cases(80)))
async def test_x21_no_crash_loses_or_doubles_what_a_variant_takes_over(seed: int) -> None:
    world = await wander(seed)
    wanted, anomalies = folded(world)
    assert kept(world) == wanted
    sent = {value for values in world.alerts.values() for value in values}
    assert sorted(decode_anomaly(value).id for value in sent) == sorted(anomalies)


async def test_x21_without_one_batch_for_both_keys_a_crash_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartitionSnapshot, "groups", lambda self: [])
    for seed in range(400):
        world = await wander(seed)
        if kept(world) != folded(world)[0]:
            return
    pytest.fail("no case of 400 shows it")


def test_x21_a_group_is_in_one_batch_however_many_there_are() -> None:
    producer = SimpleNamespace(create_batch=Batch)
    groups = [[(b"%d" % number, b""), (b"%d!" % number, bytes(70_000))] for number in range(7)]
    records = [record for group in groups for record in group] + [(b"single", b"x")]
    batches = [batch.records for batch in _batches(producer, records, groups)]  # type: ignore[arg-type,attr-defined]
    assert sorted(record for batch in batches for record in batch) == sorted(records)
    assert len(batches) > 2
    for group in groups:
        assert sum(all(record in batch for record in group) for batch in batches) == 1


def test_x21_a_snapshot_that_was_undone_keeps_both_keys_together() -> None:
    partition: StatePartition[bytes] = StatePartition(World(1).table.partitions[0].codec)
    partition.finish_recovery(-1)
    partition.put("workflow:w", Baseline.new("workflow:w").pack())
    partition.rename("workflow:w", "workflow/a:w", Baseline.new("workflow/a:w").pack())
    for _ in range(2):
        snapshot = partition.begin_snapshot({topics.COMPLETIONS: 1})
        snapshot.encode_for(float("inf"))
        assert [[key for key, _ in group] for group in snapshot.groups()] == [[b"workflow:w", b"workflow/a:w"]]
        snapshot.undo()


async def acted(world: World, action: Action) -> dict[str, int]:
    """What the detector makes of an action, by the partition that owns its workflow."""
    number = owner_partition(action.entity.partition(":")[2], PARTITIONS)
    record = SimpleNamespace(
        headers=[], value=encode(action), timestamp=round(action.at.timestamp() * 1000), key=None, offset=0
    )
    return await world.detector.apply(topics.ACTIONS, Chunk(TP(topics.ACTIONS, number), [record], 1))


def action(kind: str, entity: str, **fields: Any) -> Action:
    return Action(action_id="a1", kind=kind, by="sam", at=NOON, entity=entity, **fields)  # type: ignore[arg-type]


async def test_x21_an_action_that_names_the_workflow_is_about_all_of_its_variants() -> None:
    world = World(most=1_000)
    await world.run(
        *(run_of(n, n / 10, "build", variant, False) for n, variant in enumerate((None, SCHEDULE, "pull request"))),
        run_of(9, 1, "builder", SCHEDULE, False),
    )
    keys = {key for partition in world.table.partitions for key in partition.keys()}  # noqa: SIM118
    assert len(keys) == 4
    assert await acted(world, action("retire", "workflow:build")) == {"applied": 1}
    keys = {key for partition in world.table.partitions for key in partition.keys()}  # noqa: SIM118
    assert keys == {workflow_key("builder", SCHEDULE)}


async def test_x21_an_action_that_names_a_variant_is_about_it_alone() -> None:
    world = World(most=1_000)
    await world.run(*(run_of(n, n / 10, "build", variant, False) for n, variant in enumerate((None, SCHEDULE))))
    assert await acted(world, action("retire", workflow_key("build", SCHEDULE))) == {"applied": 1}
    assert {key for partition in world.table.partitions for key in partition.keys()} == {"workflow:build"}  # noqa: SIM118


async def test_x21_feedback_on_an_incident_is_about_the_variant_that_has_it() -> None:
    world = World(most=1_000)
    runs = [run_of(n, n / 10, "build", variant, False) for n, variant in enumerate((None, "pull request"))]
    failures = [run_of(10 + n, 1 + n / 10, "build", SCHEDULE, True) for n in range(3)]
    await world.run(*runs, *failures)
    (key,) = world.alerts
    assert key == workflow_key("build", SCHEDULE)
    number = owner_partition("build", PARTITIONS)
    partition = world.table.partitions[number]
    opened = Baseline.unpack(key, partition.get(key) or b"").incidents.popitem()[1]
    assert await acted(world, action("expected", "workflow:build", incident_id=opened.id)) == {"applied": 1}
    feedbacks = {name: Baseline.unpack(name, partition.get(name) or b"").feedbacks for name in partition.keys()}  # noqa: SIM118
    assert feedbacks == {key: 1, "workflow:build": 0, workflow_key("build", "pull request"): 0}


@pytest.mark.parametrize("crash_after", range(4))
@pytest.mark.parametrize("profile", ["robust", "classic"])
async def test_x21_an_upgrade_continues_the_open_incidents_of_4659e91(profile: str, crash_after: int) -> None:
    """The detector dies right after so many of its checkpoint's batches are in the log."""
    world, number = Torn(), owner_partition("build", PARTITIONS)
    packed = zlib.decompress(base64.b85decode(OF_4659E91[profile]))
    world.changelog[number].append((b"workflow:build", changelog_record.encode_header(1, {}) + packed))
    world.restart()
    others = [run_of(70 + n, 1.8, f"other-{n}", None, False) for n in range(3)]
    runs = [run_of(43 + n, 1.8 + n / 24, "build", DEFAULT_BRANCH, n < 2) for n in range(3)]
    world.publish(*runs[:2], *others)
    await world.apply()
    world.write(world.begin_checkpoint())
    world.append_some(crash_after)
    world.waiting.clear()
    world.restart()
    world.publish(*runs[2:])
    await world.apply()
    world.write(taken := world.begin_checkpoint())
    world.append_some(1_000)
    world.finish(taken)
    key = workflow_key("build", DEFAULT_BRANCH)
    assert world.dropped() == {"workflow:build"}
    found = [decode_anomaly(value) for value in world.alerts[key]]
    states = {(one.incident_id, one.state, one.severity) for one in found if one.incident_id == STREAK}
    assert states == {(STREAK, "ongoing", "critical"), (STREAK, "resolved", "info")}
    assert {one.incident_id for one in found} <= {STREAK, SPIKE}, "nothing begins"
    assert {one.variant for one in found} == {DEFAULT_BRANCH}
    baseline = Baseline.unpack(key, kept(world)[key])
    assert {one.id for one in baseline.incidents.values()} == {SPIKE}


async def test_x21_variant_by_gives_plain_events_their_variant_also_where_they_are_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many_keys, "CONFIG", replace(CONFIG, variant_by=("trigger",)))
    world, put = World(most=1_000), list[Any]()
    world.app.batch_producer.put = lambda *given, **_: put.append(given)  # type: ignore[method-assign]
    number = owner_partition("build", PARTITIONS)
    event = completion("e", "build", labels={"trigger": "nightly"})
    at_ms = round(NOON.timestamp() * 1000)
    for partition in (number, 1 - number):
        record = SimpleNamespace(headers=[], value=encode(event), timestamp=at_ms, key=None, offset=0)
        await world.detector.apply(topics.COMPLETIONS, Chunk(TP(topics.COMPLETIONS, partition), [record], 1))
    assert [*world.table.partitions[number].keys()] == ["workflow/nightly:build"]
    (topic, target, key, value, headers) = put[0]
    assert (topic, target, key) == (topics.REKEYED, number, b"workflow/nightly:build")
    again = SimpleNamespace(headers=headers, value=value, timestamp=at_ms, key=key, offset=0)
    done = await world.detector.apply(topics.REKEYED, Chunk(TP(topics.REKEYED, number), [again], 1))
    assert done == {"duplicate": 1}, "the same execution in the same variant"
