"""A real pgbouncer in transaction mode, as Debian packages it, in front of the embedded PostgreSQL."""

import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stream_detector.database_url import parse_database_url
from stream_detector.devstack.owned import Owned, User, start_owned
from stream_detector.devstack.ports import free_port
from stream_detector.devstack.postgres import Postgres

SERVERS = 3
"""Connections to PostgreSQL for each database: fewer than the roles have to it, so that each serves several."""


def find_pgbouncer() -> str | None:
    """Where the program is; None where there is none. Debian installs it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class PgBouncer:
    """A running one; also a context manager that ends it."""

    child: Owned
    port: int
    user: str
    command: list[str]
    run_as: User | None

    def url(self, database: str, options: str = "") -> str:
        """How a client reaches a database through it; nothing tells that it is no PostgreSQL."""
        return f"postgresql://{quote(self.user)}@127.0.0.1:{self.port}/{database}?sslmode=disable{options}"

    @classmethod
    def start(cls, folder: Path, server: Postgres, *, servers: int = SERVERS, more: str = "") -> "PgBouncer":
        """Start it in front of the server; `folder` is made. It trusts its clients, and listens on loopback alone."""
        program = find_pgbouncer()
        assert program, "no pgbouncer (Debian: apt-get install pgbouncer)"
        folder.mkdir(mode=0o755)
        port, known = free_port(), parse_database_url(server.url())
        assert known.user is not None
        (folder / "users").write_text(f'"{known.user}" "{known.password or ""}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.socket_folder}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {folder / 'users'}\npool_mode = transaction\ndefault_pool_size = {servers}\n"
            f"server_round_robin = 1\nmax_client_conn = 200\nserver_login_retry = 1\n{more}\n"
        )
        run_as = server.run_as  # it refuses to run as root, and PostgreSQL's socket lets in its own user alone
        if run_as:
            for path in (folder, *folder.iterdir()):
                os.chown(path, run_as.uid, run_as.gid)
        command = [program, str(folder / "pgbouncer.ini")]
        bouncer = cls(_launch(command, folder, run_as), port, known.user, command, run_as)
        bouncer.child.wait_until(lambda: _listens(bouncer), timeout_s=20)
        return bouncer

    def relaunch(self) -> None:
        """Start it again after it died."""
        self.child = _launch(self.command, Path(self.command[1]).parent, self.run_as)
        self.child.wait_until(lambda: _listens(self), timeout_s=20)

    def stop(self) -> None:
        """End it, and the connections through it; nothing of it is left."""
        self.child.stop(first=signal.SIGTERM, timeout_s=5)
        shutil.rmtree(Path(self.command[1]).parent, ignore_errors=True)

    def __enter__(self) -> "PgBouncer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _launch(command: list[str], folder: Path, run_as: User | None) -> Owned:
    return start_owned("pgbouncer", command, log_path=folder / "pgbouncer.log", run_as=run_as, cwd=Path("/"))


def _listens(bouncer: PgBouncer) -> bool:
    try:
        socket.create_connection(("127.0.0.1", bouncer.port), timeout=1).close()
    except OSError:
        return False
    return True
