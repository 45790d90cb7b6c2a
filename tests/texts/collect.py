"""Where the texts are that a user can meet, by group. What is generated is read from what it is generated from."""

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml
from prometheus_client import REGISTRY

from stream_detector.cli import main
from stream_detector.settings import PREFIX, SPECS
from stream_detector.telemetry.log_events import LogEvent
from tests.texts.page_source import page_texts
from tests.texts.python_source import comments, docstrings, hash_comments, literals

ROOT = Path(__file__).parents[2]
_SAMPLES: dict[Any, Any] = {"str": "example", "int": 3, "float": 1.5, str: "example", int: 3, float: 1.5}
_PROSE_KEYS = {"summary", "description", "title"}


class Text(NamedTuple):
    """One text. `group` is the unit that is held clean, `place` where to change it."""

    group: str
    place: str
    text: str


def all_texts() -> Iterator[Text]:
    """Every text, in the order in which a new user meets them. One that two places share comes once, from the first."""
    seen: set[str] = set()
    for text in _everything():
        if text.text.strip() and text.text not in seen:
            seen.add(text.text)
            yield text


def _everything() -> Iterator[Text]:
    yield from _pages()
    yield from _help()
    yield from _settings()
    yield from _log_events()
    yield from _metrics()
    yield from _notifications()
    yield from _package()
    yield from _schemas()
    yield from _dashboard()
    yield from _deployment()
    yield from _examples()


def _pages() -> Iterator[Text]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    yield Text("package", "pyproject.toml", project["description"])
    names = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "deploy/kubernetes/README.md", "benchmarks/README.md"]
    names += ["dashboard/README.md"]
    paths = [ROOT / name for name in names] + sorted((ROOT / "docs").rglob("*.md"))
    for path in paths:
        if path.is_file():
            for number, paragraph in _paragraphs(path.read_text("utf-8")):
                name = path.relative_to(ROOT).as_posix()
                yield Text(name, f"{name}:{number}", paragraph)


def _paragraphs(page: str) -> Iterator[tuple[int, str]]:
    """(line, text): cut at blank lines, but never within fenced code; a row of a table is one of its own."""
    first, lines, fenced = 0, list[str](), False
    for number, line in enumerate(page.splitlines(), 1):
        starts_row = line.startswith("|") and not fenced
        if lines and not fenced and (not line.strip() or starts_row):
            yield first, "\n".join(lines)
            lines = []
        if line.startswith("```"):
            fenced = not fenced
        if line.strip() or fenced:
            first = first if lines else number
            lines.append(line)
    if lines:
        yield first, "\n".join(lines)


def _help() -> Iterator[Text]:
    def of(command: click.Command, parent: click.Context | None, name: str) -> Iterator[Text]:
        context = click.Context(command, parent=parent, info_name=name, max_content_width=110, terminal_width=110)
        yield Text("help", context.command_path, command.get_help(context))
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                child = command.get_command(context, each)
                assert child is not None
                yield from of(child, context, each)

    yield from of(main, None, "stream-detector")


def _settings() -> Iterator[Text]:
    for name, spec in SPECS.items():
        yield Text("settings", PREFIX + name.upper(), spec["doc"])


def _log_events() -> Iterator[Text]:
    for kind in LogEvent.__subclasses__():
        sample = {field.name: _SAMPLES[field.type] for field in fields(kind)}
        yield Text("log events", kind.__name__, kind.line.format(**sample))


def _metrics() -> Iterator[Text]:
    for metric in REGISTRY.collect():
        if metric.name.startswith("stream_detector"):
            yield Text("metrics", metric.name, metric.documentation)


def _notifications() -> Iterator[Text]:
    """The messages that the tests compare whole."""
    for folder in sorted((ROOT / "tests").rglob("golden")):
        for path in sorted(folder.iterdir()):
            yield Text("notifications", path.name, path.read_text("utf-8"))


def _package() -> Iterator[Text]:
    """Errors, answers, messages and whatever else the program can print: every literal that reads as words.

    Left out are the lines of the log events, which come above with values in them.
    """
    package = ROOT / "stream_detector"
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name not in ("telemetry/log_events.py", "telemetry/metrics.py"):
            group = f"stream_detector/{name.partition('/')[0]}"
            yield from _each(group, path, literals)


def _schemas() -> Iterator[Text]:
    for path in sorted((ROOT / "schemas").iterdir()):
        text = path.read_text("utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        for place, found in _described(document, ""):
            yield Text(f"schemas/{path.name}", f"{path.name}{place}", found)


def _described(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in _PROSE_KEYS and isinstance(each, str):
                yield place, each
            else:
                yield from _described(each, f"{place}/{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _described(each, f"{place}/{index}")


def _dashboard() -> Iterator[Text]:
    source = ROOT / "dashboard" / "src"
    for path in sorted(source.rglob("*.ts*")):
        if not path.name.endswith(".d.ts"):
            yield from _each("dashboard", path, page_texts)
    yield from _each("dashboard", ROOT / "dashboard" / "index.html", page_texts)


def _deployment() -> Iterator[Text]:
    """Alert rules' annotations, Grafana's titles, and the comments of every file that an operator edits."""
    deploy = ROOT / "deploy"
    for document in yaml.safe_load_all((deploy / "prometheus" / "rules.yml").read_text("utf-8")):
        for place, text in _described(document, "rules.yml"):
            yield Text("deploy", place, text)
    for path in sorted((deploy / "grafana").rglob("*.json")):
        for place, text in _described(json.loads(path.read_text("utf-8")), path.name):
            yield Text("deploy", place, text)
    files = [
        path for path in sorted(deploy.rglob("*")) if path.suffix in (".yaml", ".yml") or path.name == "Dockerfile"
    ]
    for path in [*files, ROOT / "docker-compose.yml", ROOT / "Makefile"]:
        yield from _each("deploy", path, hash_comments)
    for number, line in enumerate((ROOT / "Makefile").read_text("utf-8").splitlines(), 1):
        if "echo" in line:
            yield Text("deploy", f"Makefile:{number}", line.strip())


def _examples() -> Iterator[Text]:
    for path in sorted((ROOT / "examples").rglob("*.py")):
        for read in (docstrings, comments, literals):
            yield from _each("examples", path, read)


def _each(group: str, path: Path, read: Callable[[Path], Iterator[tuple[int, str]]]) -> Iterator[Text]:
    name = path.relative_to(ROOT).as_posix()
    for number, text in read(path):
        yield Text(group, f"{name}:{number}", text)
