"""A new channel takes the four files that `channels/registry` names, and nothing else: shown on a copy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import stream_detector
from stream_detector.events.encode import encode
from tests.unit.notify.subjects import slow

PACKAGE = Path(stream_detector.__file__).parent
CONNECT = '''"""A file to which each message is appended, for programs that read it."""

from typing import TYPE_CHECKING

from stream_detector.notify.channels.channel import Channel

if TYPE_CHECKING:
    from stream_detector.settings import Settings


def connect(settings: "Settings") -> Channel:
    """The channel of `SPOOL_FILE`."""
    from stream_detector.notify.channels.spool.client import Spool

    return Spool(settings.spool_file)
'''
CLIENT = r'''"""Appends to a file."""

from pathlib import Path

from stream_detector.notify.message import Delivered, Message, Result, RetryAfter


class Spool:
    """One line a message."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def deliver(self, message: Message) -> Result:
        """Append it."""
        try:
            with self._path.open("a") as file:
                file.write(message.text.replace("\n", " ") + "\n")
        except OSError as error:
            return RetryAfter(0.0, f"the file cannot be written: {error.strerror}")
        return Delivered("appended")

    async def close(self) -> None:
        """Nothing is held."""
'''
ROW = (
    ")\n\nCHANNELS = ",
    """    ChannelSpec(
        name="spool",
        title="Spool file",
        layout=TextLayout(limit=120, escape=lambda text: text.replace("*", "")),
        settings=("spool_file",),
        connect=spool.connect,
    ),
)

CHANNELS = """,
)
IMPORT = ("import apprise, email, slack, slack_bot, webhook", "import apprise, email, slack, slack_bot, spool, webhook")
SETTINGS = """    spool_enabled: bool = setting(True, _flag, "Append to SPOOL_FILE if it is set", group="Notifications")
    spool_file: str = setting("", _text, "File to which each message is appended", group="Notifications")
"""


def edited(path: Path, *replacements: tuple[str, str]) -> None:
    """The file with each text in place of another, which must be there once."""
    text = path.read_text("utf-8")
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def test_a_channel_is_set_tried_routed_and_rendered_after_four_files(tmp_path: Path) -> None:
    copy, spooled = tmp_path / "stream_detector", tmp_path / "spooled.txt"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "static", "__pycache__", "demo_data"))
    folder = copy / "notify" / "channels" / "spool"
    folder.mkdir()
    (folder / "__init__.py").write_text(CONNECT, "utf-8")
    (folder / "client.py").write_text(CLIENT, "utf-8")
    edited(copy / "notify" / "channels" / "registry.py", ROW, IMPORT)
    edited(copy / "settings.py", ("    apprise_enabled: bool", f"{SETTINGS}    apprise_enabled: bool"))
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "STREAM_DETECTOR_PURE": "1"}

    def run(*arguments: str, **more: str) -> str:
        command = [sys.executable, "-m", "stream_detector", "notify", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environ | more, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    answer = json.loads(run("test", "spool", "--json", STREAM_DETECTOR_SPOOL_FILE=str(spooled)))
    assert answer == {"channel": "spool", "delivered": True, "answer": "appended"}
    assert spooled.read_text("utf-8").startswith("🔵 Info: Performance degradation in test-workflow")
    anomaly, routes = tmp_path / "anomaly.json", tmp_path / "routes.toml"
    anomaly.write_bytes(encode(slow(entity_name="*nightly*")))
    title, _, text = run("preview", str(anomaly), "--channel", "spool").partition("\n\n")
    assert title == "Critical: Performance degradation in *nightly*"
    assert "in nightly" in text and len(text.rstrip("\n")) == 120
    routes.write_text('[[route]]\nname = "r"\nchannels = ["spool"]\n', "utf-8")
    assert "-> spool" in run("validate", str(routes))
