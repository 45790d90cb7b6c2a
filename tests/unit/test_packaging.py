"""The locks: complete, hashed, and without a registry's address."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from compile_detection import MODULES
from stream_detector import _COMPILED

ROOT = Path(__file__).parent.parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-uv.lock")


def pinned(lock):
    """Name -> version."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE))


def names(requirements):
    return {re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_pinned_and_hashed_and_names_no_host(lock):
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://|--index|--extra-index|--find-links", text)
    blocks = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+==", block), block
        assert "--hash=sha256:" in block, block


def test_the_locks_hold_what_pyproject_asks_for():
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    assert names(project["dependencies"]) | names(groups["build"]) <= set(pinned("requirements.lock"))
    assert names(groups["test"]) <= set(pinned("requirements-test.lock"))
    assert names(PYPROJECT["build-system"]["requires"]) <= names(groups["build"])


def test_the_test_lock_changes_nothing_that_people_run():
    tested = pinned("requirements-test.lock")
    assert {name: tested[name] for name in pinned("requirements.lock")} == pinned("requirements.lock")


def test_the_version_is_in_one_place():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "stream_detector/__init__.py"


def test_a_commit_is_checked_with_what_is_installed_and_downloads_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff", "format", "imports", "generated"}
    for hook in hooks:
        assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/"), hook["id"]


def test_make_lists_every_target_that_people_call():
    text = (ROOT / "Makefile").read_text()
    called = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    listed = subprocess.run(["make", "--silent"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in listed.splitlines()} == called
    assert called == {"help", "install", "demo", "lint", "types", "unit", "test", "drills", "generate", "format"} | {
        "lock",
        "sbom",
        "audit",
        "digests",
        "clean",
    }


def test_each_folder_with_compiled_modules_can_be_run_from_its_sources():
    """STREAM_DETECTOR_PURE: a library that is found without its group cannot be imported."""
    folders = {str((ROOT / "stream_detector" / module).parent) for module in MODULES}
    assert folders <= set(_COMPILED)
