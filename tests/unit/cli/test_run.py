"""`run` with real processes: nothing of the command changes, and no error of the report is the command's."""

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from stream_detector.cli.ping_environment import KEY, URL
from stream_detector.cli.run_command import DURATION
from stream_detector.cli.run_report import NotReportedError, Report, Target, _end_request, _start_request, find_target
from stream_detector.cli.wrapped_process import Ended, Tail
from stream_detector.events import Start
from stream_detector.events.decode import decode_completion

RUN = [sys.executable, "-m", "stream_detector", "run"]
InTerminal = Callable[..., "Terminal"]
PING = "https://watch.example.org/ping/sd_ping_abc"


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Without a running `up` and without settings of the person who tests."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("STREAM_DETECTOR_", "GVS_"))}
    return ours | {"STREAM_DETECTOR_DATA_DIR": str(tmp_path)} | more


@contextmanager
def running(tmp_path: Path, *words: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """`run -- words`; stopped at the end of the test, whatever it found."""
    given: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
    process: Any = subprocess.Popen([*RUN, "--", *words], env=environment(tmp_path), **given)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*RUN, *words], env=environment(tmp_path), capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("kill -INT $$", 130)],
)
def test_x24_the_exit_code_passes_through_and_one_line_says_why_nothing_was_reported(
    tmp_path: Path, script: str, code: int
) -> None:
    done = run(tmp_path, "--", "sh", "-c", f"echo out; echo err >&2; {script}")
    assert (done.returncode, done.stdout) == (code, b"out\n")
    first, second = done.stderr.splitlines()
    assert first == b"err" and second.startswith(b"stream-detector run: the run was not reported: set STREAM_DETECTOR_")


def test_x24_a_command_that_cannot_be_started_gives_127_or_126_as_in_a_shell(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "no-such-command")
    assert done.returncode == 127 and b"no-such-command: No such file" in done.stderr
    (tmp_path / "data").write_text("no program")
    assert run(tmp_path, "--", str(tmp_path / "data")).returncode == 126
    assert run(tmp_path).returncode == 2


def test_x24_options_after_the_command_are_the_commands(tmp_path: Path) -> None:
    done = run(tmp_path, "--workflow", "", "printf", "%s-%s", "--url", "--")
    assert (done.returncode, done.stdout) == (0, b"--url---")


def test_x24_a_setting_that_cannot_be_read_does_not_keep_the_command_from_running(tmp_path: Path) -> None:
    env = environment(tmp_path, STREAM_DETECTOR_API_PORT="nonsense")
    done = subprocess.run(
        [*RUN, "--workflow", "w", "--", "echo", "done"], env=env, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"done\n") and b"STREAM_DETECTOR_API_PORT" in done.stderr


