"""A role with protections taken out or harms within.

`python -m tests.drills.changed PROTECTION_OR_HARM[,...] ROLE`
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from stream_detector.settings import load
from tests.drills.harms import HARMS
from tests.drills.unprotected import PROTECTIONS


def main() -> int:
    names, role = sys.argv[1:]
    for name in names.split(","):
        (PROTECTIONS | HARMS)[name]()
    run: Callable[[Any], int] = importlib.import_module(f"stream_detector.roles.{role}").run
    return run(load())


if __name__ == "__main__":
    sys.exit(main())
