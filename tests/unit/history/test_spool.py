"""What an import keeps on the disk is whole, whenever the process that writes it is killed."""

import os
import time
from pathlib import Path

import pytest

from stream_detector.history.errors import HistoryImportError
from stream_detector.history.spool import KEPT_S, Progress, Spool, remove_old

NAME = ["github", "octo/shop"]


def begun(folder: Path, *pages: list[bytes]) -> None:
    with Spool(folder, NAME) as spool:
        spool.begin(Progress(begun_at_s=time.time()))
        for number, page in enumerate(pages):
            spool.progress.cursor = f"c{number}"
            spool.add(page)


def kept(folder: Path) -> tuple[str, list[bytes]]:
    with Spool(folder, NAME) as spool:
        return spool.progress.cursor, [value for _, value in spool.events()]


def file_of(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"*/{name}")
    return found


def test_x22_pages_are_there_with_the_cursor_of_the_last_one(tmp_path: Path) -> None:
    begun(tmp_path, [b'{"a":1}', b'{"a":2}'], [], [b'{"a":3}'])
    assert kept(tmp_path) == ("c2", [b'{"a":1}', b'{"a":2}', b'{"a":3}'])


def test_x22_what_a_killed_process_had_begun_to_write_is_cut_off(tmp_path: Path) -> None:
    begun(tmp_path, [b'{"a":1}'])
    with file_of(tmp_path, "events.jsonl").open("ab") as events:
        events.write(b'{"a":2}\n{"a"')
    file_of(tmp_path, "spool.json").with_suffix(".new").write_bytes(b'{"cursor":"half')
    assert kept(tmp_path) == ("c0", [b'{"a":1}'])
    with Spool(tmp_path, NAME) as spool:
        spool.progress.cursor = "c1"
        spool.add([b'{"b":2}'])
    assert kept(tmp_path) == ("c1", [b'{"a":1}', b'{"b":2}'])


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"version":9,"cursor":"x"}', b"\xff", b"[]"])
def test_x22_a_state_that_cannot_be_read_begins_again(tmp_path: Path, damaged: bytes) -> None:
    begun(tmp_path, [b'{"a":1}'])
    file_of(tmp_path, "spool.json").write_bytes(damaged)
    assert kept(tmp_path) == ("", [])


def test_x22_events_that_are_shorter_than_the_state_names_begin_again(tmp_path: Path) -> None:
    begun(tmp_path, [b'{"a":1}'])
    file_of(tmp_path, "events.jsonl").write_bytes(b"{")
    assert kept(tmp_path) == ("", [])


def test_x22_one_process_at_a_time_and_others_beside_it(tmp_path: Path) -> None:
    with Spool(tmp_path, NAME):
        with pytest.raises(HistoryImportError, match="running in another process"), Spool(tmp_path, NAME):
            pass
        with Spool(tmp_path, ["github", "octo/other"]) as other:
            assert not other.is_begun


def test_x22_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(HistoryImportError, match=r"Name another folder with --data-dir"),
        Spool(tmp_path / "file", NAME),
    ):
        pass


def test_x22_nobody_else_can_read_it(tmp_path: Path) -> None:
    begun(tmp_path / "imports", [b"{}"])
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "imports").rglob("*")}
    assert set(modes.values()) == {0}


def test_x22_what_nobody_continued_for_a_week_is_removed(tmp_path: Path) -> None:
    begun(tmp_path, [b"{}"])
    remove_old(tmp_path)
    assert kept(tmp_path) == ("c0", [b"{}"])
    long_ago_s = time.time() - KEPT_S - 60
    os.utime(file_of(tmp_path, "spool.json"), (long_ago_s, long_ago_s))
    remove_old(tmp_path)
    assert kept(tmp_path) == ("", [])


def test_x22_the_end_leaves_nothing(tmp_path: Path) -> None:
    begun(tmp_path, [b"{}"])
    with Spool(tmp_path, NAME) as spool:
        spool.remove()
    assert list(tmp_path.iterdir()) == []
