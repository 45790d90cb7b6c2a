"""Functions fit on a page: at most 60 lines, and 15 ways through; the detector's loop over events 90 and 20."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import stream_detector

PACKAGE = Path(stream_detector.__file__).parent
LINES, COMPLEXITY = 60, 15
HOT_LOOP = "roles/detector.py", "apply"
HOT_LINES, HOT_COMPLEXITY = 90, 20


def functions() -> Iterator[tuple[str, str, int]]:
    """File, name and lines of each."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.relative_to(PACKAGE).as_posix(), node.name, (node.end_lineno or 0) - node.lineno + 1


def too_complex(limit: int) -> set[tuple[str, str]]:
    """File and name of each function with more ways through than that."""
    rule = ["--select", "C901", "--config", f"lint.mccabe.max-complexity={limit}", "--output-format", "concise"]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *rule, str(PACKAGE)]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    found = [line for line in done.stdout.splitlines() if "C901" in line]
    return {(Path(line.split(":")[0]).resolve().relative_to(PACKAGE).as_posix(), line.split("`")[1]) for line in found}


def test_a_function_fits_on_a_page() -> None:
    long = {(file, name): lines for file, name, lines in functions() if lines > LINES}
    assert long.pop(HOT_LOOP, 0) <= HOT_LINES
    assert not long, f"more than {LINES} lines: split them by what they do"


def test_a_function_has_few_ways_through() -> None:
    assert too_complex(COMPLEXITY) <= {HOT_LOOP}, f"a cyclomatic complexity above {COMPLEXITY}: split them"
    assert not too_complex(HOT_COMPLEXITY)
