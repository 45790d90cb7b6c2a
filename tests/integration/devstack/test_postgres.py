"""The embedded database: safe as root and as a plain user, and back after anything."""

import os
import pwd
import signal
import stat
import subprocess
from pathlib import Path

import asyncpg
import pytest

from stream_detector.devstack import postgres
from stream_detector.devstack.owned import ChildError
from stream_detector.devstack.postgres import Postgres, erase

ONE_ROW = "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)"


async def count(server):
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval("SELECT count(*) FROM kept")
    finally:
        await connection.close()


async def run(server, statement):
    connection = await asyncpg.connect(server.url())
    await connection.execute(statement)
    await connection.close()


async def test_what_was_stored_is_there_after_a_stop_and_after_a_kill(open_folder):
    with Postgres.start(open_folder) as server:
        await run(server, ONE_ROW)
    with Postgres.start(open_folder) as server:
        assert await count(server) == 1
        await run(server, ONE_ROW)
        server.child.kill()
        # The lock file is left behind; its process is gone.
        assert (server.data / "postmaster.pid").exists()
    with Postgres.start(open_folder) as server:
        assert await count(server) == 2


async def test_a_lock_file_whose_number_another_program_has_now_is_no_obstacle(open_folder):
    with Postgres.start(open_folder) as server:
        await run(server, ONE_ROW)
        server.child.kill()
    lock = server.data / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with Postgres.start(open_folder) as server:
        assert await count(server) == 1


async def test_a_folder_whose_making_was_interrupted_is_made_anew(open_folder):
    with Postgres.start(open_folder):
        pass
    (open_folder / "made").unlink()
    with Postgres.start(open_folder) as server:
        await run(server, ONE_ROW)
        assert await count(server) == 1


def test_a_second_server_on_the_same_folder_is_refused(open_folder):
    with Postgres.start(open_folder) as server:
        with pytest.raises(ChildError, match=f"process {server.child.pid}\\) uses"):
            Postgres.start(open_folder)
        with pytest.raises(ChildError, match=r"PostgreSQL server .* uses"):
            erase(open_folder)
        assert server.child.alive()


def test_erase_leaves_nothing(open_folder):
    with Postgres.start(open_folder):
        pass
    erase(open_folder)
    assert not open_folder.exists()


def test_it_listens_on_no_port_and_its_folder_is_its_users_alone(open_folder):
    with Postgres.start(open_folder) as server:
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        inodes = {line.split()[9] for line in listening.splitlines() if "sl" not in line and line.split()[3] == "0A"}
        ours = set()
        for entry in Path(f"/proc/{server.child.pid}/fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                ours.add(target[8:-1])
        assert ours
        assert not ours & inodes


async def test_a_folder_with_a_long_name_gets_its_socket_elsewhere(open_folder):
    deep = open_folder / ("long" * 20) / ("name" * 20)
    with Postgres.start(deep) as server:
        assert server.socket_folder != server.data
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
        await run(server, ONE_ROW)
    assert not server.socket_folder.exists()


def modes(*folders):
    return {folder: (folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in folders}


def test_no_folder_that_was_there_is_changed(open_folder):
    open_folder.mkdir(mode=0o755)
    inner = open_folder / "mine"
    inner.mkdir(mode=0o751)
    before = modes(inner, open_folder, *open_folder.parents)
    with Postgres.start(inner / "postgres"):
        pass
    assert modes(inner, open_folder, *open_folder.parents) == before


def test_sigint_ends_it_in_order(open_folder):
    server = Postgres.start(open_folder)
    assert server.child.stop(first=signal.SIGINT, timeout_s=30) == 0


if os.geteuid() == 0:  # what only root can meet; the tests above hold for root and for a plain user

    def test_it_runs_as_nobody_and_demands_its_password(open_folder):
        with Postgres.start(open_folder) as server:
            assert Path(f"/proc/{server.child.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
            assert stat.S_IMODE((open_folder / "password").stat().st_mode) == 0o600
            wrong = server.url().replace(server.password, "guess")
            done = subprocess.run([server.binaries / "psql", wrong, "-c", "SELECT 1"], capture_output=True, text=True)
            assert "password authentication failed" in done.stderr

    def as_nobody(*command: object) -> "subprocess.CompletedProcess[str]":
        entry = pwd.getpwnam("nobody")
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return subprocess.run([str(word) for word in command], cwd="/", capture_output=True, text=True, **who)

    def test_another_process_of_nobody_reads_nothing_of_it(open_folder):
        with Postgres.start(open_folder) as server:
            proc = Path(f"/proc/{server.child.pid}")
            assert proc.stat().st_gid >= postgres.FIRST_GROUP
            for path in (
                server.data / "PG_VERSION",
                server.data / "base",
                open_folder / "password",
                open_folder / "postgres.log",
                proc / "cwd" / "PG_VERSION",
                proc / "root" / str(server.data).lstrip("/") / "PG_VERSION",
                proc / "environ",
            ):
                done = as_nobody("/bin/ls", "-l", path) if path.is_dir() else as_nobody("/bin/cat", path)
                assert done.returncode != 0 and "Permission denied" in done.stderr, path

    async def test_a_folder_of_an_earlier_version_is_closed_at_the_next_start(open_folder):
        with Postgres.start(open_folder) as server:
            await run(server, ONE_ROW)
        entry = pwd.getpwnam("nobody")
        for path in (server.data, *server.data.rglob("*")):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
        os.chown(open_folder, 0, 0)
        open_folder.chmod(0o711)
        assert as_nobody("/bin/cat", server.data / "PG_VERSION").returncode == 0, "as 4659e91 left it"
        with Postgres.start(open_folder) as server:
            assert await count(server) == 1
            assert as_nobody("/bin/cat", server.data / "PG_VERSION").returncode != 0

    async def test_a_folder_that_nobody_cannot_reach_is_left_as_it_is(open_folder, monkeypatch):
        monkeypatch.setattr(postgres, "ROOT_FOLDER", open_folder / "var")
        closed = open_folder / "closed"
        closed.mkdir(parents=True, mode=0o700)
        open_folder.chmod(0o755)
        before = modes(closed, open_folder)
        with Postgres.start(closed / "data" / "postgres") as server:
            assert server.data.is_relative_to(open_folder / "var")
            assert str(server.data) in server.note
            await run(server, ONE_ROW)
        assert modes(closed, open_folder) == before
        with Postgres.start(closed / "data" / "postgres") as server:
            assert await count(server) == 1

    async def test_binaries_that_nobody_cannot_read_are_copied(open_folder, monkeypatch):
        monkeypatch.setattr(postgres, "ROOT_FOLDER", open_folder / "var")
        enters = postgres.can_enter
        installed = postgres.find_binaries(None)
        monkeypatch.setattr(
            postgres, "can_enter", lambda path, user: installed not in path.parents and enters(path, user)
        )
        with Postgres.start(open_folder / "postgres") as server:
            assert server.binaries.is_relative_to(open_folder / "var")
            await run(server, ONE_ROW)
