"""The dashboard's own checks, by the Node of the build: types, lint, unit tests. `python -m tests.dashboard_checks`"""

import subprocess
import sys
from pathlib import Path

from hatch_build import install, node, node_folder

DASHBOARD = Path(__file__).parent.parent / "dashboard"


def main() -> int:
    """0 when all are green; their own words are on the screen."""
    npm = node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    try:
        install(DASHBOARD, "vitest")
        node(DASHBOARD, str(npm), "run", "check")
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
