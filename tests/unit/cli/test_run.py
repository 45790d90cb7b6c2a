"""`run` with real processes: nothing of the command changes, and no error of the report is the command's."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stream_detector.cli.ping_environment import KEY, URL
from stream_detector.cli.run_report import NotReportedError, Report, Target, _end_request, find_target
from stream_detector.cli.wrapped_process import Ended, Tail

RUN = [sys.executable, "-m", "stream_detector", "run"]
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


def test_x24_ctrl_c_reaches_a_command_in_the_foreground_of_a_terminal_once(tmp_path: Path) -> None:
    script = "trap 'echo interrupted' INT; echo ready; read a; read b; echo \"end $b\""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(RUN[0], [*RUN, "--", "sh", "-c", script], environment(tmp_path))
    shown = b""

    def read_until(words: bytes) -> None:
        nonlocal shown
        while words not in shown:
            shown += os.read(terminal, 4096)

    try:
        read_until(b"ready")
        os.write(terminal, b"\x03")
        read_until(b"interrupted")
        os.write(terminal, b"one\ntwo\n")
        read_until(b"end ")
        assert shown.count(b"interrupted") == 1
        os.write(terminal, b"three\n")
        os.waitpid(pid, 0)
    finally:
        os.close(terminal)
