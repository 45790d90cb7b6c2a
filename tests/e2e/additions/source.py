"""Acme: a service whose webhook says that a job has finished."""

from tests.e2e.additions.addition import Addition

FORMAT = '''"""Acme's webhook: one finished job is one execution."""

from datetime import datetime

import msgspec

from stream_detector.events.completion import Completion
from stream_detector.events.reasons import refusal_for
from stream_detector.events.sources.source import Places, Reading, Source, Webhook, has_fields
from stream_detector.events.sources.verification import hmac_sha256


class _Job(msgspec.Struct):
    acme_job: str
    run: int
    attempt: int
    ok: bool
    began: datetime
    ended: datetime


def read(payload: bytes) -> Reading:
    """The job's execution. Raises `RefusedError`."""
    try:
        job = msgspec.json.decode(payload, type=_Job)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refusal_for(error, payload) from None
    execution = Completion(
        execution_id=f"acme:{job.run}",
        workflow_id=f"acme:{job.acme_job}",
        status="success" if job.ok else "failure",
        started_at=job.began,
        finished_at=job.ended,
        attempt=job.attempt,
    )
    return Reading([execution])


SOURCE: Source = Source(
    name="acme",
    title="Acme",
    recognises=has_fields("acme_job", "run"),
    read=read,
    becomes="a finished job becomes an execution",
    places=Places(
        id="run", workflow="acme_job", status="ok", finished="ended", started="began", attempt="attempt"
    ),
    needed=("acme_job", "run", "attempt", "ok", "began", "ended"),
    webhook=Webhook(
        setting="acme_webhook_secret",
        verification=hmac_sha256("X-Acme-Signature", advice="enter the secret in the webhook's settings"),
        event_header="X-Acme-Event",
        events=("job",),
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
            ("import (\n    airflow,", "import (\n    acme,\n    airflow,"),
            ("        gitlab.SOURCE,\n", "        gitlab.SOURCE,\n        acme.SOURCE,\n"),
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
