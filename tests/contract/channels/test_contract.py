"""One suite for every channel, against real servers: what the contract of `Channel` promises, and no secret shown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream_detector.notify.channels.registry import PROVIDERS as REGISTERED
from stream_detector.notify.message import LONGEST_WAIT_S, Delivered, Delivery, Message, Refused, Result, RetryAfter
from stream_detector.notify.stages.deliver import Deliverer
from tests.contract.channels.provider import Provider
from tests.contract.channels.test_apprise import apprise_provider
from tests.contract.channels.test_email import mail_provider
from tests.contract.channels.test_slack import slack_provider
from tests.contract.channels.test_slack_bot import bot_provider
from tests.contract.channels.test_webhook import webhook_provider
from tests.servers.hook import HookServer
from tests.servers.slack import SlackServer
from tests.servers.smtp import MailServer


@dataclass(frozen=True)
class Contract:
    """How one channel is tested: a server of its kind, started, and the channel before it."""

    channel: str
    start: Callable[[Path], Awaitable[Any]]
    provider: Callable[[Any], Provider]


PROVIDERS = {
    "slack": Contract("slack", lambda folder: SlackServer().start(), slack_provider),
    "slack bot": Contract("slack_bot", lambda folder: SlackServer().start(), bot_provider),
    "webhook": Contract("webhook", lambda folder: HookServer().start(), webhook_provider),
    "apprise": Contract("apprise", lambda folder: HookServer().start(), apprise_provider),
    "mail with STARTTLS": Contract(
        "email", lambda folder: MailServer(folder=folder, starttls=True, login=True).start(), mail_provider
    ),
    "mail with TLS": Contract(
        "email", lambda folder: MailServer(folder=folder, tls=True, login=True).start(), mail_provider
    ),
}


@pytest.fixture(params=list(PROVIDERS))
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
    """The test runs against each channel."""
    contract = PROVIDERS[request.param]
    server = await contract.start(tmp_path)
    made = contract.provider(server)
    yield made
    await made.channel.close()
    await server.stop()


@pytest.mark.parametrize("channel", REGISTERED)
def test_every_registered_channel_is_held_to_the_contract(channel: str) -> None:
    tested = {contract.channel for contract in PROVIDERS.values()}
    assert channel in tested, f"add a test server's contract for {channel} to PROVIDERS"


async def test_delivers_and_says_what_the_provider_answered(provider: Provider) -> None:
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, Delivered), result
    assert "answered" in result.detail
    assert provider.count() == 1


async def test_a_busy_provider_is_asked_again_later(provider: Provider) -> None:
    provider.busy()
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert result.after_s == provider.wait_s
    assert provider.count() == 0
    assert isinstance(await provider.channel.deliver(provider.message()), Delivered)


WAITS = [
    ({"Retry-After": "99999999"}, "", LONGEST_WAIT_S),
    ({"Retry-After": "9" * 400}, "", LONGEST_WAIT_S),
    ({"Retry-After": "inf"}, "", LONGEST_WAIT_S),
    ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, "", LONGEST_WAIT_S),
    ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}, "", 0.0),
    ({"Retry-After": "nan"}, "", 0.0),
    ({"Retry-After": "-30"}, "", 0.0),
    ({"Retry-After": "soon"}, "", 0.0),
    ({"Retry-After": "\u00b2"}, "", 0.0),
    ({"X-RateLimit-Reset-After": "1e300"}, "", LONGEST_WAIT_S),
    ({"X-RateLimit-Reset": "99999999999"}, "", LONGEST_WAIT_S),
    ({"RateLimit-Reset": "12"}, "", 12.0),
]


@pytest.mark.parametrize(("headers", "body", "wait_s"), WAITS)
async def test_x13_no_answer_silences_a_channel_for_more_than_15_min(
    provider: Provider, headers: dict[str, str], body: str, wait_s: float
) -> None:
    if provider.ask_to_wait is None:
        assert provider.wait_s == 0.0, "its protocol asks for no wait"
        return
    provider.ask_to_wait(headers, body)
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert result.after_s == wait_s
    assert ("limited to 15 min" in result.reason) == (wait_s == LONGEST_WAIT_S)
    assert isinstance(await provider.channel.deliver(provider.message()), Delivered)


async def test_a_refused_message_is_refused_with_the_providers_words(provider: Provider) -> None:
    provider.refuse()
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, Refused if provider.refuses else RetryAfter), result
    assert "answered" in result.reason


async def test_a_provider_that_is_away_is_asked_again_later(provider: Provider) -> None:
    await provider.stop()
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert "cannot be reached" in result.reason


async def test_a_silent_provider_is_asked_again_later(provider: Provider) -> None:
    provider.hang()
    provider.channel.timeout_s = 0.3  # type: ignore[attr-defined]
    result = await provider.channel.deliver(provider.message())
    assert isinstance(result, RetryAfter), result
    assert "did not respond within 0.3 s" in result.reason


async def test_a_delivery_may_be_cancelled_and_the_channel_goes_on(provider: Provider) -> None:
    provider.hang()
    task = asyncio.create_task(provider.channel.deliver(provider.message()))
    await asyncio.wait_for(provider.hanging.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await provider.channel.deliver(provider.message(2)), Delivered)


async def test_no_secret_in_reasons_or_logs(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [await provider.channel.deliver(provider.message())]
    for misbehave in (provider.busy, provider.refuse):
        misbehave()
        answers.append(await provider.channel.deliver(provider.message()))
    await provider.stop()
    answers.append(await provider.channel.deliver(provider.message()))
    texts = [str(one) for one in answers] + [
        f"{r.name} {r.getMessage()}" for r in caplog.records if r.name != "asyncio"
    ]
    ours = [line for line in texts if not line.startswith("mail.log")]  # the test's own server logs what it reads
    for secret in provider.secrets:
        assert not [line for line in ours if secret in line]


async def test_w31_a_dead_channel_delays_no_other(provider: Provider) -> None:
    answers: list[tuple[str, Result]] = []
    arrived = asyncio.Event()

    class Dead:
        async def deliver(self, message: Message) -> Result:
            await asyncio.Event().wait()
            raise AssertionError

        async def close(self) -> None: ...

    def on_result(delivery: Delivery, result: Result) -> None:
        answers.append((delivery.message.channel, result))
        arrived.set()

    deliverer = Deliverer({"dead": Dead(), provider.name: provider.channel}, on_result)
    dead = Message(id="d", channel="dead", severity="warning", title="t", text="t")
    assert deliverer.submit(Delivery(message=dead))
    for number in range(5):
        arrived.clear()
        assert deliverer.submit(Delivery(message=provider.message(number)))
        assert not deliverer.submit(Delivery(message=provider.message(4))), "one at a time"
        await asyncio.wait_for(arrived.wait(), 20)
    assert [name for name, _ in answers] == [provider.name] * 5
    assert all(isinstance(result, Delivered) for _, result in answers)
    assert deliverer.busy_channels == {"dead"}
    await deliverer.stop(within_s=0.1)
    assert len(answers) == 5
