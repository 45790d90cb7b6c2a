"""Cut the demo's history out of the whole data sets; rows stay as they are.

    python benchmarks/cut_demo.py dune_variants.csv.gz poll_averages.csv.gz stream_detector/devstack/demo_data

The window of builds was chosen among all windows of 60 days, a week apart, for having many builds of all three
environments and readings of every kind that the classic rules know. Repeating the cut gives the same bytes.
"""

import csv
import gzip
import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

BUILDS_FROM, BUILDS_TO = "2020-09-09", "2020-11-08"  # 60 days
RUNS_FROM, RUNS_TO = "2020-06-06", "2020-08-04"  # 60 days, a run each

Row = dict[str, str]


def cut(source: Path, target: Path, keep: Callable[[list[Row]], Iterable[Row]]) -> int:
    """Write the kept rows of `source` to `target`; returns how many."""
    with gzip.open(source, "rt", newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = reader.fieldnames or [], list(reader)
    kept = list(keep(rows))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    target.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
    return len(kept)


def builds_within(rows: list[Row]) -> Iterable[Row]:
    """Builds that lie in the window with all their test runs."""
    outside = {_build(row) for row in rows if not BUILDS_FROM <= row["ran_at"] < BUILDS_TO}
    return (row for row in rows if _build(row) not in outside)


def runs_within(rows: list[Row]) -> Iterable[Row]:
    """Score runs of the window's days."""
    return (row for row in rows if RUNS_FROM <= row["date"] <= RUNS_TO)


def _build(row: Row) -> tuple[str, str]:
    return row["environment"], row["build_id"]


def main(builds: Path, runs: Path, folder: Path) -> None:
    """Cut both and say how much it is."""
    for source, name, keep in ((builds, "builds.csv.gz", builds_within), (runs, "score_runs.csv.gz", runs_within)):
        rows = cut(source, folder / name, keep)
        print(f"{name}: {rows} rows, {(folder / name).stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
