"""Exit 0 if the role in this container is ready. The role is the argument, else that of the container's own command."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

PORTS = {"detector": 9101, "recorder": 9102, "notifier": 9103, "api": 9104}


def main() -> None:
    """Ask /readyz; a role that is not ready says why on stdout, where the engine keeps it."""
    words = sys.argv[1:2] or Path("/proc/1/cmdline").read_text("utf-8").split("\0")
    role = next((word for word in words if word in PORTS), None)
    if role is None:
        sys.exit(f"no role among {words}; roles are {', '.join(PORTS)}")
    try:
        port = int(sys.argv[2]) if len(sys.argv) > 2 else PORTS[role]
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4).close()
    except urllib.error.HTTPError as error:
        sys.exit(f"{role} is not ready: {error.read().decode(errors='replace').strip()}")
    except OSError as error:
        sys.exit(f"{role} does not answer: {error}")


main()
