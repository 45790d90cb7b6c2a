"""The rule that CI skips nothing is itself tested."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def run(tmp_path, text, **environ):
    (tmp_path / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.no_skips", "-p", "no:cacheprovider", "test_it.py"]
    path = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=tmp_path, env=path | environ, capture_output=True, text=True)


def test_a_skip_fails_in_ci_and_only_there(tmp_path):
    text = "import pytest\n\ndef test_a():\n    pytest.skip('no reason')\n"
    assert run(tmp_path, text).returncode == 0
    done = run(tmp_path, text, CI="true")
    assert done.returncode == 1
    assert "skipped, and CI allows no skip" in done.stdout


def test_a_module_that_skips_itself_fails_in_ci(tmp_path):
    text = "import pytest\n\npytest.importorskip('no_such_module')\n\ndef test_a():\n    pass\n"
    done = run(tmp_path, text, CI="true")
    assert done.returncode != 0
    assert "skipped, and CI allows no skip" in done.stdout


def test_what_passes_passes_in_ci(tmp_path):
    assert run(tmp_path, "def test_a():\n    pass\n", CI="true").returncode == 0
