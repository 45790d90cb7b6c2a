"""Every channel of the registry has all that a channel needs; what one lacks is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from stream_detector.notify.channels.registry import CHANNELS, PROVIDERS, layout_of
from stream_detector.notify.config import INBOX
from stream_detector.notify.rendering.text import TextLayout
from stream_detector.settings import SPECS
from tests.unit.notify.subjects import CONFIG

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "notifications.md").read_text("utf-8")
FOLDERS = ROOT / "stream_detector" / "notify" / "channels"


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_has_its_settings(name: str) -> None:
    spec = CHANNELS[name]
    missing = [setting for setting in (spec.switch, *spec.settings) if setting not in SPECS]
    assert not missing, f"stream_detector/settings.py lacks {missing} of channel {name}"
    assert set(spec.wanted_by) <= set(spec.settings)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_channel_has_its_folder_and_its_rows_in_the_docs(name: str) -> None:
    spec = CHANNELS[name]
    assert (FOLDERS / name / "__init__.py").is_file() and (FOLDERS / name / "client.py").is_file()
    rows = [line.split("|")[1] for line in DOCS.splitlines() if line.startswith("| `")]
    missing = [s for s in (spec.switch, *spec.settings) if not any(f"`{s.upper()}`" in row for row in rows)]
    assert not missing, f"docs/notifications.md has no row for {missing} of channel {name}"
    assert f"`{name}`" in DOCS, f"docs/notifications.md does not list {name} as a channel of a route"


def test_no_folder_is_left_out_of_the_registry() -> None:
    folders = {path.parent.name for path in FOLDERS.glob("*/__init__.py")}
    assert folders == set(PROVIDERS)


def test_the_inbox_comes_first_and_has_no_provider() -> None:
    assert next(iter(CHANNELS)) == INBOX and INBOX not in PROVIDERS


def test_a_channel_that_is_gone_is_shown_as_plain_text() -> None:
    assert isinstance(layout_of("fax"), TextLayout)


def test_the_command_line_offers_the_channels_of_the_registry() -> None:
    for command, names in (("test", PROVIDERS), ("preview", tuple(CHANNELS))):
        shown = subprocess.run(
            [sys.executable, "-m", "stream_detector", "notify", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={"COLUMNS": "400", "PYTHONPATH": str(ROOT), "PATH": ""},
        ).stdout
        assert [name for name in names if name not in shown] == []


def test_a_channel_of_plain_text_keeps_its_providers_limit_and_escape() -> None:
    layout = TextLayout(limit=40, escape=lambda text: text.replace("*", "\\*"))
    shown = layout.show_notice("A *title*", "x" * 100, "https://h", CONFIG)
    assert len(shown.text) == 40 and shown.text.endswith("…") and "\\*title\\*" in shown.text
    assert layout.add_note(shown, "*new*").text.startswith("\\*new\\*\n\n")
    assert layout.add_links(shown, [("Acknowledge", "https://h/links/x")]) == shown, "no half a link"
