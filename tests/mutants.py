"""Mutation testing of `detect/`: changes one thing in a source, and sees whether its tests notice.

    python -m tests.mutants [--sample N] [--seed S] [--only MODULE]

Takes N changes at random (200) of all that can be made: a comparison turned round or made inclusive, an operator
turned round, a number moved by one, `and` for `or`, a condition negated. Each runs the unit tests and docstrings of
`detect/` in a copy, those that mirror the module first, up to the first failure. Prints each change that nothing
noticed, then a line of JSON. Outside the test command: an hour of one core.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DETECT = Path("stream_detector/detect")
_COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COMPUTED: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, object]]:
    """Every change of a module as (node, field, new value). Annotations and texts are left alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield node, "ops", [_COMPARED[type(node.ops[0])](), *node.ops[1:]]
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _COMPUTED:
            yield node, "op", _COMPUTED[type(node.op)]()
        elif isinstance(node, ast.BoolOp):
            yield node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()
        elif isinstance(node, (ast.If, ast.IfExp)):
            yield node, "test", ast.UnaryOp(ast.Not(), node.test)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node, "value", node.value + 1


def mutants() -> Iterator[tuple[Path, int]]:
    """All of them: module, and which change of it."""
    for path in sorted((ROOT / DETECT).rglob("*.py")):
        for number, _ in enumerate(changes(ast.parse(path.read_text()))):
            yield path.relative_to(ROOT), number


def mutate(source: str, number: int) -> tuple[str, str]:
    """The source with one change, and the changed line before and after."""
    tree = ast.parse(source)
    node, name, value = list(changes(tree))[number]
    before = ast.unparse(node)
    setattr(node, name, value)
    described = f"line {node.lineno}: {before}  ->  {ast.unparse(node)}"  # type: ignore[attr-defined]
    return ast.unparse(ast.fix_missing_locations(tree)), described


def noticed(folder: Path, path: Path) -> bool:
    """Whether a test fails in the copy. A change that never ends is noticed by the time limit."""
    mirror = Path("tests/unit/detect") / path.relative_to(DETECT).with_name(f"test_{path.stem}.py")
    first = [str(mirror)] if (folder / mirror).is_file() else []
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--doctest-modules", str(path)]
    environment = os.environ | {"STREAM_DETECTOR_PURE": "1", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *first, "tests/unit/detect"], cwd=folder, env=environment, capture_output=True, timeout=600
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1, 2):
        raise SystemExit(done.stdout.decode() + done.stderr.decode())
    return done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="module of detect/")
    options = parser.parse_args()
    all_of_them = [one for one in mutants() if options.only in ("", one[0].stem)]
    sample = random.Random(options.seed).sample(all_of_them, min(options.sample, len(all_of_them)))
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ignored = shutil.ignore_patterns("*.so", "__pycache__", "static", "node_modules")
        for part in ("stream_detector", "tests", "schemas", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for part in ("pyproject.toml", "compile_detection.py", "hatch_build.py"):
            shutil.copy(ROOT / part, folder)
        if noticed(folder, DETECT / "step.py"):
            raise SystemExit("the tests fail without any change")
        for path, number in sample:
            source = (ROOT / path).read_text()
            changed, described = mutate(source, number)
            (folder / path).write_text(changed)
            if not noticed(folder, path):
                survivors += 1
                print(f"{path.stem}, {described}", flush=True)
            (folder / path).write_text(source)
    print(json.dumps({"possible": len(all_of_them), "sample": len(sample), "survivors": survivors}))


if __name__ == "__main__":
    main()
