"""The variables that tell `run` where to report. No settings: they belong to a job, not to an installation."""

import os
from collections.abc import Mapping
from pathlib import Path

URL, KEY = "STREAM_DETECTOR_PING_URL", "STREAM_DETECTOR_PING_KEY"


def read_variable(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The variable, or the text of the file that `<name>_FILE` names; "" where neither is set.

    Raises `OSError` or `UnicodeError` where the file cannot be read.
    """
    path = environ.get(f"{name}_FILE", "")
    return environ.get(name) or (Path(path).read_text("utf-8") if path else "")
