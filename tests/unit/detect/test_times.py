"""What a key keeps of when its runs come, in layout 5; a key without it is written as before."""

import struct

import pytest

from stream_detector.detect import Baseline, BaselineBuffer, Config, PackedError, WorkflowBaseline, step
from stream_detector.detect.codec.packed import due_at
from stream_detector.detect.times import MOST_LABEL, MOST_LABELS, Miss, Times, is_at_rest, rested_of, resting
from tests.unit.detect.codec.test_packed import VERSION_1, full
from tests.unit.detect.events_of import bytes_of, entity, feed, run, runs, score, workflow
from tests.unit.detect.test_clock import MUTED_CLASSIC

UUID = "8c6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e0123"


def times(**fields) -> Times:
    made = Times()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def read_again(made: Times) -> Times:
    copy, packed = Times(), bytes_of(made)
    assert copy.fill(b"before" + packed + b"after", 6) == 6 + len(packed)
    assert bytes_of(copy) == packed
    return copy


def of_many(baseline: WorkflowBaseline) -> WorkflowBaseline:
    baseline.times = times(
        last_id="run-4711",
        last_s=1_796_000_000,
        name="Nightly import",
        source="github",
        labels={"team": "core", "ort": "Köln"},
        seen=b"\1\2\3\4",
        incident_id=UUID,
        misses=[Miss(1_796_000_100, 1_796_001_300), Miss(1_796_086_500, 1_796_087_700)],
        unsent=1,
    )
    baseline.due_s = 1_796_174_000
    return baseline


def test_the_part_is_read_as_it_was_written():
    copy = read_again(of_many(workflow()).times)
    assert (copy.last_id, copy.last_s, copy.name, copy.source) == (
        "run-4711",
        1_796_000_000,
        "Nightly import",
        "github",
    )
    assert copy.labels == {"team": "core", "ort": "Köln"}
    assert (copy.incident_id, copy.unsent) == (UUID, 1)
    assert copy.misses == [Miss(1_796_000_100, 1_796_001_300), Miss(1_796_086_500, 1_796_087_700)]


def test_x31_from_when_on_a_rule_expects_runs_is_kept():
    copy = read_again(times(since_s=1_796_000_000, rule=0xFFFF_FFFF))
    assert (copy.since_s, copy.rule) == (1_796_000_000, 0xFFFF_FFFF)
    assert len(bytes_of(copy)) == len(bytes_of(times())) + 8


@pytest.mark.parametrize("text", ["", "x", UUID, UUID.upper(), "é" * 36, "-" * 36, "z" * 36, "é" * 256, "x" * 253])
def test_any_id_is_kept_whole(text):
    assert read_again(times(last_id=text)).last_id == text


def test_a_uuid_takes_17_bytes():
    assert len(bytes_of(times(last_id=UUID))) == len(bytes_of(times(last_id="x"))) - 1 + 16


def test_labels_are_those_that_two_runs_have_alike():
    kept = Times()
    kept.keep_labels({"team": "core", "commit": "1"})
    assert kept.labels == {}
    kept.keep_labels({"team": "core", "commit": "2"})
    assert kept.labels == {"team": "core"}
    copy = read_again(kept)
    copy.keep_labels({"team": "data", "commit": "2"})
    assert copy.labels == {"commit": "2"}, "the team has changed, once"
    copy.keep_labels({"team": "data", "commit": "3"})
    assert copy.labels == {"team": "data"}
    copy.keep_labels({})
    assert (copy.labels, copy.seen) == ({}, b"")


def test_labels_are_few_and_short():
    many = {f"label {n}": "v" for n in range(40)} | {"long": "v" * (MOST_LABEL + 1)}
    kept = Times()
    for _ in range(3):
        kept.keep_labels(many)
    assert len(kept.labels) == MOST_LABELS == len(kept.seen) // 4
    assert read_again(kept).labels == kept.labels


