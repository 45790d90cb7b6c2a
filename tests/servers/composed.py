"""The services of docker-compose.yml, and the environment that each has there."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
_SECRET = "0123456789abcdef0123456789abcdef"


def environ_of_service(service: str) -> dict[str, str]:
    """With every variable that compose demands filled in, and the default of each other one."""
    return {name: _filled(str(value)) for name, value in COMPOSE["services"][service]["environment"].items()}


def _filled(text: str) -> str:
    text = re.sub(r"\$\{\w+:\?[^}]*\}", _SECRET, text)
    while "${" in text:
        text = re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)
    return text
