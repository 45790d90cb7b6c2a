"""X33: an execution that hangs is reported although no event comes any more; one that ends in time is not."""

from dataclasses import replace

import pytest

from tests.drills.clock import HASTY, Producer, Said
from tests.drills.stage import until


@pytest.fixture(params=["tansu"])
def broker(request):
    """What differs between the kinds of broker is what time it is; drill `clock` has Apache Kafka's."""
    return request.getfixturevalue(request.param)


async def test_x33_what_hangs_is_reported_without_a_further_event_and_its_end_ends_that(play, tmp_path):
    play.settings = replace(play.settings, clock="on", starts_file=str(tmp_path / "starts"))
    detector = play.start("detector", change=HASTY)

    async def ready():
        return detector.ready

    await until(ready, "the detector", play.last_words)
    async with Producer(play.settings, 33) as producer:
        producer.limit_s = 2
        hang, ends = await producer.start(4, hang=True), await producer.start(4, hang=False)
        await producer.end(ends)

        async def reported():
            return (await Said.read(play.settings)).opened() >= set(hang)

        await until(reported, "four alerts", play.last_words)
        await producer.end(hang)

        async def over():
            return (await Said.read(play.settings)).ended() >= set(hang)

        await until(over, "their ends", play.last_words)
        verdict = (await Said.read(play.settings)).verdict(producer.book)
    assert verdict.events == 8
    assert not verdict.findings and not (verdict.lost or verdict.doubled or verdict.different or verdict.repeated)
