"""What is added, as files; and the copy that it is added to."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
COPIED = ("stream_detector", "schemas", "dashboard", "docs", "tests")
COPIED_FILES = (".env.example", "hatch_build.py", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("*.so", "static", "__pycache__", "node_modules", "plots")


@dataclass(frozen=True)
class Addition:
    """One thing added.

    Attributes:
        heading: of its walk-through in CONTRIBUTING.md.
        at_most: files that it may touch besides its own tests, docs and what is generated.
        words: what a walk-through's placeholder stands for here, such as `rule` -> `retried_often`.
        new: path in `stream_detector/` -> the text of a new file.
        changed: path in `stream_detector/` -> (text that stands there once, what stands there instead).
    """

    heading: str
    at_most: int
    words: Mapping[str, str]
    new: Mapping[str, str]
    changed: Mapping[str, tuple[tuple[str, str], ...]]

    @property
    def named(self) -> list[str]:
        """The files that the walk-through names, in its order."""
        section = re.search(rf"^## {self.heading}\n(.*?)(?=^## )", GUIDE, re.MULTILINE | re.DOTALL)
        assert section, f"CONTRIBUTING.md has no section {self.heading}"
        paths = re.findall(r"^\d+\. `([^`]+)`:", section[1], re.MULTILINE)
        for word, meaning in self.words.items():
            paths = [path.replace(f"<{word}>", meaning) for path in paths]
        return paths

    def add_to(self, checkout: Path) -> None:
        """Write its files, and change those that there are."""
        package = checkout / "stream_detector"
        for name, text in self.new.items():
            assert not (package / name).exists(), name
            (package / name).parent.mkdir(exist_ok=True)
            (package / name).write_text(text, "utf-8")
        for name, replacements in self.changed.items():
            text = (package / name).read_text("utf-8")
            for old, new in replacements:
                assert text.count(old) == 1, f"{name}: {old}"
                text = text.replace(old, new)
            (package / name).write_text(text, "utf-8")


def copy_of_the_checkout(folder: Path) -> Path:
    """A copy without what is built; Node's packages are the checkout's own."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
    for name in COPIED_FILES:
        shutil.copy2(ROOT / name, folder / name)
    (folder / "dashboard" / "node_modules").symlink_to(ROOT / "dashboard" / "node_modules")
    return folder


def contents(checkout: Path) -> dict[str, bytes]:
    """Every file's bytes, by its path."""
    files = (path for name in COPIED for path in (checkout / name).rglob("*"))
    inside = [path for path in files if path.is_file() and not {"__pycache__", "node_modules"} & {*path.parts}]
    return {str(path.relative_to(checkout)): path.read_bytes() for path in [*inside, checkout / ".env.example"]}
