"""Each worker of pytest-xdist gets one group of tests after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers import TOGETHER, group_of

ROOT = Path(__file__).parents[2]


def test_a_test_is_a_group_of_its_own_unless_its_file_is_named() -> None:
    assert group_of("tests/e2e/test_dashboard_pages.py::test_a") == group_of("tests/e2e/test_manual.py::test_b[light]")
    assert group_of("tests/unit/test_a.py::test_b[1]") != group_of("tests/unit/test_a.py::test_b[2]")


@pytest.mark.parametrize(("beginning", "group"), TOGETHER)
def test_each_group_has_its_files(beginning: str, group: str) -> None:
    paths = [f"{path.relative_to(ROOT)}::" for path in (ROOT / "tests").rglob("test_*.py")]
    assert [path for path in paths if re.match(beginning, path)], group


def test_the_tests_of_a_group_run_on_one_worker(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "e2e"
    folder.mkdir(parents=True)
    text = "import pytest\n\n@pytest.mark.parametrize('n', range(6))\ndef test_a(n):\n    assert n >= 0\n"
    for name in ("test_manual", "test_dashboard"):
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "xdist", "-p", "tests.workers"]
    done = subprocess.run(
        [*command, "-n", "2", "--dist", "loadgroup", "--rootdir", str(tmp_path), "tests"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    who = re.findall(r"^\[(gw\d)\].*PASSED", done.stdout, re.MULTILINE)
    assert len(who) == 12 and len(set(who)) == 1
