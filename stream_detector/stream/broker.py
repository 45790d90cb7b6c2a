"""How to reach the broker: one place for addresses, TLS and SASL, and the first wait until it answers."""

import asyncio
import random
import ssl
import time
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from stream_detector.settings import Settings
from stream_detector.telemetry.happenings import ServiceAway, ServiceBack


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context where the security protocol asks for one."""
    if "ssl" not in settings.broker_security:
        return None
    return ssl.create_default_context(cafile=settings.broker_ca_file or None)


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client: producer, consumer, admin.

    >>> client_options(Settings(broker="127.0.0.1:9092"))["security_protocol"]
    'PLAINTEXT'
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.broker.split(","),
        "security_protocol": settings.broker_security.upper(),
        "ssl_context": ssl_context(settings),
    }
    if "sasl" in settings.broker_security:
        options |= {
            "sasl_mechanism": settings.broker_sasl_mechanism.upper(),
            "sasl_plain_username": settings.broker_user,
            "sasl_plain_password": settings.broker_password,
        }
    return options


async def wait_for_broker(settings: Settings, *, give_up_after_s: float | None = None) -> None:
    """Return once the broker answers; says so when it does not. Raises `KafkaError` only after `give_up_after_s`."""
    started, tries = time.monotonic(), 0
    while True:
        client = AIOKafkaClient(**client_options(settings), client_id="stream-detector")
        try:
            await client.bootstrap()
            if tries:
                ServiceBack("Kafka", settings.broker, time.monotonic() - started).emit()
            return
        except (KafkaError, OSError) as error:
            waited = time.monotonic() - started
            if give_up_after_s is not None and waited > give_up_after_s:
                raise
            tries += 1
            retry_in_s = min(10.0, 0.25 * 2**tries) * random.uniform(0.5, 1.0)
            ServiceAway("Kafka", settings.broker, str(error) or type(error).__name__, retry_in_s).emit()
        finally:
            await client.close()
        await asyncio.sleep(retry_in_s)


async def cluster_id(settings: Settings) -> str:
    """The cluster's own id: another one means other offsets."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        described = await admin.describe_cluster()
    finally:
        await admin.close()
    return str(described.get("cluster_id") or "")
