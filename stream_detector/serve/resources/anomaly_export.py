"""Every anomaly that matches, as one file: CSV for a spreadsheet, JSON for a program."""

import csv
import io
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from aiohttp import web

from stream_detector.serve.app_keys import DATABASE
from stream_detector.serve.requests import read_query
from stream_detector.serve.resources.anomalies import AnomalyFilter, to_filter
from stream_detector.store import anomalies
from stream_detector.store.paging import Page


class ExportQuery(AnomalyFilter, kw_only=True):
    """Export matching anomalies as a file."""

    format: Literal["csv", "json"] = "json"


COLUMNS = (
    "id", "detected_at", "anomaly_type", "severity", "state", "entity_kind", "entity_id", "entity_name",
    "description", "current_value", "baseline_value", "deviation", "z_score", "unit", "direction", "threshold",
    "execution_id", "attempt", "run_id", "incident_id", "recorded_at",
    "confidence", "variant",
)  # fmt: skip

_CHUNK = 1_000

_STARTS_A_FORMULA = ("=", "+", "-", "@")
"""In compatibility form (NFKC), so in full width, small or raised, too: some spreadsheets read those alike."""


async def export_anomalies(request: web.Request) -> web.StreamResponse:
    """All matching anomalies, newest first, streamed with constant memory."""
    query = read_query(request, ExportQuery)
    wanted = to_filter(query, datetime.now(UTC))
    database = request.app[DATABASE]
    # The first page is read before the response begins, so that a database that is away is still a 503.
    page = await database.query(anomalies.find, wanted, limit=_CHUNK)
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="anomalies.{query.format}"'})
    response.content_type = {"csv": "text/csv", "json": "application/json"}[query.format]
    response.charset = "utf-8"
    response.enable_compression()
    await response.prepare(request)
    write = _csv if query.format == "csv" else _json

    async def pages() -> AsyncIterator[Page]:
        current = page
        yield current
        while current.next is not None:
            current = await database.query(anomalies.find, wanted, limit=_CHUNK, cursor=current.next)
            yield current

    async for written in write(pages()):
        await response.write(written)
    await response.write_eof()
    return response


async def _json(pages: AsyncIterator[Page]) -> AsyncIterator[bytes]:
    before = b"["
    async for page in pages:
        if page.items:
            yield before + b",\n".join(page.items)
            before = b",\n"
    yield b"]\n" if before != b"[" else b"[]\n"


async def _csv(pages: AsyncIterator[Page]) -> AsyncIterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    async for page in pages:
        for item in page.items:
            found = msgspec.json.decode(item)
            values = found["metrics"] | found
            writer.writerow([cell(values.get(column)) for column in COLUMNS])
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def cell(value: Any) -> Any:
    """The value as a spreadsheet may have it: text that it would run as a formula is quoted; a number stays one.

    >>> cell("=HYPERLINK(1)"), cell("plain"), cell(-1.7), cell(None)
    ("'=HYPERLINK(1)", 'plain', -1.7, '')
    """
    if value is None:
        return ""
    if isinstance(value, str) and _is_formula(value):
        return "'" + value
    return value


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet may run it: what it does not show before the first mark counts as nothing."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    for character in text:
        if character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Zs"):
            continue
        return unicodedata.normalize("NFKC", character).startswith(_STARTS_A_FORMULA)
    return False