def test_x24_every_byte_of_both_outputs_passes_through(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(data)
    done = run(tmp_path, "--", "sh", "-c", f"cat {tmp_path}/data; cat {tmp_path}/data >&2")
    assert done.stdout == data and done.stderr.startswith(data)


def test_x24_output_is_passed_on_as_it_comes_and_input_reaches_the_command(tmp_path: Path) -> None:
    with running(tmp_path, "sh", "-c", "printf question; printf error >&2; read answer; echo $answer") as process:
        assert process.stdin and process.stdout and process.stderr
        assert process.stdout.read(8) == b"question" and process.stderr.read(5) == b"error"
        process.stdin.write(b"forty-two\n")
        process.stdin.flush()
        assert process.stdout.read() == b"forty-two\n" and process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_x24_a_signal_reaches_the_command_which_decides_what_it_means(tmp_path: Path, number: signal.Signals) -> None:
    script = f"trap 'echo stopped; exit 7' {number.name[3:]}; echo ready; read never"
    with running(tmp_path, "sh", "-c", script, start_new_session=True) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.stdout.read() == b"stopped\n" and process.wait() == 7


def test_x24_a_signal_that_we_ignore_is_ignored_by_the_command(tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with running(tmp_path, "sh", "-c", "echo ready; read line; echo $line", preexec_fn=ignore) as process:
        assert process.stdin and process.stdout and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGHUP)
        process.stdin.write(b"still here\n")
        process.stdin.flush()
        assert process.stdout.read() == b"still here\n" and process.wait() == 0


def test_x24_where_the_reader_has_gone_the_command_ends_as_without_us(tmp_path: Path) -> None:
    with running(tmp_path, "yes") as process:
        assert process.stdout and process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait() == 128 + signal.SIGPIPE
        process.stdout = None


def test_x24_what_the_command_leaves_in_the_background_is_not_waited_for_and_keeps_its_output(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with running(tmp_path, "sh", "-c", f"cat {fifo} & echo early", stderr=subprocess.DEVNULL) as process:
        assert process.stdout and process.stdout.readline() == b"early\n"
        assert process.wait() == 0
        fifo.write_bytes(b"late\n")
        assert process.stdout.read() == b"late\n"


def test_x24_the_command_starts_before_anything_that_only_the_report_needs_is_imported() -> None:
    heavy = {
        "asyncio",
        "msgspec",
        "aiohttp",
        "aiokafka",
        "asyncpg",
        "faust",
        "stream_detector.settings",
        "urllib.request",
    }
    check = f"import sys, stream_detector.cli.run_command; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", check]) == b"[]\n"
    heavy = {"aiohttp", "aiokafka", "asyncpg", "faust"}
    check = (
        "import sys, stream_detector.cli.run_report, stream_detector.events.excerpt, stream_detector.cli.api_client;"
        f" print(sorted({heavy!r} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", check]) == b"[]\n"


def test_x24_the_tail_is_the_last_of_what_came() -> None:
    tail = Tail(10)
    for piece in (b"0123", b"4567", b"", b"89abcdef"):
        tail.add(piece)
    assert tail.bytes() == b"6789abcdef"


@pytest.mark.parametrize(
    ("url", "key", "environ", "found"),
    [
        (PING, "", {}, ("https://watch.example.org", "sd_ping_abc")),
        (f"{PING}/", "", {}, ("https://watch.example.org", "sd_ping_abc")),
        ("", "", {URL: f" {PING}\n"}, ("https://watch.example.org", "sd_ping_abc")),
        ("https://watch.example.org/", "", {KEY: "sd_ping_k"}, ("https://watch.example.org", "sd_ping_k")),
        ("http://[::1]:8080", "sd_ping_k", {URL: PING}, ("http://[::1]:8080", "sd_ping_k")),
        ("https://example.org/watch/ping/k", "", {}, ("https://example.org/watch", "k")),
    ],
)
def test_x24_the_url_may_have_the_key(url: str, key: str, environ: dict[str, str], found: tuple[str, str]) -> None:
    assert find_target("", url, key, environ)[:2] == found


