"""OpenTelemetry: one span of a pipeline run is one execution, the spans of its tasks are the steps.

Sources: OTLP's JSON encoding (`ExportTraceServiceRequest`: `resourceSpans`), and the semantic conventions "CICD spans",
whose `cicd.pipeline.result` has the values of our own statuses; `skipped` and `cancelled` are those of older versions.
Times are nanoseconds. Trace and span id are the event's id. Tasks are steps where the same request has them.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from stream_detector.events.completion import Completion, Status, Step
from stream_detector.events.sources.details import parse_epoch_ms
from stream_detector.events.sources.document import Document, execution, read_document, seconds_between, step
from stream_detector.events.sources.source import (
    Fields,
    Places,
    Reading,
    Source,
    Webhook,
    read_entries,
    reading_of,
)
from stream_detector.events.sources.verification import authorization
from stream_detector.events.variant import TAG

STATUS: dict[str, Status] = {
    "success": "success",
    "failure": "failure",
    "error": "error",
    "timeout": "timeout",
    "cancellation": "cancellation",
    "cancelled": "cancellation",
    "skip": "skip",
    "skipped": "skip",
}
"""`cicd.pipeline.result` or `cicd.pipeline.task.run.result` -> our status."""

_ADVICE = "send the spans of pipeline runs as OTLP in JSON, with cicd.pipeline.name and cicd.pipeline.result"
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_LATEST_NS = 2e19
_RESULT, _TASK_RESULT = "cicd.pipeline.result", "cicd.pipeline.task.run.result"


def read(payload: bytes) -> Reading:
    """The pipeline runs among the spans; of a request without any why there is none. Raises `RefusedError`."""
    document = read_document(payload, _ADVICE)
    if "resourceSpans" not in document.root:
        raise document.details.refusal("missing_field", "$.resourceSpans", "is missing")
    tasks: dict[str, list[Step]] = defaultdict(list)
    runs: list[tuple[Document, dict[str, str]]] = []
    for span, attributes in _spans(document):
        if _RESULT in attributes:
            runs.append((span, attributes))
        elif "cicd.pipeline.task.name" in attributes:
            status = STATUS.get(attributes.get(_TASK_RESULT, ""))
            tasks[_hex(span.text("traceId") or "", _TRACE_BYTES)].append(
                step(attributes["cicd.pipeline.task.name"], status, _seconds(span))
            )
    events, refused = read_entries(runs, lambda run: [_event(*run, tasks)], lambda run: _alone(*run))
    return reading_of(events, refused, f"no span has {_RESULT}", document.details.left_out)


def _alone(span: Document, attributes: dict[str, str]) -> bytes:
    """A request with this span, whose resource has all of its attributes that are text."""
    given = [{"key": name, "value": {"stringValue": text}} for name, text in attributes.items()]
    scopes = [{"spans": [span.root]}]
    return msgspec.json.encode({"resourceSpans": [{"resource": {"attributes": given}, "scopeSpans": scopes}]})


def _event(span: Document, attributes: dict[str, str], tasks: dict[str, list[Step]]) -> Completion:
    trace = _hex(span.needed_text("traceId"), _TRACE_BYTES)
    name = attributes.get("cicd.pipeline.name") or ""
    if not name:
        raise span.details.refusal("missing_field", "cicd.pipeline.name", "is missing")
    status = span.details.needed_status(_RESULT, attributes[_RESULT], STATUS)
    ended_at = _moment(span, "endTimeUnixNano")
    if ended_at is None:
        raise span.details.refusal("bad_time", "$.resourceSpans[...].endTimeUnixNano", "is not a time in nanoseconds")
    service = attributes.get("service.name") or ""
    is_tag = attributes.get("vcs.ref.head.type") == "tag" or attributes.get("vcs.ref.type") == "tag"
    ref = attributes.get("vcs.ref.head.name")
    return execution(
        run=f"otel:{trace}:{_hex(span.needed_text('spanId'), _SPAN_BYTES)}",
        workflow=f"otel:{service}:{name}" if service else f"otel:{name}",
        name=name,
        status=status,
        ended_at=ended_at,
        started_at=_moment(span, "startTimeUnixNano"),
        steps=tasks[trace],
        labels={
            "repository": attributes.get("vcs.repository.url.full"),
            "branch": None if is_tag else ref,
            "tag": ref if is_tag else None,
            "commit": attributes.get("vcs.ref.head.revision"),
            "service": service,
        },
        url=attributes.get("cicd.pipeline.run.url.full"),
        variant=TAG if is_tag else None,
        output=span.output("status.message"),
    )


def _spans(document: Document) -> Iterator[tuple[Document, dict[str, str]]]:
    """Each span with its attributes and, where it has none of that name, its resource's."""
    for resource in document.parts("resourceSpans"):
        common = _attributes(resource.part("resource"))
        for scope in resource.parts("scopeSpans"):
            for span in scope.parts("spans"):
                yield span, common | _attributes(span)


