"""Digests of images: what a registry answers is written, and nothing where it does not."""

import json
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DIGEST = "sha256:" + "0123456789abcdef" * 4


class Registry(BaseHTTPRequestHandler):
    """Asks for a token first, as Docker Hub does."""

    protocol_version = "HTTP/1.1"
    digest = DIGEST

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != "Bearer let-me-in":
            self.send_response(401)
            realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="here",scope="pull"')
        else:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", self.digest)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        body = b'{"token": "let-me-in"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that name images."""
    (tmp_path / "deploy").mkdir()
    for name in ("docker-compose.yml", "deploy/Dockerfile", "deploy/images.json", "deploy/images.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(checkout / "deploy" / "images.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_digests_that_a_registry_gives_are_written_everywhere(checkout: Path, registry: str) -> None:
    assert run(checkout, "--digests", "--registry", registry).returncode == 0
    images = json.loads((checkout / "deploy" / "images.json").read_text("utf-8"))
    assert all(entry["digest"] == DIGEST for entry in images.values())
    compose = (checkout / "docker-compose.yml").read_text("utf-8")
    assert compose.count(f"@{DIGEST}") == 5 and f"image: postgres:17.6-bookworm@{DIGEST}" in compose
    assert (checkout / "deploy" / "Dockerfile").read_text("utf-8").count(f"@{DIGEST}") == 2
    assert run(checkout, "--check").returncode == 0
    assert run(checkout, "--digests", "--registry", registry).returncode == 0, "a second time changes nothing"


@pytest.mark.parametrize("digest", ["", "latest", "sha256:12"])
def test_nothing_is_made_up(checkout: Path, registry: str, monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    monkeypatch.setattr(Registry, "digest", digest)
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    done = run(checkout, "--digests", "--registry", registry)
    assert done.returncode == 1 and "Nothing was changed" in done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_without_a_registry_nothing_is_changed(checkout: Path) -> None:
    before = (checkout / "deploy" / "images.json").read_bytes()
    done = run(checkout, "--digests", "--registry", "http://127.0.0.1:1")
    assert done.returncode == 1 and "gave no digest" in done.stderr
    assert (checkout / "deploy" / "images.json").read_bytes() == before


def test_another_tag_is_written_and_noticed(checkout: Path) -> None:
    images = checkout / "deploy" / "images.json"
    images.write_text(images.read_text("utf-8").replace("12.1.1", "12.9.9"), "utf-8")
    assert run(checkout, "--check").returncode == 1
    assert run(checkout).returncode == 0
    assert "grafana/grafana:12.9.9" in (checkout / "docker-compose.yml").read_text("utf-8")


def test_the_bill_of_materials_has_what_the_dashboard_imports() -> None:
    sbom = runpy.run_path(str(ROOT / "deploy" / "sbom.py"))
    assert sbom["imported"](ROOT / "dashboard" / "src") == {"preact", "uplot"}
    lock = json.loads((ROOT / "dashboard" / "package-lock.json").read_text("utf-8"))
    components = sbom["bundled"](lock, {"preact", "uplot"})
    assert {each["name"] for each in components} >= {"preact", "uplot"}
    assert all(each["purl"] == f"pkg:npm/{each['name']}@{each['version']}" for each in components)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', 0),
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]}', 1),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', 3),
        ('{"dependencies": []}', 3),
        ("", 3),
    ],
)
def test_an_audit_that_was_none_is_not_passed(answer: str, code: int) -> None:
    audit = runpy.run_path(str(ROOT / "deploy" / "audit.py"))
    found, lines = audit["check"]("some.lock", [sys.executable, "-c", f"print({answer!r})"])
    assert found == code and lines
    assert ("not checked" in lines[0]) == (code == 3)
