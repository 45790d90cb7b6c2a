"""Acme: a service whose webhook says that a job has finished."""

from tests.e2e.additions.addition import Addition

FORMAT = '''"""Acme's webhook: one finished job is one execution."""

import hmac
from datetime import datetime
from hashlib import sha256

import msgspec

from stream_detector.events.completion import Completion
from stream_detector.events.reasons import refusal_for
from stream_detector.events.sources.source import Source, Webhook, has_fields


class _Job(msgspec.Struct):
    acme_job: str
    run: int
    attempt: int
    ok: bool
    began: datetime
    ended: datetime


def read(payload: bytes) -> list[Completion]:
    """The job's execution. Raises `RefusedError`."""
    try:
        job = msgspec.json.decode(payload, type=_Job)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refusal_for(error, payload) from None
    return [
        Completion(
            execution_id=f"acme:{job.run}",
            workflow_id=f"acme:{job.acme_job}",
            status="success" if job.ok else "failure",
            started_at=job.began,
            finished_at=job.ended,
            attempt=job.attempt,
        )
    ]


def is_authentic(secret: str, given: str, body: bytes) -> bool:
    """Whether the header is the body's HMAC-SHA256."""
    expected = hmac.new(secret.encode(), body, sha256).hexdigest()
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


SOURCE = Source(
    name="acme",
    title="Acme",
    recognises=has_fields("acme_job", "run"),
    read=read,
    becomes="a finished job becomes an execution",
    webhook=Webhook(
        setting="acme_webhook_secret",
        signature_header="X-Acme-Signature",
        is_authentic=is_authentic,
        event_header=("X-Acme-Event", "job"),
        description="Acme's webhook: a finished job becomes an execution.",
    ),
)
'''

ACME = Addition(
    heading="Add a source",
    at_most=3,
    words={"source": "acme"},
    new={"events/sources/acme.py": FORMAT},
    changed={
        "events/sources/__init__.py": (
            ("import cloudevents, confluent, github, gitlab", "import acme, cloudevents, confluent, github, gitlab"),
            ("(github.SOURCE, gitlab.SOURCE)", "(github.SOURCE, gitlab.SOURCE, acme.SOURCE)"),
        ),
        "settings.py": (
            (
                "    gitlab_webhook_token: str = ",
                """    acme_webhook_secret: str = setting("", _text, "Acme's secret", secret=True, group="API")
    gitlab_webhook_token: str = """,
            ),
        ),
    },
)
