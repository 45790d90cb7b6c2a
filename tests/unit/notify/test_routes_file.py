"""The routes file while the notifier runs."""

import os
from pathlib import Path

import pytest

from stream_detector.notify.routes_file import STEADY_S, RoutesFile
from stream_detector.settings import Settings, SettingsError
from tests.unit.notify.subjects import CONFIG


class Clock:
    now_s = 1e6

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "routes.toml"
    write(made, "first")
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(path: Path, clock: Clock) -> RoutesFile:
    return RoutesFile(Settings(routes_file=str(path)), CONFIG.fallback, clock)


def write(path: Path, *names: str) -> None:
    path.write_text("".join(f'[[route]]\nname = "{name}"\n' for name in names))
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000))  # two writes may be within a clock's tick


def names(file: RoutesFile) -> list[str] | None:
    found = file.changed()
    return None if found is None else [route.name for route in found]


def test_a_new_version_is_read_once_when_it_is_steady(file: RoutesFile, path: Path, clock: Clock) -> None:
    clock.now_s += 10
    assert names(file) is None
    write(path, "new")
    assert names(file) is None
    clock.now_s += STEADY_S
    assert names(file) == ["new"]
    clock.now_s += 10
    assert names(file) is None


def test_what_is_half_written_is_not_read(file: RoutesFile, path: Path, clock: Clock) -> None:
    path.write_text("")
    assert names(file) is None
    clock.now_s += STEADY_S - 0.1
    write(path, "whole", "second")
    assert names(file) is None
    clock.now_s += STEADY_S - 0.1
    assert names(file) is None
    clock.now_s += 0.1
    assert names(file) == ["whole", "second"]


def test_a_fault_is_sent_once(file: RoutesFile, path: Path, clock: Clock) -> None:
    path.unlink()
    assert names(file) is None
    clock.now_s += STEADY_S
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        file.changed()
    assert names(file) is None


def test_a_requested_reload_is_done_at_once(file: RoutesFile, path: Path) -> None:
    file.request_reload()
    assert names(file) == ["first"]
    write(path, "new")
    file.request_reload()
    assert names(file) == ["new"]
    assert names(file) is None


def test_without_a_file_nothing_is_new(clock: Clock) -> None:
    file = RoutesFile(Settings(), CONFIG.fallback, clock)
    clock.now_s += 10
    assert names(file) is None
