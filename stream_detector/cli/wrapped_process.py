"""A command run as if nothing stood before it: its output, signals and exit code pass through.

What would differ otherwise, and what holds:

1. Output is passed on as it comes, standard output and standard error each by a thread of its own, and never waits for
   anything but its reader. Where the reader has gone, the command gets SIGPIPE as it would without us.
2. SIGTERM and the other signals that end or notify a program are passed on. SIGINT and SIGQUIT of the terminal reach
   every process in its foreground, so there the command already has them. What we ignore, the command ignores.
3. A command that a signal has ended gives 128 + its number, one that cannot be started 126 or 127, as in a shell.
4. What it leaves in the background keeps its output: `cat` passes that on, and we do not wait for it.
5. Where our output is a terminal, that of the command is one, too (`output_terminal`); otherwise it is a pipe.
"""

import errno
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NamedTuple

from stream_detector.cli.output_terminal import OutputTerminal, output_terminals

FORWARDED = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
_OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_Source = tuple[int, Callable[[], None]]
_PIECE_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024
"""The most that a pipe holds (fcntl(2), pipe-max-size): what is read after the command's end was written before it."""


class Ended(NamedTuple):
    """How a command has ended."""

    code: int
    duration_s: float
    output: bytes
    """The last of it."""


class Tail:
    """The end of an output, from several threads."""

    def __init__(self, keep_bytes: int) -> None:
        self._keep, self._kept, self._lock = keep_bytes, bytearray(), threading.Lock()

    def add(self, piece: bytes) -> None:
        """What was written now."""
        with self._lock:
            self._kept += piece
            del self._kept[: -self._keep]

    def bytes(self) -> bytes:
        """The last of what was added."""
        with self._lock:
            return bytes(self._kept)


class WrappedProcess:
    """One command. `run` may be called once, in the main thread, since Python handles signals there.

    Args:
        words: the command and its arguments.
        tail: gets its output.
        started: called once it runs.
        late_signal: called for a signal that comes when the command has ended.
    """

    def __init__(
        self, words: Sequence[str], tail: Tail, started: Callable[[], None], late_signal: Callable[[], None]
    ) -> None:
        self._words, self._tail, self._started, self._late_signal = list(words), tail, started, late_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []
        self._has_ended = False
        self._terminals: dict[int, OutputTerminal] = {}

    def run(self) -> tuple[int, float]:
        """(Its exit code, when it ended by the monotonic clock). Raises `OSError` where it cannot be started."""
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._forward)
        self._terminals = output_terminals()
        if self._terminals:
            signal.signal(signal.SIGWINCH, self._resize)
        process, sources = self._start()
        self._process = process
        for pending in self._pending:
            _send(process, pending)
        ended, end = os.pipe()
        pumps = [
            threading.Thread(target=_pump, args=(source, target, self._tail, ended, before), daemon=True)
            for target, (source, before) in sources.items()
        ]
        for pump in pumps:
            pump.start()
        self._started()
        code, ended_s = process.wait(), time.monotonic()
        self._has_ended = True
        os.close(end)
        for pump in pumps:
            pump.join()
        for terminal in self._terminals.values():
            terminal.restore()
        return code if code >= 0 else 128 - code, ended_s

    def _start(self) -> "tuple[subprocess.Popen[bytes], dict[int, _Source]]":
        """The process, and by output of ours what is read for it and what is done before each piece is written."""
        given = {target: terminal.writer for target, terminal in self._terminals.items()}
        process = subprocess.Popen(
            self._words, stdout=given.get(1, subprocess.PIPE), stderr=given.get(2, subprocess.PIPE), bufsize=0
        )
        sources: dict[int, _Source] = {}
        for target, pipe in ((1, process.stdout), (2, process.stderr)):
            terminal = self._terminals.get(target)
            if pipe is not None:
                sources[target] = pipe.fileno(), _nothing
            elif terminal is not None and terminal.reader not in {source for source, _ in sources.values()}:
                terminal.close_writer()
                sources[target] = terminal.reader, terminal.follow
        return process, sources

    def _resize(self, number: int, _: FrameType | None) -> None:
        for terminal in self._terminals.values():
            terminal.follow_size()
        if self._process is not None and not self._has_ended:
            _send(self._process, number)  # it has the terminal's own signal; ours comes when the size is known

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self._has_ended:
            self._late_signal()
        elif number in _OF_TERMINAL and _is_in_foreground():
            return
        elif self._process is None:
            self._pending.append(number)
        else:
            _send(self._process, number)


def _send(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(OSError):  # a command that runs as another user
        process.send_signal(number)


def _is_in_foreground() -> bool:
    """Whether we are in the process group to which the terminal sends its signals."""
    with suppress(OSError):
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False


def _pump(source: int, target: int, tail: Tail, ended: int, before: Callable[[], None]) -> None:
    """Pass on what comes, until the end of the output, or until the command has ended and all it wrote is passed on."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(ended, select.POLLIN)
    left: int | None = None
    while left is None or left > 0:
        ready = [fd for fd, _ in poll.poll(0 if left is not None else None)]
        if ended in ready:
            poll.unregister(ended)
            left = _PIPE_BYTES
        elif not ready:
            break
        if source not in ready:
            continue
        piece = _read(source)
        before()
        if not piece:
            return
        tail.add(piece)
        if not _write(target, piece):
            os.close(source)
            return
        left = left - len(piece) if left is not None else None
    with suppress(OSError):
        subprocess.Popen(
            ["cat"], stdin=source, stdout=target, stderr=subprocess.DEVNULL
        )  # not waited for: what is in the background writes on


def _read(source: int) -> bytes:
    """Empty at the end, which a terminal shows as an error."""
    try:
        return os.read(source, _PIECE_BYTES)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _nothing() -> None:
    """Before a piece that goes to a pipe or a file."""


def _write(target: int, piece: bytes) -> bool:
    """False where nobody reads any more."""
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:  # whoever shares the target has made it non-blocking
            select.select([], [target], [])
        except OSError as error:
            return error.errno != errno.EPIPE
    return True


def exit_code_of(error: OSError) -> int:
    """Of a command that cannot be started, as a shell has it: 127 not found, 126 not executable."""
    return 127 if isinstance(error, FileNotFoundError) else 126
