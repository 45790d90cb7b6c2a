"""The services of docker-compose.yml, and the environment that each has there."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from stream_detector.devstack.postgres import find_binaries

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
_SECRET = "0123456789abcdef0123456789abcdef"
USERS = {"setup": "migrator", "recorder": "recorder", "api": "api"}
"""Service -> its user of the database."""


def environ_of_service(service: str) -> dict[str, str]:
    """With every variable that compose demands filled in, and the default of each other one."""
    return {name: _filled(str(value)) for name, value in COMPOSE["services"][service]["environment"].items()}


def _filled(text: str) -> str:
    text = re.sub(r"\$\{\w+:\?[^}]*\}", _SECRET, text)
    while "${" in text:
        text = re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)
    return text


def make_users(url: str) -> None:
    """What the service `users` does, in the database of a superuser's URL."""
    parts = urlsplit(url)
    (host,) = parse_qs(parts.query).get("host", [parts.hostname or ""])
    environ = {"PGHOST": host, "PGUSER": unquote(parts.username or ""), "PGDATABASE": parts.path.lstrip("/")}
    environ |= {"PGPASSWORD": unquote(parts.password)} if parts.password else {}
    environ |= {"PGPORT": str(parts.port)} if parts.port else {}
    environ |= {f"{user.upper()}_PASSWORD": f"of-{user}" for user in USERS.values()}
    environ["PATH"] = f"{find_binaries(None)}:/usr/bin:/bin"
    script = ROOT / "deploy" / "postgres" / "users.sh"
    done = subprocess.run([str(script)], env=environ, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "", done.stderr


def url_of(url: str, user: str) -> str:
    """The same database as one of its users; where the kernel vouches for who comes, by a setting of the connection."""
    if os.geteuid():
        return f"{url}{'&' if '?' in url else '?'}role={user}"
    return f"postgresql://{user}:of-{user}@{url.partition('://')[2].rpartition('@')[2]}"
