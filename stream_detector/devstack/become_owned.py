"""Run as a script, by `owned.py` alone: become another program that dies with the process that started it.

Arguments: the parent's pid, the death signal, a uid, a gid (both -1 to stay who we are), then the command. A script
instead of code between fork and exec, because the parent may have threads whose locks a forked copy never gets back.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Replace this process by the command. Exits with 126 where that cannot be done."""
    parent, death_signal, uid, gid = map(int, sys.argv[1:5])
    command = sys.argv[5:]
    # 1. First the user: the kernel forgets the death signal when the credentials change (man 2 prctl).
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # 2. Then the death signal. It outlives exec of a program that is not setuid.
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            sys.exit(f"cannot make {command[0]} exit together with its parent: {os.strerror(ctypes.get_errno())}")
    # 3. Then whether the parent lives: had it died before step 2, nobody would ever send the signal.
    if os.getppid() != parent:
        os._exit(126)
    try:
        os.execv(command[0], command)
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(126)


if __name__ == "__main__":
    main()
