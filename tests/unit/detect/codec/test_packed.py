"""The packed value: versioned, small, and the same when read back."""

import struct
from base64 import b85decode
from datetime import timedelta
from math import exp
from random import Random
from uuid import UUID

import pytest

from stream_detector.detect import Baseline, BaselineBuffer, Config, PackedError, step
from stream_detector.detect.incident import Incident, pack_incidents, unpack_incidents
from stream_detector.events import Resource, Step
from tests.unit.detect.events_of import CLASSIC, START, entity, feed, outcomes, run, score, workflow

LARGEST_BYTES = 1032
OFF = Config(clock="off")
"""Without the times of its runs, which `test_times.py` is about."""
VERSION_1 = b85decode(
    "0RaFA06MM4n*jg-0000000062;{XZ*Sd8OP<Nyl-;@#@W<p2x<bnWfF<^T-><?vE2=Ku}@bHG(u-v9>!6f2|)-~b2$f*YfJ;Q$E&I7+JJ00jU5"
    "0000C8pN9c003Tu3+L;cTW`NjAh&(8QN{rS000000Hb5Yn*jg-8(E!gAdOW9o0%OaYvu0t^-ll*0{{R3000000{{R30000006<_s0000000000"
    "|9=1g0|W#F1Ox;G1Ox;G1Ox;G0000000000000000002mNY6qGxW_`NddNb^+0a6#wZ%gG^2S0R7|23lgw8_shRH&9a>zn*-M~Uf8ool<pTt79"
    "$iPBN8puMd{=Pw4uy8^!a+X2{WamPT6l6jhMT$ZjZyZ1x+z&x44n{(Fspvp=V;n<lCEY<a&`ClZh$cg)Td+a^I<3Z=0RR9100093004M4G5`Po"
    "00000000000000000000KL7v#tK;`XY>*N_!psHSmnV5Y06MM4n*jg-VqPB=R^+8WKL7v#1){m9MnH~006MM4n*jg-xHkK<m%bE00|5V)YF@Hf"
    "5<mb98pN9c000IIEWgYpF5mxncxSRKzOJva0YGuF$h_XU0YJLl)&q6l%Rjo^)&q6l%Rjo^)&q6l%Rjo^)&q6l%Rjo^)&q6l%Rjo^)&q6l%Rm3l"
    "W%Mm12S9JF@=t&_2|#oQ#*``ttUq)I#*``ttUq)I#*``ttUq)I#*``ttUq)I#*``ttUq)I#*``ttUo^h000000000000000aAod1Z<s<r00"
)
"""What layout 1 wrote for a workflow of 63 executions of about 100 s, profile `robust`, the last three of 130 s."""


def feed_all(baseline, events):
    feed(baseline, events)
    return baseline


def full(days: int = 40, *, untimed: bool = False, config: Config = CLASSIC, a_day: int = 12, **more):
    """A workflow with every day and place of its value in use."""
    random, baseline = Random(4), workflow()
    commit, execution = "0123456789abcdef" * 2, "8c6f0b6e-8a0c-4f6d-9d4c-3a1f5f0e{:04d}"
    events = []
    for number in range(days * a_day):
        failed = random.random() < 0.3
        duration_s = None if untimed and number % 7 == 0 else random.lognormvariate(4, 0.3)
        fields = {
            "execution_id": execution.format(number),
            "labels": {"commit": commit, "a": "1", "b": "2", "c": "3", "d": "4"},
        }
        at = START + timedelta(days=number / a_day)
        events.append(run(number, duration_s, "failure" if failed else "success", at=at, **fields | more))
        newest = events[-1].finished_at
    feed(baseline, [*events, *(run(-n, None, "failure", at=newest) for n in (1, 2, 3))], config)
    return baseline


@pytest.mark.parametrize("untimed", [False, True])
@pytest.mark.parametrize(("config", "a_day"), [(CLASSIC, 12), (OFF, 12), (OFF, 250), (OFF, 700)])
def test_at_most_1032_bytes_without_steps(untimed, config, a_day):
    baseline = full(untimed=untimed, config=config, a_day=a_day)
    assert 700 < len(baseline.pack()) <= LARGEST_BYTES + 64 * len(baseline.incidents)


def test_at_most_20_bytes_a_step_and_32_of_them_and_512_of_names():
    bare = len(full().pack())
    with_steps = full(steps=[Step(f"step {n}", "success", 1.0 + n) for n in range(40)])
    assert len(with_steps.pack()) - bare <= 20 * 32 + 512
    assert len(with_steps.evidence.columns) == 16 * 32


def test_unpack_gives_the_same_value():
    baseline = full(untimed=True, resources={"cpu": Resource(1.0)})
    baseline.feedbacks, baseline.retired = 3, True
    packed = baseline.pack()
    copy = Baseline.unpack(baseline.key, packed)
    assert copy.pack() == packed
    assert copy.named_baselines() == baseline.named_baselines()
    assert (copy.status, copy.retired, copy.feedbacks) == ("anomalous", True, 3)


def test_a_score_packs_too():
    baseline = entity()
    assert Baseline.unpack("score:lido", baseline.pack()).pack() == baseline.pack()
    feed(baseline, [score("7.50"), score("0.00000000000000000001", 1)])
    copy = Baseline.unpack("score:lido", baseline.pack())
    assert str(copy.previous) == str(baseline.previous)
    assert copy.pack() == baseline.pack()
    assert (copy.status, entity().status, copy.named_baselines()) == ("normal", "learning", {})
    assert entity().shown_baselines() == {}, "only a workflow has named ones"


