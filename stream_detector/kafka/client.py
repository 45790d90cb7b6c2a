"""How to reach the broker: one place for addresses, TLS and SASL, and the first wait until it answers."""

import asyncio
import random
import ssl
import time
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from stream_detector.kafka.aiokafka_patches import read_past_bad_records
from stream_detector.settings import PREFIX, Settings, SettingsError
from stream_detector.telemetry.log_events import ServiceRecovered, ServiceUnavailable


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context where the security protocol asks for one. Raises `SettingsError` where the CA cannot be read."""
    if "ssl" not in settings.broker_security:
        return None
    path = settings.broker_ca_file
    try:
        return ssl.create_default_context(cafile=path or None)
    except OSError as error:
        raise SettingsError(f"{PREFIX}BROKER_CA_FILE", repr(path), f"cannot be read as PEM: {error}") from None


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client: producer, consumer, admin.

    >>> client_options(Settings(broker="127.0.0.1:9092"))["security_protocol"]
    'PLAINTEXT'
    """
    read_past_bad_records()  # here, since every reader comes by: commands too have to read what roles can
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
        try:
            await _ask(settings)
        except (KafkaError, OSError) as error:  # ssl.SSLError is an OSError
            waited, why = time.monotonic() - started, _describe_connection_error(error, settings)
            if give_up_after_s is not None and waited >= give_up_after_s:
                raise KafkaConnectionError(f"{settings.broker}: {why}") from error
        else:
            if tries:
                ServiceRecovered("Kafka", settings.broker, time.monotonic() - started).emit()
            return
        tries += 1
        retry_in_s = min(10.0, 0.25 * 2**tries) * random.uniform(0.5, 1.0)
        ServiceUnavailable("Kafka", settings.broker, why, retry_in_s).emit()
        await asyncio.sleep(retry_in_s)


async def _ask(settings: Settings) -> None:
    """Return if one of the addresses answers; else raise what the last one said, which aiokafka's client only logs."""
    options = client_options(settings)
    failed: Exception = KafkaConnectionError("has no address")
    for address in options.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        connection = None
        try:
            connection = await create_conn(host.strip("[]"), int(port), client_id="stream-detector", **options)
            await connection.send(MetadataRequest([]))
            return
        except (KafkaError, OSError) as error:
            failed = error
        finally:
            if connection is not None:
                connection.close()
    raise failed


def _describe_connection_error(error: Exception, settings: Settings) -> str:
    """What is wrong, and which setting to look at."""
    if isinstance(error, UnsupportedSaslMechanismError):
        word = settings.broker_sasl_mechanism
        return f"the broker does not offer {word}: set STREAM_DETECTOR_BROKER_SASL_MECHANISM to one that it does"
    if isinstance(error, SaslAuthenticationFailed):
        return (
            f"the broker rejects user {settings.broker_user or '(none)'} or its password: check "
            f"STREAM_DETECTOR_BROKER_USER and STREAM_DETECTOR_BROKER_PASSWORD ({settings.broker_sasl_mechanism})"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate cannot be verified ({error.verify_message}): name the CA that signed it in "
            "STREAM_DETECTOR_BROKER_CA_FILE"
        )
    reason = str(error) or type(error).__name__
    if isinstance(error, (ssl.SSLError, ConnectionResetError)) or "closed" in reason:
        return f"{reason}: check STREAM_DETECTOR_BROKER_SECURITY, which is {settings.broker_security}"
    return reason


async def cluster_id(settings: Settings) -> str:
    """The cluster's own id: another one means other offsets."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        described = await admin.describe_cluster()
    finally:
        await admin.close()
    return str(described.get("cluster_id") or "")
