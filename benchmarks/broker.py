"""A broker for the measured runs, and which cores it and the measured worker get."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from stream_detector.devstack.apache import Apache
from stream_detector.devstack.tansu import Tansu


@cache
def split_cores() -> tuple[set[int] | None, set[int] | None]:
    """The worker's core and all others; nothing where there is one core or cores cannot be chosen.

    To be asked before `new_broker`, within which this process keeps to the others.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (None, None)


@contextmanager
def new_broker(kind: str, folder: Path, *, jars: Path | None, cores: set[int] | None) -> Iterator[str]:
    """The address of a new broker (`apache` or `embedded`) on these cores; it ends afterwards."""
    before = os.sched_getaffinity(0) if cores else set()
    if cores:
        os.sched_setaffinity(0, cores)  # what we start inherits it, and the load generator keeps to it
    try:
        start = Apache.start(folder, jars=jars) if kind == "apache" else Tansu.start(folder)
        with start as running:
            yield running.address
    finally:
        if before:
            os.sched_setaffinity(0, before)
