"""X31: a rule with the id of a workflow: the owner of its key makes the key, once, and a successor counts on.

Situations that would break it: several workers; a restart; a partition that moves; another rule; a workflow that was
renamed; a take-over before the broker's time is known.
"""

import pytest

from stream_detector.delivery.state.partition import StatePartition
from stream_detector.detect import Config, WorkflowBaseline
from stream_detector.detect import due as due_rules
from stream_detector.detect.replay import Baselines
from stream_detector.kafka.topics import owner_partition
from stream_detector.timing_rules import expect_rules
from tests.unit.roles.clock_scene import MINUTE_MS, NOW_MS, owned
from tests.unit.roles.clock_scene import Scene as ClockScene
from tests.unit.roles.test_x30_starts import Scene as DetectorScene

RULES = expect_rules("nightly -> every 24h, weekly -> every 7d, adhoc-* -> every 1h, team=core -> every 1h")
NOW_S = NOW_MS // 1000


def made(scene: DetectorScene, number: int, now_s: int = NOW_S) -> list[str]:
    """Puts them into the partition, as the clock does."""
    detector, keys = scene.detector, []
    partition = detector._baselines.get_owned(number)
    for baseline in detector._expect_runs(number, partition, now_s):
        partition.put(baseline.key, baseline.pack())
        keys.append(baseline.key)
    return keys


def test_x31_each_key_is_made_by_the_owner_of_its_partition_and_by_no_other() -> None:
    scene = DetectorScene(expect_rules=RULES)
    count = scene.detector._n
    found = {number: made(scene, number) for number in range(count)}
    for workflow_id in ("nightly", "weekly"):
        owners = [number for number, keys in found.items() if f"workflow:{workflow_id}" in keys]
        assert owners == [owner_partition(workflow_id, count)]
    assert sum(map(len, found.values())) == 2, "patterns and labels name no workflow"


def test_x31_a_successor_counts_on_and_another_rule_begins_a_new_count() -> None:
    scene, number = DetectorScene(expect_rules=RULES), owner_partition("nightly", DetectorScene().detector._n)
    assert "workflow:nightly" in made(scene, number)
    assert "workflow:nightly" not in made(scene, number, NOW_S + 5000)
    scene.detector._config = Config(expect_rules=expect_rules("nightly -> every 12h"))
    assert "workflow:nightly" in made(scene, number, NOW_S + 5000)
    packed = scene.detector._baselines.get_owned(number).get("workflow:nightly")
    baseline = WorkflowBaseline.unpack("workflow:nightly", packed)
    assert isinstance(baseline, WorkflowBaseline) and baseline.due_s == NOW_S + 5000 + 43_200 + 4320


def test_x31_the_former_id_of_a_renamed_workflow_is_not_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, number = DetectorScene(expect_rules=RULES), owner_partition("nightly", DetectorScene().detector._n)
    monkeypatch.setattr(scene.detector._renames, "leads_to", lambda partition, workflow_id: "import/nightly")
    assert made(scene, number) == []


@pytest.mark.parametrize("given", [{"clock": "off"}, {"profile": "classic"}])
def test_x30_where_the_clock_is_off_no_key_is_made(given: dict[str, str]) -> None:
    scene = DetectorScene(expect_rules=RULES, **given)
    assert made(scene, owner_partition("nightly", scene.detector._n)) == []


async def test_x31_a_job_that_never_ran_is_reported_by_the_clock_and_by_a_successor_with_the_same_id() -> None:
    config = Config(expect_rules=RULES)
    detector = DetectorScene(expect_rules=RULES).detector
    detector._n = 1

    def scene_of(partition: StatePartition[bytes]) -> ClockScene:
        scene = ClockScene(partition)
        scene.clock._expected, scene.clock._config, scene.clock._rules = detector._expect_runs, config, due_rules
        return scene

    partition = owned()
    first = scene_of(partition)
    at_ms, first.topic.at_ms = first.topic.at_ms, None  # type: ignore[assignment]
    await first.look()
    assert partition.get("workflow:nightly") is None, "the broker's time is not known yet"
    first.topic.at_ms = at_ms
    await first.look()
    first.checkpoint()
    assert first.due_ms("workflow:nightly") == 1000 * (NOW_S + 86_400 + 8640)
    second = scene_of(partition)
    second.topic.at_ms = second.topic.taken_in_ms[0] = NOW_MS + 20 * 3_600_000
    await second.look()
    assert second.due_ms("workflow:nightly") == 1000 * (NOW_S + 86_400 + 8640), "it counts on"
    for _ in range(100):  # longer steps would be time in which nobody took anything in
        second.pass_ms(4 * MINUTE_MS)
        await second.look()
        second.checkpoint()
    expected = due_rules.due(_never_ran(config), NOW_MS + 30 * 3_600_000, config)
    assert second.sent == [one.id for one in expected] and len(expected) == 1


def _never_ran(config: Config) -> WorkflowBaseline:
    baselines = Baselines()
    baselines.expect(config, NOW_S)
    baseline = baselines["workflow:nightly"]
    assert isinstance(baseline, WorkflowBaseline)
    return baseline