def test_executions_without_durations_show_no_other_time_than_they_have():
    baseline = workflow()
    feed(baseline, outcomes("FSF"))
    assert baseline.shown_baselines()["execution_time"] == baseline.named_baselines()["execution_time"]


def test_an_id_longer_than_40_characters_is_remembered_by_its_time_alone():
    baseline = workflow()
    feed(baseline, [run(0, execution_id="x" * 41), run(1, None, "failure"), run(2, None, "failure")])
    (third,) = feed(baseline, [run(3, None, "failure")])[0].anomalies
    assert third.investigation_steps[0] == "Compare with the last good execution of 2026-01-01 00:00 UTC"


@pytest.mark.parametrize("damage", [b"", b"\x02" + bytes(200), b"\x01", b"\x01\x02" + bytes(300)])
def test_what_is_no_baseline_is_refused(damage):
    with pytest.raises(PackedError):
        Baseline.unpack("workflow:nightly", damage)


def test_a_truncated_value_is_refused():
    packed = full().pack()
    for length in range(1, len(packed), 37):
        with pytest.raises(PackedError):
            Baseline.unpack("workflow:nightly", packed[:length])


def test_a_key_is_a_workflow_or_a_score():
    with pytest.raises(ValueError, match="begins with"):
        Baseline.new("team:core")


def test_the_head_is_where_it_is_documented():
    baseline = workflow()
    feed(baseline, [run(0)])
    baseline.forget_times()
    head = struct.unpack_from("<BBBBqIHHq", baseline.pack())
    assert head == (4, 1, 34, 1, baseline.newest_ms, 0, 0, 0, baseline.newest_record_ms)


def test_an_open_incident_of_a_rule_of_a_later_version_is_refused():
    packed = pack_incidents({("consecutive_failures", 0): Incident(str(UUID(int=1)), 0, "warning", True)})
    assert unpack_incidents(packed, 0, 1)[2] == len(packed)
    with pytest.raises(ValueError, match="an open incident of rule 200"):
        unpack_incidents(bytes([200]) + packed[1:], 0, 1)


def test_the_common_part_alone_knows_nothing():
    with pytest.raises(NotImplementedError):
        _ = Baseline("workflow:nightly").status


def test_layout_1_is_read_and_goes_on():
    baseline = Baseline.unpack("workflow:nightly", VERSION_1)
    level = baseline.level
    assert (level.n, baseline.failures.n, len(baseline.incidents)) == (63, 63, 2)
    assert level.expected == pytest.approx(exp(4.641038) - 0.02, rel=1e-3)
    assert baseline.named_baselines()["execution_time"].window_size == 63
    assert len(level.readings) == 0
    event = run(900, 104.0, at=START + timedelta(hours=6 * 63))
    feed(baseline, [event], Config())
    assert (level.n, len(level.readings)) == (64, 2)
    feed(baseline, [run(901 + n, 900.0, at=START + timedelta(hours=6 * (64 + n))) for n in range(4)], Config())
    packed = baseline.pack()
    assert packed[0] == 5
    assert Baseline.unpack("workflow:nightly", packed).pack() == packed


@pytest.mark.parametrize("seed", range(20))
def test_a_buffer_keeps_nothing_of_what_was_opened_before(seed):
    """Whatever lay on it, and whatever was done to that: what is opened packs as it was, and goes on as it would."""
    random = Random(seed)
    robust = Config()
    steps = [Step("a", None, 3.0), Step("b", None, 4.0)]
    many = [
        workflow(),
        full(),
        full(untimed=True, resources={"cpu": Resource(1.0)}),
        full(2, a_day=70, config=robust, steps=steps),
        full(40, config=robust, steps=steps[::-1]),
        feed_all(workflow(), [run(n, 100.0, "failure") for n in range(7)]),
        Baseline.unpack("workflow:nightly", VERSION_1),
        entity(),
        feed_all(entity(), [score("7.50"), score("3.50", 1), score("9.50", 2)]),
    ]
    buffer = BaselineBuffer()
    for turn in range(60):
        kept = random.choice(many)
        packed = None if random.random() < 0.1 else kept.pack()
        baseline = buffer.open(kept.key, packed)
        alone = Baseline.new(kept.key) if packed is None else Baseline.unpack(kept.key, packed)
        assert baseline.pack() == alone.pack() and baseline.status == alone.status
        if kept.key.startswith("workflow:"):
            later = START + timedelta(days=41, minutes=turn)
            event = run(1000 + turn, 2.0**turn, random.choice(["success", "failure"]), at=later, steps=steps)
        else:
            event = score(str(turn), turn)
        config = random.choice([CLASSIC, robust])
        assert step(baseline, event, config) == step(alone, event, config)
        assert baseline.pack() == alone.pack()


def test_a_buffer_knows_two_kinds_of_keys():
    with pytest.raises(ValueError, match="a state key begins with"):
        BaselineBuffer().open("run:7", None)
    with pytest.raises(ValueError, match="a state key begins with"):
        BaselineBuffer().open("run:7", entity().pack())
    with pytest.raises(PackedError):
        BaselineBuffer().open("workflow:nightly", entity().pack())
