"""Every test can fail by what it finds: it asserts, or something that it calls in its own module does."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WHO_FAIL = {"raises", "fail", "warns", "expect", "wait_until"}
"""Of pytest, of Playwright, and of `tests.servers.installation`: each fails with what did not come."""


def _without_assertion(source: str) -> list[str]:
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    asserting = {each.name for each in functions if any(isinstance(node, ast.Assert) for node in ast.walk(each))}
    return [
        each.name
        for each in functions
        if each.name.startswith("test_") and each.name not in asserting and not _called(each) & (asserting | WHO_FAIL)
    ]


def _called(function: ast.AST) -> set[str]:
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


@pytest.mark.parametrize("folder", sorted(path.name for path in TESTS.iterdir() if (path / "__init__.py").is_file()))
def test_every_test_asserts(folder: str) -> None:
    found = {str(path): _without_assertion(path.read_text("utf-8")) for path in (TESTS / folder).rglob("test_*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_one_that_cannot_fail_would_be_named() -> None:
    assert _without_assertion("def test_a():\n    run()\n") == ["test_a"]
    assert _without_assertion("def test_a():\n    check()\n\ndef check():\n    assert x\n") == []
