"""Where log events go: one line each on stderr, as text or JSON."""

import json
import logging
import sys
import time


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # What a log event is about stays in `fields`: one of its fields may be called `message` or `level`.
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line: dict[str, object] = {"at": at, "level": record.levelname.lower()}
        event = getattr(record, "event", record.name)
        line |= {"event": event, "message": record.getMessage()}
        line["happening"] = getattr(record, "former_name", "") or event  # its former key, for one release
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        line["fields"] = getattr(record, "fields", {})
        return json.dumps(line, default=str, ensure_ascii=False)


class _Text(logging.Formatter):
    """UTC, one line: a library's message that quotes an event cannot forge a second line."""

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def start_logging(role: str, *, form: str = "text", level: str = "info") -> None:
    """Send our log events, and what libraries warn of, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    text = _Text(f"%(asctime)s {role:<8} %(levelname)-7s %(message)s", "%H:%M:%SZ")
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("stream_detector").setLevel(level.upper())
