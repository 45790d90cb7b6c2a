"""The page's styles hold no rule for a class that nothing has."""

import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "dashboard"


def test_every_class_that_has_a_style_is_written_out_in_a_source() -> None:
    sources = [path for path in DASHBOARD.glob("src/**/*.ts*") if path.name != "openapi.d.ts"]
    used = {word for path in sources for word in re.findall(r"[\w-]+", path.read_text("utf-8"))}
    styles = "".join(path.read_text("utf-8") for path in DASHBOARD.glob("src/styles/*.css"))
    rules = re.findall(r"[^{};]+(?=\{)", re.sub(r"/\*.*?\*/", "", styles, flags=re.DOTALL))
    named = {name for rule in rules for name in re.findall(r"\.([a-z][\w-]*)", rule) if not name.startswith("u-")}
    assert len(named) > 100  # those of uPlot, u-..., are its own
    assert named - used == set()
