"""No value ever gets into the text of a statement."""

import ast
import re
from pathlib import Path

import pytest

import stream_detector

PACKAGE = Path(stream_detector.__file__).parent
_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|TRUNCATE|VACUUM)\s", re.ASCII)
_RUNS = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "cursor", "prepare", "copy_from_query"}
_FILES = sorted(PACKAGE.rglob("*.py"))


def is_constant(node: ast.expr) -> bool:
    """Text that was written in the source: a literal, a name of one, or one filled from names of others."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id.isupper() or node.id == "statement"
    if isinstance(node, ast.Attribute):
        return node.attr in {"sql", "statement"}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        # `_FIND.format(where=where.text(), limit=f"${n}")`: conditions written in the source, the name of a parameter
        texts = [ast.unparse(each.value) for each in node.keywords]
        return (
            is_constant(node.func.value)
            and not node.args
            and all(
                text == "where.text()" or re.fullmatch(r"""f['"]\$\{len\(where\.values\) \+ 1\}['"]""", text)
                for text in texts
            )
        )
    return False


def calls(path: Path) -> list[tuple[int, ast.expr]]:
    """(line, statement) of every call that runs a statement."""
    return [
        (node.lineno, node.args[0])
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _RUNS
        and node.args
        and ast.unparse(node) != "response.prepare(request)"  # HTTP's
    ]


@pytest.mark.parametrize(
    "path", [*(PACKAGE / "store").glob("*.py"), *(PACKAGE / "serve").rglob("*.py")], ids=lambda path: path.name
)
def test_every_statement_that_is_run_is_written_in_the_source(path: Path) -> None:
    for line, statement in calls(path):
        assert is_constant(statement), f"{path.name}:{line}: {ast.unparse(statement)}"


_OF_A_SESSION = re.compile(
    r"pg_(try_)?advisory_(?!xact)\w*lock|\bLISTEN\b|\bNOTIFY\b|\bPREPARE\b|\bDISCARD\b|\bWITH HOLD\b"
    r"|(^|;)\s*SET (?!LOCAL|TRANSACTION)|ON COMMIT PRESERVE|set_config\([^)]*false"
)


@pytest.mark.parametrize("path", sorted((PACKAGE / "store").glob("*.py")), ids=lambda path: path.name)
def test_nothing_is_of_a_session_since_pgbouncer_has_another_one_for_each_transaction(path: Path) -> None:
    """Named statements (asyncpg's cursors and `prepare`), locks, settings, notifications; temporary tables are in
    `tests/integration/store/test_pooled.py`."""
    tree = ast.parse(path.read_text("utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & {"cursor", "prepare", "add_listener", "set_type_codec", "set_builtin_type_codec"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.search(node.value):
            assert not _OF_A_SESSION.search(node.value), f"{path.name}:{node.lineno}: {node.value[:80]}"


def test_conditions_are_added_with_their_values_apart() -> None:
    """`where.add` and `where.any_of` take text from the source alone: constants, or a choice between two."""
    added = [
        node.args[0]
        for path in (PACKAGE / "store").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"where.add", "where.any_of"}
    ]
    assert len(added) > 10
    for condition in added:
        choices = [condition.body, condition.orelse] if isinstance(condition, ast.IfExp) else [condition]
        assert all(isinstance(each, ast.Constant) for each in choices), ast.unparse(condition)
    (where,) = (each for each in ast.parse((PACKAGE / "store" / "where.py").read_text("utf-8")).body
                if isinstance(each, ast.ClassDef))  # fmt: skip
    own = [
        node.args[0] for node in ast.walk(where) if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.add"
    ]
    for condition in own:
        assert isinstance(condition, ast.Constant) or ast.unparse(condition) in {
            "column + ' = {}'", "column + ' = ANY({}::text[])'",
        }  # fmt: skip


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sql_is_written_in_the_store_alone(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "store") or path.is_relative_to(PACKAGE / "devstack"):
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not (_SQL.match(node.value) and " " in node.value.strip()), (
                f"{path}:{node.lineno}: {node.value[:60]}"
            )
