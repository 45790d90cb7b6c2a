"""docs/architecture.md says of each package which others it imports; the code says the same."""

import re
from pathlib import Path

import grimp
import pytest

PACKAGE = "stream_detector"
PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
ROWS = {
    name: set(re.findall(r"`(\w+)`", imports))
    for name, imports in re.findall(r"^\| `(\w+)(?:/|\.py)` \| [^|]* \| ([^|]*)\|$", PAGE, re.MULTILINE)
}
ALONE = {"__main__", "__init__"}


def imported() -> dict[str, set[str]]:
    """Package or module directly below ours -> those that it imports, also for types alone."""
    graph = grimp.build_graph(PACKAGE)
    found: dict[str, set[str]] = {child.split(".")[1]: set() for child in graph.find_children(PACKAGE)}
    for module in graph.modules - {PACKAGE}:
        name = module.split(".")[1]
        others = {other.split(".")[1] for other in graph.find_modules_directly_imported_by(module) if "." in other}
        found[name] |= others - {name}
    return {name: others for name, others in found.items() if name not in ALONE}


IMPORTED = imported()


def test_each_package_has_a_row():
    assert set(ROWS) == set(IMPORTED)


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_a_package_imports_what_its_row_says(name):
    assert ROWS[name] == IMPORTED[name]


@pytest.mark.parametrize("package", ["delivery", "kafka", "roles"])
def test_the_table_of_files_lists_those_of_the_package(package):
    listed = set()
    for row in re.findall(rf"^\| (`{package}/[^|]*)\|", PAGE, re.MULTILINE):
        listed |= {name.removeprefix(f"{package}/") for name in re.findall(r"`([\w/]+(?:\.py|/))`", row)}
    folder = Path(__file__).parents[2] / PACKAGE / package
    files = {path.name for path in folder.glob("*.py") if path.name != "__init__.py"}
    assert listed - {""} == files | {f"{path.name}/" for path in folder.iterdir() if (path / "__init__.py").is_file()}
