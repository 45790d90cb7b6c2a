"""JUnit XML: one test suite is one execution, its test cases are the steps.

Sources: the schemas of Ant's JUnit task (`JUnit.xsd`, windyroad/JUnit-Schema) and of Jenkins' JUnit plugin
(`junit-10.xsd`), and what pytest, Surefire, Gradle and Jest write. `time` is seconds. A suite has no id: its name and
`timestamp`, which is its start, identify it, so a report that is sent again counts once.

The schemas forbid a zone in `timestamp`, and Ant writes UTC; so a time without a zone is UTC, unless the person who
sends the report names another. A document that declares
a type or entities is refused unread: no report needs them, and they are how XML grows in memory or reads files.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from xml.parsers import expat

from stream_detector.events.completion import Completion, Status, Step
from stream_detector.events.refused import RefusedError
from stream_detector.events.sources.details import Details, parse_instant
from stream_detector.events.sources.document import execution, named_texts, outcome, step
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

STATUS: dict[str, Status] = {
    "failure": "failure",
    "error": "error",
    "skipped": "skip",
}
"""The element in a test case -> the step's status; one without any of them is a success. A suite is a failure if a case
failed or has an error, and skipped if none ran."""

_ADVICE = "send a report with the root testsuites or testsuite, whose suites have a name and a timestamp"
_MOST_DEPTH = 128
_WITH_TEXT = ("failure", "error")
_MOST_TEXT, _MOST_MESSAGE = 1_500, 500
"""Characters of a failed case: of its trace from the end, of its message from the beginning."""
_MOST_SECONDS = 1e9


class _Suite:
    """A suite while it is read. Suites may contain suites; those without cases of their own are no execution."""

    def __init__(self, attributes: dict[str, str], outer: "_Suite | None") -> None:
        self.name: str = attributes.get("name", "").strip() or (outer.name if outer else "")
        self.timestamp: str = attributes.get("timestamp", "").strip() or (outer.timestamp if outer else "")
        self.host = attributes.get("hostname", "").strip()
        self.duration_s = _seconds(attributes.get("time", ""))
        self.steps: list[Step] = []
        self.failures: list[tuple[str, str]] = []
        """The names of the cases that failed, with what the report has of each."""
        self.begins = self.ends = 0
        """Where its element is in the document."""


class _Reader:
    """Follows the elements of one document. Text is asked for only where a case failed."""

    def __init__(self, details: Details, encoding: str | None) -> None:
        self.details = details
        self.suites: list[_Suite] = []
        self._open: list[_Suite] = []
        self._case: dict[str, str] | None = None
        self._outcome: Status = "success"
        self._message, self._text = "", ""
        self._depth = 0
        self._parser = parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = self._refuse_declaration

    def parse(self, payload: bytes) -> None:
        """Read the whole document. Raises `RefusedError`, and what expat and codecs raise."""
        self._parser.Parse(payload, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise RefusedError("decode", "too_deep", f"nested more than {_MOST_DEPTH} levels deep; {_ADVICE}")
        if self._depth == 1 and tag not in ("testsuites", "testsuite"):
            raise self.details.refusal("unsupported_format", "the root element", "is not testsuites or testsuite")
        if tag == "testcase":
            self._case, self._outcome = attributes, "success"
        elif tag in ("testsuite", "testsuites"):
            self._open.append(_Suite(attributes, self._open[-1] if self._open else None))
            self._open[-1].begins = self._parser.CurrentByteIndex
            self.suites.append(self._open[-1])
        elif tag in STATUS and self._case is not None and self._outcome == "success":
            self._outcome = STATUS[tag]
            if tag != "skipped":
                self._message, self._text = attributes.get("message", ""), ""
                self._parser.CharacterDataHandler = self._add_text

    def _add_text(self, piece: str) -> None:
        self._text = (self._text + piece)[-_MOST_TEXT:]

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if tag == "testcase":
            if self._case is not None:
                self._end_case(self._case)
                self._case = None
        elif tag in ("testsuite", "testsuites"):
            self._open.pop().ends = self._parser.CurrentByteIndex
        elif tag in STATUS:
            self._parser.CharacterDataHandler = None

    def _end_case(self, case: dict[str, str]) -> None:
        group, name = case.get("classname", "").strip(), case.get("name", "").strip()
        shown = f"{group}: {name}" if group else name or "test case"
        suite = self._open[-1]
        suite.steps.append(step(shown, self._outcome, _seconds(case.get("time", ""))))
        if self._outcome in _WITH_TEXT and (found := self._failure()):
            suite.failures.append((shown, found))

    def _failure(self) -> str:
        """The end of the trace, then the message, which most reports repeat at its beginning."""
        trace, message = self._text.strip(), self._message.strip()[:_MOST_MESSAGE]
        return "\n".join(part for part in (trace, message if message not in trace else "") if part)

    def _refuse_declaration(self, *_: object) -> None:
        raise RefusedError(
            "decode", "unsupported_format", f"XML with a document type or entities is not read; {_ADVICE}"
        )


def read(payload: bytes, zone: tzinfo = UTC) -> Reading:
    """The suites that have cases; of a report without any why there is none. Raises `RefusedError`.

    Args:
        zone: of times without one.
    """
    details = Details(_ADVICE)
    reader = _Reader(details, "utf-8" if _is_utf8(payload) else None)
    try:
        reader.parse(payload)
    except RefusedError:
        raise
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise RefusedError("decode", "unsupported_format", f"not XML: {reason}; {_ADVICE}") from None
    except (LookupError, ValueError):  # what Python's codecs raise for the encoding that the document declares
        raise RefusedError("decode", "not_utf8", f"XML in an encoding that is not read; {_ADVICE}") from None
    seen: dict[str, int] = {}
    suites = (each for each in reader.suites if each.steps)
    events, refused = read_entries(
        suites, lambda suite: [_event(suite, seen, details, zone)], lambda suite: _alone(payload, suite)
    )
    return reading_of(events, refused, "the report has no test case", details.left_out)


def _is_utf8(payload: bytes) -> bool:
    """Whether it is UTF-8, whatever it declares: a file in UTF-16 or read with `--encoding` is UTF-8 by now."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in payload[:4]


