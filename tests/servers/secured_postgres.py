"""PostgreSQL as a careful house runs it: over TLS alone, with a password and a user for each role.

Debian's, of version 15 or newer: the embedded one is built without TLS.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from stream_detector.devstack.owned import Owned, User, start_owned
from stream_detector.devstack.ports import free_port

OWNER = "postgres"
"""The superuser, who alone may come without a password, by the socket."""


def debian_postgres() -> Path | None:
    """Where the newest one's programs are; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@dataclass
class SecuredPostgres:
    """A running server. `ca_file` is what clients trust."""

    child: Owned
    folder: Path
    port: int

    @classmethod
    def start(cls, folder: Path) -> "SecuredPostgres":
        """Start it; started by root it runs as `nobody`, who must be able to enter the folder's parents."""
        binaries = debian_postgres()
        assert binaries, "no PostgreSQL of Debian's (apt-get install postgresql)"
        folder.mkdir(mode=0o755)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        identity = authority.issue_cert("localhost", "127.0.0.1")
        home = folder / "home"
        home.mkdir(mode=0o700)
        identity.private_key_pem.write_to_path(str(home / "server.key"))
        (home / "server.key").chmod(0o600)
        for certificate in identity.cert_chain_pems:
            certificate.write_to_path(str(home / "server.crt"), append=True)
        (home / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all all reject\n"
        )
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        who: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if nobody else {}
        if nobody:
            for path in (home, *home.iterdir()):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [binaries / "initdb", "-D", home / "data", "-U", OWNER, "--auth=trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **who)
        port = free_port()
        options = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "ssl": "on",
            "ssl_cert_file": home / "server.crt", "ssl_key_file": home / "server.key",
            "hba_file": home / "pg_hba.conf", "password_encryption": "scram-sha-256", "fsync": "off",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        child = start_owned(
            "PostgreSQL over TLS", [str(binaries / "postgres"), "-D", str(home / "data"), *words],
            log_path=folder / "postgres.log", run_as=User(nobody.pw_uid, nobody.pw_gid) if nobody else None,
            cwd=Path("/"),
        )  # fmt: skip
        server = cls(child, folder, port)
        child.wait_until(lambda: server._psql("postgres", "SELECT 1", check=False) == 0, timeout_s=60)
        return server

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def url(self, database: str, user: str, *, password: str | None = None, options: str | None = None) -> str:
        """How a user comes: over TLS, with the server's certificate verified."""
        secret = password_of(user) if password is None else password
        options = f"sslmode=verify-full&sslrootcert={self.ca_file}" if options is None else options
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}?{options}"

    def run(self, database: str, statements: str) -> None:
        """Run SQL as the superuser."""
        self._psql(database, statements)

    def run_as(self, url: str, statements: str) -> None:
        """Run SQL as psql does for people."""
        subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", url, "-c", statements], check=True, capture_output=True)

    def _psql(self, database: str, statements: str, *, check: bool = True) -> int:
        command = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", self.folder / "home", "-p", str(self.port)]
        command += ["-U", OWNER, "-d", database, "-c", statements]
        return subprocess.run(command, check=check, capture_output=True).returncode

    def stop(self) -> None:
        """End it; nothing of it is left."""
        self.child.stop(timeout_s=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "SecuredPostgres":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def password_of(user: str) -> str:
    """Every user's is another one."""
    return f"the-{user}s-secret"
