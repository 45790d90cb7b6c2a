"""A terminal between a command and ours, so that the command finds one where it would without us.

Only its outputs are connected to it. Its standard input, its controlling terminal and its process group stay what they
are, so job control, Ctrl-C, passwords and what is typed ahead are between the command and the real terminal alone.

What is written passes unchanged (no output processing here), so the real terminal treats it as it treats everything. A
command that changes the settings of a terminal through its output, as full-screen programs do, changes those of ours:
they are passed on with what is written next, and are as before when the command has ended.
"""

import fcntl
import os
import termios
from contextlib import suppress
from typing import Any

_OUTPUT_FLAGS = 1
"""The place of the output flags in what `tcgetattr` gives."""
_SIZE_BYTES = 8


class OutputTerminal:
    """A pseudo-terminal for what is written to the terminal `target`.

    Attributes:
        reader: where what was written is read.
        writer: for the command; `close_writer` once it has it.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._real = termios.tcgetattr(target)
        self.reader, self.writer = os.openpty()
        own = list(self._real)
        own[_OUTPUT_FLAGS] &= ~termios.OPOST
        termios.tcsetattr(self.writer, termios.TCSANOW, own)
        self._first = self._seen = termios.tcgetattr(self.writer)
        self.follow_size()

    def close_writer(self) -> None:
        """The command has it: what is written ends when the last of its processes does."""
        os.close(self.writer)

    def follow_size(self) -> None:
        """Have the size of the real terminal."""
        with suppress(OSError):
            size = fcntl.ioctl(self._target, termios.TIOCGWINSZ, bytes(_SIZE_BYTES))
            fcntl.ioctl(self.reader, termios.TIOCSWINSZ, size)

    def follow(self) -> None:
        """Give the real terminal the settings that the command has made since the last time; have its size.

        A shell that the command starts is told of a new size instead of us.
        """
        self.follow_size()
        with suppress(OSError, termios.error):
            settings = termios.tcgetattr(self.reader)
            if settings == self._seen:
                return
            self._seen = settings
            self._set(self._real if settings == self._first else settings)

    def restore(self) -> None:
        """Give the real terminal its own settings back, if they were changed here."""
        with suppress(OSError, termios.error):
            if self._seen != self._first:
                self._seen = self._first
                self._set(self._real)

    def _set(self, settings: list[Any]) -> None:
        if os.tcgetpgrp(self._target) == os.getpgrp():  # in the background it would stop us
            termios.tcsetattr(self._target, termios.TCSADRAIN, settings)


def output_terminals() -> dict[int, OutputTerminal]:
    """By file descriptor: one for standard output and one for standard error, where each is a terminal.

    One for both where both are the same, so that what is written to them keeps its order.
    """
    found: dict[int, OutputTerminal] = {}
    for target in (1, 2):
        if os.isatty(target):
            with suppress(OSError, termios.error):
                is_same = 1 in found and os.fstat(1).st_rdev == os.fstat(target).st_rdev
                found[target] = found[1] if is_same else OutputTerminal(target)
    return found
