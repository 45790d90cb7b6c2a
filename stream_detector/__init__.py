"""Detects anomalies in workflow executions and scores from events on Kafka, with the evidence for each."""

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

__version__ = "0.1.0"

_COMPILED = [
    os.path.join(os.path.dirname(__file__), *package)
    for package in (
        *(("detect",), ("detect", "rules"), ("detect", "statistics"), ("detect", "statistics", "schedule")),
        *(("detect", "codec"), ("events",)),
    )
]


def _sources_alone(path: str) -> FileFinder:
    """Finds no compiled module (compile_detection.py), for debugging and for tests of the sources."""
    if path not in _COMPILED:
        raise ImportError
    return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))


if os.environ.get("STREAM_DETECTOR_PURE", "").lower() not in ("", "0", "false"):
    sys.path_hooks.insert(0, _sources_alone)