def _alone(payload: bytes, suite: _Suite) -> bytes:
    """The element of the suite: a report of its own."""
    return payload[suite.begins : payload.find(b">", suite.ends) + 1]


def _event(suite: _Suite, seen: dict[str, int], details: Details, zone: tzinfo) -> Completion:
    name = details.needed_text("testsuite/@name", suite.name)
    written = details.needed_text("testsuite/@timestamp", suite.timestamp)
    started_at = _instant(written, zone)
    if started_at is None:
        raise details.refusal("bad_time", "testsuite/@timestamp", "is not a time such as 2026-01-22T00:05:00")
    run = f"junit:{name}@{started_at.isoformat()}" + (f"@{suite.host}" if suite.host else "")
    seen[run] = seen.get(run, 0) + 1
    return execution(
        run=run if seen[run] == 1 else f"{run}#{seen[run]}",
        workflow=f"junit:{name}",
        name=name,
        status=outcome(each.status for each in suite.steps),
        ended_at=started_at + timedelta(seconds=suite.duration_s or 0),
        duration_s=suite.duration_s,
        steps=suite.steps,
        labels={"host": suite.host},
        output=named_texts(suite.failures),
    )


def _instant(written: str, zone: tzinfo) -> datetime | None:
    """The time in UTC."""
    found = parse_instant(written)
    if found is not None:
        return found
    try:
        naive = datetime.fromisoformat(written)
    except ValueError:
        return None
    return parse_instant(naive.replace(tzinfo=zone).isoformat()) if naive.tzinfo is None else None


def _seconds(written: str) -> float | None:
    """`1,234.567` is how Surefire writes it; 0 and what is no number are not recorded."""
    try:
        found = float(written.replace(",", "") if "," in written else written)
    except ValueError:
        return None
    return found if 0 < found <= _MOST_SECONDS else None


def _recognises(_: Fields) -> bool:
    return False


def _recognises_text(value: bytes) -> bool:
    start = value[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and b"<testsuite" in start


SOURCE: Source = Source(
    name="junit",
    title="JUnit XML",
    recognises=_recognises,
    recognises_text=_recognises_text,
    read=read,
    read_in_zone=read,
    becomes="each test suite of a report becomes an execution with its test cases as steps; of more than 1,000 those "
    "that failed and the longest; a suite without a timestamp cannot be identified",
    statuses=STATUS,
    places=Places(id="", workflow="", status="", finished=""),
    needed=(),
    webhook=Webhook(
        setting="junit_webhook_token",
        verification=authorization(
            advice="send the value of STREAM_DETECTOR_JUNIT_WEBHOOK_TOKEN as Authorization: Bearer"
        ),
        content_types=("application/xml", "text/xml"),
        description="A JUnit XML report: each test suite becomes an execution.",
    ),
)
