"""Draws real series with the expected band and the alarms of profile `robust`, as SVG for docs/detection.md.

python -m benchmarks.plots [--data FOLDER] [--out FOLDER]
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import injected, quality
from benchmarks.command import parser_of, report
from stream_detector.composition import detection_config
from stream_detector.detect import Baseline, step
from stream_detector.events.times import epoch_ms
from stream_detector.settings import Settings

WIDTH, HEIGHT, MARGIN = 900, 260, 40
_SENT = {"warning": "#d97706", "critical": "#dc2626", "info": "#94a3b8"}


@dataclass
class Drawn:
    """One execution: what it took, the band before it, and its worst severity (empty for none)."""

    duration_s: float
    low: float
    high: float
    severity: str


def follow(lane: injected.Lane) -> list[Drawn]:
    """Every recorded execution of a lane with what profile `robust` expected of it."""
    baseline, config = Baseline.new(f"workflow:{lane.key}"), detection_config(Settings(profile="robust"))
    drawn = []
    for event in quality.completions(lane, timed=True):
        level = baseline.level  # type: ignore[union-attr]
        low, _, high = level.expected_range(epoch_ms(event.finished_at))
        found = [one for one in step(baseline, event, config).anomalies if one.state == "opened"]
        worst = max((one.severity for one in found), key=["info", "warning", "critical"].index, default="")
        if event.duration_s:
            drawn.append(Drawn(event.duration_s, max(low, 0.001), high, worst if level.n > 30 else ""))
    return drawn


def svg(title: str, drawn: Sequence[Drawn]) -> str:
    """Durations as dots on a log axis, the band as an area, alarms as circles."""
    seen = [one.duration_s for one in drawn]
    bottom, top = math.log(max(min(seen), 1e-3) * 0.8), math.log(max(seen) * 1.25)

    def x(number: int) -> float:
        return MARGIN + number * (WIDTH - 2 * MARGIN) / max(1, len(drawn) - 1)

    def y(duration_s: float) -> float:
        share = (math.log(duration_s) - bottom) / (top - bottom)
        return HEIGHT - MARGIN - min(max(share, 0.0), 1.0) * (HEIGHT - 2 * MARGIN)

    upper = [f"{x(n):.1f},{y(one.high):.1f}" for n, one in enumerate(drawn) if n >= 30]
    lower = [f"{x(n):.1f},{y(one.low):.1f}" for n, one in enumerate(drawn) if n >= 30]
    dots = "".join(f'<circle cx="{x(n):.1f}" cy="{y(one.duration_s):.1f}" r="1"/>' for n, one in enumerate(drawn))
    alarms = "".join(
        f'<circle cx="{x(n):.1f}" cy="{y(one.duration_s):.1f}" r="5" stroke="{_SENT[one.severity]}"/>'
        for n, one in enumerate(drawn)
        if one.severity
    )
    ticks = "".join(
        f'<text x="4" y="{y(value) + 4:.1f}">{value:g} s</text>'
        for value in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
        if bottom < math.log(value) < top
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{MARGIN}" y="20" font-size="13">{title}</text>'
        f'<polygon points="{" ".join(upper + lower[::-1])}" fill="#bfdbfe"/>'
        f'<g fill="#1e293b">{dots}</g><g fill="none" stroke-width="2">{alarms}</g><g fill="#475569">{ticks}</g></svg>\n'
    )


def main() -> int:
    """Three series: a plain history, injected anomalies, multiplied ones."""
    parser = parser_of("plots", __doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/plots"))
    options = parser.parse_args()
    return report(lambda: draw(options))


def draw(options: argparse.Namespace) -> dict[str, int]:
    """Write the files; returns the runs in each."""
    options.out.mkdir(parents=True, exist_ok=True)
    retrofit = injected.read(options.data / "ci" / "retrofit.csv.gz")
    dune = injected.read(options.data / "ci" / "dune_variants.csv.gz")
    plain = max(dune.items(), key=lambda item: len(item[1]))
    lanes = {
        "history": injected.Lane(plain[0], plain[1][-400:]),
        "injected": injected.with_durations(retrofit, 0, multiplied=False)[0],
        "multiplied": injected.with_durations(dune, 0, multiplied=True)[0],
    }
    for name, lane in lanes.items():
        title = f"{name}: {lane.key}, {len(lane.runs)} runs; band of two sigma, alarms circled (grey: recorded only)"
        (options.out / f"{name}.svg").write_text(svg(title, follow(lane)))
    return {name: len(lane.runs) for name, lane in lanes.items()}


if __name__ == "__main__":
    sys.exit(main())
