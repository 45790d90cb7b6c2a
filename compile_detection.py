"""Compiles what each event passes, decoding and detection, to C by mypyc: libraries that Python prefers to the sources.

    python compile_detection.py [--remove-stale]

hatch_build.py calls it when a wheel is built or the checkout is installed editable, `make install` after that. An event
costs an eighth of the processor time then (docs/performance.md). Without a C compiler or Python's headers nothing is
lost but that: the sources are run. With STREAM_DETECTOR_PURE=1 nothing is compiled, and the sources are run in any
case. `--remove-stale` compiles nothing: it removes libraries that are older than a source.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent
PACKAGE = Path("stream_detector")
GROUP = "stream_detector.detect.compiled"
_DETECT = (
    *("baseline", "baseline_buffer", "classic", "clock", "due", "finding", "incident", "investigation", "judge"),
    *("label_window", "missed", "robust", "running", "running_state", "step", "step_completion", "times"),
    *("variant_state", "wording"),
    *("rules/pattern_deviation", "rules/resource_exhaustion", "rules/shared"),
    *("rules/branch_failures", "rules/spike_in_failures", "rules/timing"),
    *("statistics/given_schedule", "statistics/limit", "statistics/page_hinkley", "statistics/usual_time"),
    *(f"statistics/{name}" for name in ("days", "evidence", "failures", "history", "level", "readings", "resources")),
    *(f"statistics/schedule/{name}" for name in ("daylight", "expected", "following", "hours", "learned", "learning")),
    "statistics/schedule/schedule",
    *("statistics/rhythm", "statistics/tails", "codec/binary", "codec/packed", "codec/recent_ids"),
)
_EVENTS = "decode", "documents", "times"
MODULES = (*(f"detect/{name}" for name in _DETECT), *(f"events/{name}" for name in _EVENTS))
_IN_PLACE = "--in-place"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


def sources() -> list[Path]:
    """What is compiled."""
    return [ROOT / PACKAGE / f"{name}.py" for name in MODULES]


def libraries() -> list[Path]:
    """One small library a module, and the one that all of them are in."""
    return [path.with_name(path.stem + SUFFIX) for path in sources()] + [
        ROOT / f"{GROUP.replace('.', '/')}__mypyc{SUFFIX}"
    ]


def is_stale() -> bool:
    """Whether a library is missing or older than a source."""
    built = libraries()
    if not all(path.is_file() for path in built):
        return True
    newest = max(path.stat().st_mtime for path in [*sources(), Path(__file__)])
    return newest > min(path.stat().st_mtime for path in built)


def compile_all() -> list[Path]:
    """The libraries, made anew where a source is newer; none where they cannot be made: those of before go.

    None either where STREAM_DETECTOR_PURE is set.
    """
    remove_stale()
    if os.environ.get("STREAM_DETECTOR_PURE", "").lower() not in ("", "0", "false"):
        return []
    if not is_stale():
        return libraries()
    done = subprocess.run([sys.executable, __file__, _IN_PLACE], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        for path in libraries():
            path.touch()  # one that came out the same was copied with its old time
        return libraries()
    _remove()
    last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word why"]
    print(f"detection is not compiled, it takes eight times the processor time an event: {last[0]}", file=sys.stderr)
    return []


def remove_stale() -> None:
    """Leave no library that Python would prefer to a newer source."""
    if is_stale():
        _remove()


def _remove() -> None:
    for package in ("detect", "events"):  # those of a module that has moved, too: Python would prefer them
        for path in (ROOT / PACKAGE / package).rglob(f"*{SUFFIX}"):
            path.unlink()


def main(arguments: list[str]) -> None:
    """What the command line asks for."""
    if arguments == [_IN_PLACE]:
        compile_in_place()
    elif arguments == ["--remove-stale"]:
        remove_stale()
    elif not arguments:
        compile_all()
    else:
        sys.exit("usage: python compile_detection.py [--remove-stale]")


def compile_in_place() -> None:
    """Compile beside the sources. Raises where it does not work; so it is called in a process of its own."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    os.chdir(ROOT)
    paths = [str(PACKAGE / f"{name}.py") for name in MODULES]
    target = "build/compiled"
    extensions = mypycify(
        ["--config-file", "pyproject.toml", *paths], opt_level="2", debug_level="0", group_name=GROUP, target_dir=target
    )
    command = build_ext(Distribution({"name": "stream-detector", "ext_modules": extensions}))
    command.inplace, command.build_temp = True, target
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    main(sys.argv[1:])
