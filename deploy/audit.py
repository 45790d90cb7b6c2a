"""Known vulnerabilities of the packages that the lock files name, by pip-audit.

python deploy/audit.py LOCK... . Exit code 0: none is known; 1: some are, each is printed; 3: not checked, because the
database of advisories gave no answer, which is printed too and is no "none".
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NOT_CHECKED = 3
TIMEOUT_S = 300


def check(lock: str, command: Sequence[str]) -> tuple[int, list[str]]:
    """The exit code for one lock file, and what to print."""
    try:
        done = subprocess.run([*command, lock], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        found = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return NOT_CHECKED, [f"{lock}: not checked: no answer within {TIMEOUT_S} s"]
    except (ValueError, KeyError):
        why = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        return NOT_CHECKED, [f"{lock}: not checked: {why[-1].strip()[:300]}"]
    lines = [
        f"{lock}: {package['name']} {package['version']}: {one['id']}"
        + (f", fixed in {', '.join(one['fix_versions'])}" if one.get("fix_versions") else "")
        for package in found
        for one in package.get("vulns", [])
    ]
    skipped = [
        f"{lock}: {each['name']} not checked: {each['skip_reason']}" for each in found if each.get("skip_reason")
    ]
    if len(skipped) == len(found):
        return NOT_CHECKED, [f"{lock}: not checked: no advisory database answered for any of its {len(found)} packages"]
    if lines:
        return 1, lines + skipped
    if skipped:
        return NOT_CHECKED, skipped
    return 0, [f"{lock}: {len(found)} packages, no known vulnerability"]


def main() -> int:
    """See above."""
    program = Path(sys.executable).with_name("pip-audit")
    command = [str(program), "--format", "json", "--progress-spinner", "off", "--require-hashes", "--disable-pip", "-r"]
    codes = []
    for lock in sys.argv[1:]:
        code, lines = check(lock, command)
        print("\n".join(lines), file=sys.stderr if code else sys.stdout)
        codes.append(code)
    return 1 if 1 in codes else max(codes, default=NOT_CHECKED)


if __name__ == "__main__":
    sys.exit(main())
