"""A flame graph of one of our own workers at full speed, small enough to be kept: docs/plots/flame.svg.

python -m benchmarks.flame [--system ours_full] [--events N] [--out FILE.svg] [--py-spy PATH]

Needs py-spy (on PyPI; no dependency of ours), which may have to run as root. Frames below `LEAST` of all samples are
left out, and so is the start of the process. The last line on stdout is one JSON object: the share of each module in
its own code, largest first.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from benchmarks import load
from benchmarks.broker import new_broker, split_cores
from benchmarks.command import parser_of, report
from benchmarks.measure import NoFigureError, check_alerts, run_peer
from benchmarks.systems import SYSTEMS, prepare

ROOT = "execute_from_commandline"
"""The frame below which the worker's loop runs."""
LEAST = 0.004
WIDTH, ROW = 1200, 17
COLOURS = {"stream_detector/detect": "#e4a853", "stream_detector/events": "#d9d36b", "stream_detector": "#e07b53"}
OTHER = "#b9c3cf"


@dataclass
class Frame:
    """One function on the stack and how many samples it was on it."""

    samples: int = 0
    callees: dict[str, "Frame"] = field(default_factory=dict)


def tree(folded: Iterator[str]) -> tuple[Frame, Counter[str]]:
    """The frames below `ROOT`, of lines `frame;frame;frame samples`; and the samples of each module in its own code."""
    root, own = Frame(), Counter[str]()
    for line in folded:
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] + ")" if ":" in frame else frame for frame in stack.split(";")]
        start = next((n for n, frame in enumerate(frames) if ROOT in frame), None)
        if start is None:
            continue
        at, samples = root, int(count)
        at.samples += samples
        for name in frames[start + 1 :]:
            at = at.callees.setdefault(name, Frame())
            at.samples += samples
        own[frames[-1].partition(" (")[2].rstrip(")")] += samples
    return root, own


def svg(root: Frame, title: str) -> str:
    """The graph, callers below; a frame's full name and share are its tooltip."""
    boxes: list[str] = []
    depth = _draw(root, 0.0, 0, root.samples, boxes)
    height = (depth + 2) * ROW
    flipped = f'<g transform="translate(0 {height - ROW}) scale(1 1)">'
    style = "font:11px sans-serif"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" style="{style}">'
    return "\n".join([head, f'<text x="4" y="13">{escape(title)}</text>', flipped, *boxes, "</g></svg>", ""])


def _draw(frame: Frame, x: float, level: int, total: int, boxes: list[str]) -> int:
    deepest = level
    for name, callee in sorted(frame.callees.items()):
        share = callee.samples / total
        if share < LEAST:
            continue
        width, function = share * WIDTH, name.partition(" (")[0]
        place = name.partition(" (")[2].rstrip(")")
        colour = next((colour for start, colour in COLOURS.items() if place.startswith(start)), OTHER)
        label = function.rpartition(">.")[2][: int(width / 6.2)] if width > 25 else ""
        text = f'<text x="{x + 2:.1f}" y="{-level * ROW + 12}">{escape(label)}</text>' if label else ""
        boxes.append(
            f'<g><title>{escape(name)} {share:.1%}</title><rect x="{x:.1f}" y="{-level * ROW}" width="{width:.1f}" '
            f'height="{ROW - 1}" fill="{colour}"/>{text}</g>'
        )
        deepest = max(deepest, _draw(callee, x, level + 1, total, boxes))
        x += width
    return deepest


async def sample(arguments: argparse.Namespace) -> list[str]:
    """Folded stacks of one run, which must have found what it must."""
    system, events = SYSTEMS[arguments.system], arguments.events
    jars = Path(arguments.jars) if arguments.jars else None
    own, others = split_cores()
    with (
        tempfile.TemporaryDirectory() as folder,
        new_broker(arguments.kafka, Path(folder), jars=jars, cores=others) as broker,
    ):
        values = list(load.events(events, keys=arguments.keys, shape=system.shape))
        orders = await prepare(arguments.system, broker, "flame-", keys=arguments.keys, events=events)
        await load.publish(broker, orders.source, values)
        stacks = Path(folder) / "stacks"
        spy = [arguments.py_spy, "record", "--format", "raw", "--rate", "200", "--output", str(stacks), "--"]
        await run_peer([*spy, *system.command()], orders, cores=own, timeout_s=600)
        await check_alerts(orders, system.expected_alerts(values))
        return stacks.read_text("utf-8").splitlines()


def main(given: list[str] | None = None) -> int:
    """Measure and draw. 0 done, 1 no py-spy or a wrong result."""
    parser = parser_of("flame", __doc__, kafka="apache")
    parser.add_argument("--system", choices=[name for name in SYSTEMS if name.startswith("ours")], default="ours_full")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--out", default="docs/plots/flame.svg")
    parser.add_argument("--py-spy", default=shutil.which("py-spy") or "", help="the program; else the one on PATH")
    arguments = parser.parse_args(given)
    return report(lambda: draw(arguments))


def draw(arguments: argparse.Namespace) -> dict[str, float]:
    """Write the graph; returns the share of the 25 functions that most samples were in."""
    if not arguments.py_spy:
        raise NoFigureError("py-spy is not on PATH: pip install py-spy, or name it with --py-spy")
    root, own = tree(iter(asyncio.run(sample(arguments))))
    title = f"{arguments.system}, {arguments.events:,} events of {arguments.keys:,} workflows, {root.samples} samples"
    Path(arguments.out).write_text(svg(root, title), "utf-8")
    return {place: round(count / root.samples, 3) for place, count in own.most_common(25)}


if __name__ == "__main__":
    sys.exit(main())
