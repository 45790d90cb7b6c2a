"""Every setting as a flag, the same for every command."""

import functools
from collections.abc import Callable
from typing import Any

import click

from stream_detector.settings import SPECS, Settings, load

COMMON = ("broker", "database_url", "data_dir", "profile", "api_port", "topic_prefix", "log_format")
"""Shown in `--help`; the others work too and are documented by `config docs`."""

ON_COMMAND_LINE = tuple(name for name, spec in SPECS.items() if not spec["secret"] or name == "database_url")
"""All but secrets, which other users of the machine could read there. A database URL can omit its password."""


def settings_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` and the flags; the command is called without them and with `settings`, which names the sources."""

    @functools.wraps(function)
    def call(*args: Any, config: str | None, **options: Any) -> Any:
        flags = {name: options.pop(f"setting_{name}") for name in ON_COMMAND_LINE}
        return function(*args, settings=load(flags=flags, config=config), **options)

    return add_flags(call)


def add_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` and a flag for each setting, as parameters `config` and `setting_<name>`, None where not given."""
    for name in reversed(ON_COMMAND_LINE):
        spec = SPECS[name]
        flag = click.option(
            f"--{name.replace('_', '-')}",
            f"setting_{name}",
            metavar=spec["unit"].upper() or "VALUE",
            help=spec["doc"],
            hidden=name not in COMMON,
        )
        function = flag(function)
    config = click.option(
        "--config", metavar="FILE", help="TOML file with settings. All settings except secrets also have a flag"
    )
    return config(function)


def settings_of(options: dict[str, Any]) -> Settings:
    """Take what `add_flags` added out of a command's parameters, and read the settings. Raises `SettingsError`."""
    config = options.pop("config")
    return load(flags={name: options.pop(f"setting_{name}") for name in ON_COMMAND_LINE}, config=config)