def test_x24_the_url_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(PING + "\n")
    assert find_target("", "", "", {f"{URL}_FILE": str(tmp_path / "url")}).key == "sd_ping_abc"
    with pytest.raises(NotReportedError, match=f"{URL}_FILE cannot be read"):
        find_target("", "", "", {f"{URL}_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("workflow", "url", "key"),
    [("", "", ""), ("", "watch.example.org", "k"), ("", "https://h", "a b"), ("", "ftp://h", "k")],
)
def test_x24_what_cannot_be_used_is_explained_without_the_key(workflow: str, url: str, key: str) -> None:
    with pytest.raises(NotReportedError) as refused:
        find_target(workflow, url, key, {})
    assert "STREAM_DETECTOR_PING" in str(refused.value) and "a b" not in str(refused.value)


def test_x24_an_error_of_the_report_is_one_line_and_a_signal_hurries_it() -> None:
    lines: list[str] = []

    def broken() -> Target:
        raise ZeroDivisionError

    report = Report(broken, lines.append)
    report.start()
    report.hurry()
    report.end(Ended(0, 1.0, b""))
    assert lines == ["the run was not reported: ZeroDivisionError"]


def test_x24_the_end_has_everything_that_a_lost_start_would_have_told() -> None:
    ended = Ended(137, 61.5, b"before\nPASSWORD=hunter2 killed\n")
    url, body, _ = _end_request(Target("https://h", "k"), "id-1", ended)
    assert url == "https://h/ping/k/137?execution_id=id-1&duration_s=61.500"
    assert body == b"before\nPASSWORD=*** killed"
    url, body, headers = _end_request(Target("https://h", token="t", workflow="w"), "id-1", ended)
    assert url == "https://h/api/v1/events" and headers["Authorization"] == "Bearer t"
    assert b'"status": "failure"' in body and b'"duration_s": 61.5' in body and b"hunter2" not in body


def test_x30_a_start_has_the_limit_and_without_a_key_it_is_an_event_with_the_id_of_the_end() -> None:
    at = datetime(2026, 1, 22, tzinfo=UTC)
    url, body, _ = _start_request(Target("https://h", "k"), "id-1", at, None)
    assert (url, body) == ("https://h/ping/k/start?execution_id=id-1", b"")
    assert _start_request(Target("https://h", "k"), "i", at, 90.0)[0].endswith("execution_id=i&limit_s=90.0")
    url, body, headers = _start_request(Target("https://h", token="t", workflow="w"), "id-1", at, 5400.0)
    assert url == "https://h/api/v1/events" and headers["Authorization"] == "Bearer t"
    event = decode_completion(body, (), -1)
    assert isinstance(event, Start) and (event.execution_id, event.workflow_id) == ("id-1", "w")
    assert (event.started_at, event.limit_s) == (at, 5400.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("30m", 1800), ("30min", 1800), ("2d", 172_800)]
)
def test_x30_a_limit_is_a_time_with_its_unit(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["90", "0s", "-1h", "1h30m", "", "h", "1e3s", "9999999999d", "\u0661h"])
def test_x30_another_limit_is_refused_before_the_command_begins(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90s, 30m, 2h or 1d"):
        DURATION.convert(text, None, None)


class Terminal:
    """A terminal with `run -- words` in its foreground.

    Args:
        redirected: descriptors of ours that are no terminal, and what they are instead.
    """

    def __init__(self, tmp_path: Path, *words: str, redirected: dict[int, int] | None = None) -> None:
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            termios.tcsetwinsize(0, (37, 113))
            for target, instead in (redirected or {}).items():
                os.dup2(instead, target)
            os.execve(RUN[0], [*RUN, "--", *words], environment(tmp_path))

    def read_until(self, words: bytes) -> bytes:
        """What was shown since the last time, up to these words."""
        while words not in self.shown:
            self.shown += os.read(self.fd, 65536)
        before, _, self.shown = self.shown.partition(words)
        return before

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.fd)

    def wait(self) -> int:
        """The exit code, once everything is shown."""
        with suppress(OSError):
            while piece := os.read(self.fd, 65536):
                self.shown += piece
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def in_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts terminals; each is closed at the end, which ends what runs in it."""
    opened: list[Terminal] = []

    def start(*words: str, **options: Any) -> Terminal:
        opened.append(Terminal(tmp_path, *words, **options))
        return opened[-1]

    yield start
    for each in opened:
        os.close(each.fd)
        if each.pid:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)


def test_x24_ctrl_c_reaches_a_command_in_the_foreground_of_a_terminal_once(in_terminal: InTerminal) -> None:
    script = "trap 'echo interrupted' INT; echo ready; read a; read b; echo \"end $b\""
    terminal = in_terminal("sh", "-c", script)
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    terminal.read_until(b"interrupted")
    terminal.type(b"one\ntwo\n")
    assert b"interrupted" not in terminal.read_until(b"end ")


def test_x24_in_a_terminal_the_command_has_one_of_the_same_size_and_settings(in_terminal: InTerminal) -> None:
    asked = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], os.get_terminal_size(1), file=sys.stderr)"
    script = f'{sys.executable} -c "{asked}"; stty size <&1; stty size; printf "a\\nb\\r\\nc"; exit 3'
    terminal = in_terminal("sh", "-c", script)
    assert terminal.wait() == 3
    first, one, other, *_ = terminal.shown.split(b"\n")
    assert first == b"[True, True, True] os.terminal_size(columns=113, lines=37)\r"
    assert one == other == b"37 113\r"
    assert b"\na\r\nb\r\r\ncstream-detector run: " in terminal.shown, "what the terminal makes of these bytes"


def test_x24_what_is_no_terminal_without_us_is_none(in_terminal: InTerminal, tmp_path: Path) -> None:
    asked = "import os, sys; sys.stderr.write(str([os.isatty(n) for n in (0, 1, 2)]))"
    target = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    terminal = in_terminal(sys.executable, "-c", asked, redirected={1: target})
    assert terminal.wait() == 0 and terminal.shown.startswith(b"[True, False, True]")
    other = in_terminal(sys.executable, "-c", asked, redirected={0: os.open(os.devnull, os.O_RDONLY), 2: target})
    assert other.wait() == 0 and b"[False, True, False]" in (tmp_path / "out").read_bytes()
    os.close(target)


def test_x24_a_new_size_of_the_terminal_reaches_the_command(in_terminal: InTerminal) -> None:
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGWINCH, lambda *_: print(os.get_terminal_size(1), flush=True))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    terminal = in_terminal(sys.executable, "-c", script)
    terminal.read_until(b"ready")
    termios.tcsetwinsize(terminal.fd, (50, 200))
    terminal.read_until(b"columns=200, lines=50")
    terminal.type(b"\n")
    assert terminal.wait() == 0


def test_x24_a_password_is_not_shown_and_a_full_screen_program_leaves_the_terminal_as_it_was(
    in_terminal: InTerminal,
) -> None:
    """One changes the terminal by its input, the other, as curses does, by its output."""
    script = (
        "import getpass, os, termios, tty\n"
        "print(getpass.getpass('secret? ')[::-1])\n"
        "before = termios.tcgetattr(1)\n"
        "tty.setraw(1)\n"
        "os.write(1, b'screen')\n"
        "key = os.read(0, 1)\n"
        "termios.tcsetattr(1, termios.TCSADRAIN, before)\n"
        "print(key, os.read(0, 10), end='finished', flush=True)\n"
        "tty.setraw(1); os.write(1, b'!'); os.kill(os.getpid(), 9)\n"
    )
    terminal = in_terminal(sys.executable, "-c", script)
    terminal.read_until(b"secret? ")
    before = terminal.settings()
    before[3] |= termios.ECHO
    terminal.type(b"hunter2\n")
    assert b"hunter2" not in terminal.read_until(b"screen")
    terminal.type(b"\x03")  # a key like any other now: neither a signal nor shown, and without the end of a line
    terminal.type(b"line\n")
    assert b"b'\\x03' b'line" in terminal.read_until(b"finished")
    assert terminal.wait() == 137 and terminal.settings() == before


def test_x24_all_output_reaches_a_terminal_whatever_ends_first(in_terminal: InTerminal, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"0123456789" * 50_000)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    terminal = in_terminal("sh", "-c", f"cat {fifo} & cat {tmp_path}/data; echo END; kill -9 $$")
    assert terminal.read_until(b"END") == b"0123456789" * 50_000
    terminal.read_until(b"stream-detector run: the run was not reported")
    fifo.write_bytes(b"late")
    assert terminal.wait() == 137 and terminal.shown.endswith(b"late")
