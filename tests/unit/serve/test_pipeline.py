"""What two witnesses say of one role, and what `up` prints of it."""

import asyncio

from aiohttp import web

from stream_detector.devstack.ports import free_port
from stream_detector.kafka.group_monitor import FRESH_S
from stream_detector.serve.database import Database
from stream_detector.serve.pipeline import Part, Pipeline, watch
from stream_detector.settings import Settings
from stream_detector.telemetry.probes import RoleProbes


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def test_x3_a_role_is_what_it_answered_within_the_last_10_s() -> None:
    ready, port = [200], free_port()
    app = web.Application()

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(status=ready[0], text="ok" if ready[0] == 200 else "PostgreSQL: no answer for 12 s\n")

    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    clock = Clock()
    settings = Settings(probe_urls=f"recorder=http://127.0.0.1:{port}")
    pipeline = Pipeline(settings, Database(settings), clock)

    async def look(after_s: float) -> tuple[str, str]:
        clock.now_s += after_s
        await pipeline.probes.look()
        found = pipeline._probed("recorder")
        assert found is not None
        return found

    first = pipeline._probed("recorder")
    assert first is not None and first.state == "unknown", "nobody was asked yet"
    try:
        assert (await look(1))[0] == "ok"
        ready[0] = 503
        assert (await look(FRESH_S))[0] == "ok"
        assert await look(1) == ("behind", "it is not ready: PostgreSQL: no answer for 12 s")
        assert pipeline._probed("detector") is None
        await runner.cleanup()
        assert (await look(FRESH_S))[0] == "behind"
        state, reason = await look(1)
        assert state == "away" and "Connect" in reason
    finally:
        await runner.cleanup()
        await pipeline.stop()


async def test_a_role_that_was_started_anew_has_time_to_answer() -> None:
    clock = Clock()
    probes = RoleProbes({"recorder": "http://127.0.0.1:1"}, clock)
    clock.now_s += 100
    probes.forget("recorder")
    await probes.look()
    assert probes.answers["recorder"].answered_s == clock.now_s
    await probes.close()


async def test_x3_up_says_each_change_once() -> None:
    said: list[str] = []
    states = iter(["unknown", "unknown", "ok", "away", "away", "unknown", "behind", "ok", "ok"])

    class Scripted(Pipeline):
        def parts(self) -> list[Part]:
            return [Part(name="recorder", kind="role", state=next(states), reason="why")]  # type: ignore[arg-type]

    settings = Settings()
    watching = asyncio.create_task(watch(Scripted(settings, Database(settings)), said.append, every_s=0.001))
    await asyncio.wait([watching])
    assert said == [
        "The recorder does not answer: why",
        "The recorder cannot be checked: why",
        "The recorder is behind: why",
        "The recorder is ok again",
    ]
