"""A rename while the detector is killed, with real processes on the embedded broker."""

from datetime import UTC, datetime
from typing import Any

from stream_detector.events import Action
from stream_detector.events.encode import encode
from stream_detector.kafka.topics import ACTIONS, COMPLETIONS, owner_partition
from stream_detector.roles.renames import is_of_renames
from tests.drills.ledger import counted, recovered
from tests.drills.stage import until
from tests.integration.roles.events import completion

OLD, NEW = "app-1", "app-3"


async def counts(settings: Any) -> dict[str, int]:
    return {key: counted(packed, key) for key, packed in (await recovered(settings)).items() if not is_of_renames(key)}


async def test_x20_a_rename_survives_a_detector_that_is_killed_at_each_step(play: Any, producer: Any) -> None:
    """First with what is leaving in the changelog and nothing committed, then with it sent and not deleted."""
    settings = play.settings
    topic, number = settings.topic(COMPLETIONS), 0
    assert owner_partition(OLD, settings.partitions) != owner_partition(NEW, settings.partitions)

    async def publish(count: int) -> None:
        nonlocal number
        for each in range(number, number + count):
            variant = {"variant": "schedule"} if each % 3 == 0 else {}
            await producer.send(topic, completion(each, OLD, **variant), partition=each % settings.partitions)
        await producer.flush()
        number += count

    await publish(60)
    detector = play.start("detector")
    await play.drained("detector", alive=lambda: detector.alive)
    assert detector.stop() == 0
    await publish(20)
    action = Action(
        action_id="rename-1", kind="rename", by="ops", at=datetime.now(UTC), entity=f"workflow:{OLD}", new_id=NEW
    )
    home = owner_partition(OLD, settings.partitions)
    await producer.send_and_wait(settings.topic(ACTIONS), encode(action), partition=home)
    for point in ("changelog-acked:1", "alerts-acked:1"):
        await publish(10)
        dying = play.start("detector", fault_point=point)

        async def dead(role: Any = dying) -> bool:
            return not role.alive

        await until(dead, f"the detector to die at {point}", play.last_words)
    await publish(10)
    last = play.start("detector")
    await play.drained("detector", alive=lambda: last.alive)
    assert last.stop() == 0
    found = await counts(settings)
    assert found == {
        f"workflow:{NEW}": number - number // 3 - (number % 3 > 0),
        f"workflow/schedule:{NEW}": -(-number // 3),
    }
