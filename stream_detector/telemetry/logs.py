"""Where happenings go: one line each on stderr, as text or JSON."""

import json
import logging
import sys
import time


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)), "level": record.levelname.lower()}
        line |= {"happening": getattr(record, "happening", record.name), "message": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line | getattr(record, "fields", {}), default=str, ensure_ascii=False)


def start_logging(role: str, *, form: str = "text", level: str = "info") -> None:
    """Send our happenings, and what libraries warn of, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter(f"%(asctime)s {role:<8} %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("stream_detector").setLevel(level.upper())