def _attributes(owner: Document) -> dict[str, str]:
    """Those that are text, by name. What is odd among them is not noted: most spans are of something else."""
    found: dict[str, str] = {}
    given = owner.root.get("attributes")
    for each in given if isinstance(given, list) else ():
        if isinstance(each, dict) and isinstance(value := each.get("value"), dict):
            name, text = each.get("key"), value.get("stringValue")
            if isinstance(name, str) and isinstance(text, str) and text and "\0" not in text:
                found[name] = text
    return found


def _hex(text: str, size: int) -> str:
    """An id of so many bytes in the form of OTLP's JSON; Protobuf's own JSON has it as base64. Others stay."""
    with suppress(ValueError):
        if len(text) == 2 * size:
            return bytes.fromhex(text).hex()
        found = b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        if len(found) == size:
            return found.hex()
    return text


def _moment(span: Document, name: str) -> datetime | None:
    """OTLP writes 64-bit numbers as text; some exporters write numbers."""
    given = span.value(name)
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 21:
        given = int(given)
    if isinstance(given, float) and 0 < given < _LATEST_NS:
        given = int(given)  # exact to less than a microsecond
    if not isinstance(given, int) or isinstance(given, bool):
        return None
    at = parse_epoch_ms(given // 1_000_000)
    return at + timedelta(microseconds=given // 1000 % 1000) if at else None


def _seconds(span: Document) -> float | None:
    return seconds_between(_moment(span, "startTimeUnixNano"), _moment(span, "endTimeUnixNano"))


def _recognises(fields: Fields) -> bool:
    return "resourceSpans" in fields


SOURCE: Source = Source(
    name="otel",
    title="OpenTelemetry",
    recognises=_recognises,
    read=read,
    becomes="a span with `cicd.pipeline.result` becomes an execution; the spans of its tasks in the same request are "
    "its steps",
    statuses=STATUS,
    places=Places(
        id="resourceSpans.0.scopeSpans.0.spans.0.traceId",
        workflow="resourceSpans.0.resource.attributes.1.value.stringValue",
        status="resourceSpans.0.scopeSpans.0.spans.0.attributes.0.value.stringValue",
        started="resourceSpans.0.scopeSpans.0.spans.0.startTimeUnixNano",
        finished="resourceSpans.0.scopeSpans.0.spans.0.endTimeUnixNano",
    ),
    needed=(
        "resourceSpans.0.resource.attributes",
        "resourceSpans.0.scopeSpans.0.spans.0.traceId",
        "resourceSpans.0.scopeSpans.0.spans.0.spanId",
        "resourceSpans.0.scopeSpans.0.spans.0.attributes.0",
        "resourceSpans.0.scopeSpans.0.spans.0.endTimeUnixNano",
    ),
    webhook=Webhook(
        setting="otel_webhook_token",
        verification=authorization(
            advice="send STREAM_DETECTOR_OTEL_WEBHOOK_TOKEN as Authorization: Bearer, a header of the exporter"
        ),
        description="OTLP over HTTP in JSON without compression: spans of pipeline runs become executions; all other "
        "spans are acknowledged and ignored.",
    ),
)