def test_a_resting_key_counts_runs_down():
    code = resting(3, 2)
    assert (rested_of(code), is_at_rest(code), is_at_rest(code - 2), rested_of(code - 2)) == (3, True, False, 3)
    baseline = workflow()
    feed(baseline, runs([100.0] * 12), Config(clock="off"))
    baseline.rest = resting(5, 2048)
    feed(baseline, runs([100.0], 12), Config())
    packed, rest = baseline.pack(), baseline.rest
    baseline.rest = 0
    assert len(packed) - len(baseline.pack()) <= 8 and rest == resting(5, 2047)
    assert Baseline.unpack(baseline.key, packed).rest == resting(5, 2047)


@pytest.mark.parametrize("make", [workflow, lambda: full(config=Config()), lambda: full(40)])
def test_layout_5_is_read_as_it_was_written(make):
    baseline = of_many(make())
    packed = baseline.pack()
    assert (packed[0], due_at(packed)) == (5, 1_796_174_000)
    copy = Baseline.unpack(baseline.key, packed)
    assert isinstance(copy, WorkflowBaseline)
    assert (copy.pack(), copy.due_s, copy.times.last_id) == (packed, 1_796_174_000, "run-4711")
    copy.forget_times()
    bare = make()
    bare.forget_times()
    assert (copy.pack(), bare.pack()[0]) == (bare.pack(), 4), "all else is the same, in layout 4"


def test_the_head_of_layout_5_is_where_it_is_documented():
    baseline = of_many(full(config=Config(clock="off")))
    packed = baseline.pack()
    baseline.forget_times()
    assert packed[4:28] == baseline.pack()[4:28]
    assert struct.unpack_from("<IB", packed, 28) == (1_796_174_000, 5)


def test_without_times_nothing_is_due_and_the_layout_is_4():
    assert (workflow().pack()[0], due_at(workflow().pack()), due_at(b""), due_at(b"\5")) == (4, 0, 0, 0)
    assert (entity().pack()[0], due_at(entity().pack())) == (4, 0)
    later = feed(entity(), [score("7.50")])
    assert later[0].kind == "applied"


@pytest.mark.parametrize("baseline", [of_many(workflow()), of_many(full(config=Config()))])
def test_a_truncated_value_of_layout_5_is_refused(baseline):
    packed, part = baseline.pack(), bytes_of(baseline.times)
    begin = packed.index(part)
    for length in [*range(1, 40), *range(begin, begin + len(part))]:
        with pytest.raises(PackedError):
            Baseline.unpack(baseline.key, packed[:length])


def test_parts_of_a_later_program_are_refused_and_named():
    packed = bytearray(of_many(workflow()).pack())
    packed[32] |= 0x80
    with pytest.raises(PackedError, match="flags 0x85"):
        Baseline.unpack("workflow:nightly", bytes(packed))


@pytest.mark.parametrize("former", [VERSION_1, MUTED_CLASSIC])
def test_a_value_of_4659e91_goes_on_in_layout_5(former):
    baseline = Baseline.unpack("workflow:nightly", former)
    assert isinstance(baseline, WorkflowBaseline)
    before = Baseline.unpack("workflow:nightly", baseline.pack())
    copy = Baseline.unpack(baseline.key, of_many(baseline).pack())
    event = run(900, 104.0, at=run(300).finished_at)
    off = Config(clock="off")
    found = step(copy, event, off).anomalies
    assert [one for one in found if one.detector != "missed_run"] == list(step(before, event, off).anomalies)
    copy.forget_times()
    assert copy.pack() == before.pack()


def test_a_buffer_keeps_no_times_of_what_was_opened_before():
    buffer, bare = BaselineBuffer(), workflow().pack()
    for packed in (of_many(workflow()).pack(), bare, of_many(workflow()).pack(), VERSION_1):
        opened = buffer.open("workflow:nightly", packed)
        assert opened.pack() == Baseline.unpack("workflow:nightly", packed).pack()


def test_relearn_forgets_when_runs_come():
    baseline = of_many(workflow())
    baseline.clear()
    assert (baseline.times, baseline.rest, baseline.due_s) == (None, 0, 0)
