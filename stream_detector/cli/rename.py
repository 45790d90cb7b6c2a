"""`rename`: continues a workflow under another id."""

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from stream_detector.cli import CommandError
from stream_detector.cli.api_client import PENDING_EXIT_CODE, call_api, use_running_stack
from stream_detector.cli.options import add_flags, settings_of
from stream_detector.settings import PREFIX, Settings

_PATIENCE_S = 30.0
_AGAIN_S = 0.2


@click.command("rename")
@click.argument("old_id", metavar="OLD")
@click.argument("new_id", metavar="NEW")
@click.option("--json", "as_json", is_flag=True, help="Print the API's response as JSON, and do not wait")
@add_flags
def command(old_id: str, new_id: str, as_json: bool, **options: Any) -> None:
    """Continue the workflow OLD under the id NEW, with its baselines, open incidents and history.

    Executions that still come as OLD count for NEW. Lists what names OLD and is not changed: silences, ping keys,
    profile rules and routes. Waits up to 30 s for the baselines; exit code 3 if they have not arrived. NEW must not be
    in use.

    \b
    Example: stream-detector rename nightly-import import/nightly
    """
    config = options["config"] or os.environ.get(PREFIX + "CONFIG", "")
    settings = use_running_stack(settings_of(options))
    done = call_api(settings, "/api/v1/renames", body={"old_id": old_id, "new_id": new_id})
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False))
        return
    if done["has_baseline"]:
        _wait(settings, new_id)
    click.echo(f"{old_id} continues as {new_id}; executions that still come as {old_id} count for it")
    named = [*_of_api(done), *in_files(settings, config, old_id)]
    if named:
        click.echo(f"still name {old_id}:")
    for line in named:
        click.echo(f"  {line}")


def _wait(settings: Settings, new_id: str) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while not call_api(settings, "/api/v1/workflows", {"id": new_id})["items"]:
        if time.monotonic() > until_s:
            raise CommandError(
                f"published, but the baselines have not arrived at {new_id} after {_PATIENCE_S:.0f} s: is a detector "
                "running, and a recorder (`stream-detector doctor`)? They move when both run",
                PENDING_EXIT_CODE,
            )
        time.sleep(_AGAIN_S)


def _of_api(done: dict[str, Any]) -> list[str]:
    silences = [f"silence {each}: create one for the new id on the page Silences" for each in done["silences"]]
    keys = [
        f"ping key {name}: works on; a new one is made by `stream-detector token create --workflow`"
        for name in done["ping_keys"]
    ]
    return silences + keys


def in_files(settings: Settings, config: str, workflow_id: str) -> list[str]:
    """Where the settings and the routes that this machine has name the workflow: file and line, or the variable."""
    found = []
    if workflow_id in settings.profile_rules and settings.origin.get("profile_rules") in ("environment", "flag"):
        found.append(f"{PREFIX}PROFILE_RULES ({settings.origin['profile_rules']}): a profile rule")
    for path in filter(None, (config, settings.routes_file)):
        try:
            lines = Path(path).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        found += [
            f"{path}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if _names(line, workflow_id)
        ]
    return found


def _names(line: str, workflow_id: str) -> bool:
    """Whether the id stands in the line by itself, and not as part of a longer one.

    >>> _names('match = { workflow = "app" }', "app"), _names("workflow = 'app-2'", "app"), _names("# app", "app")
    (True, False, False)
    """
    code = line.split("#", 1)[0]
    before, at, after = code.partition(workflow_id)
    return bool(at) and not _is_of_id(before[-1:]) and not _is_of_id(after[:1])


def _is_of_id(character: str) -> bool:
    return character.isalnum() or character in tuple("-_./")
