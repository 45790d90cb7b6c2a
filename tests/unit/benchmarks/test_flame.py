"""The flame graph shows the worker's loop, by how long each function was on the stack."""

from xml.etree import ElementTree

import pytest

from benchmarks import flame

pytestmark = pytest.mark.drill

_LOOP = "<module> (a.py:1);execute_from_commandline (mode/worker.py:264)"
FOLDED = [
    f"{_LOOP};handle (stream_detector/roles/d.py:5);step (stream_detector/detect/s.py:7) 30",
    f"{_LOOP};handle (stream_detector/roles/d.py:9) 10",
    f"{_LOOP};send<T> (aiokafka/c.py:9) 60",
    "<module> (a.py:1);import (b.py:2) 500",
]


def test_lines_of_one_function_are_one_frame_and_the_start_is_left_out():
    root, own = flame.tree(iter(FOLDED))
    assert root.samples == 100
    assert root.callees["handle (stream_detector/roles/d.py)"].samples == 40
    assert own == {"stream_detector/detect/s.py": 30, "stream_detector/roles/d.py": 10, "aiokafka/c.py": 60}


def test_the_widths_are_the_shares():
    root, _ = flame.tree(iter(FOLDED))
    drawn = ElementTree.fromstring(flame.svg(root, "a < b"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = {}
    for group in drawn.iter(f"{space}g"):
        if (title := group.find(f"{space}title")) is not None:
            boxes[title.text] = group.find(f"{space}rect")
    assert float(boxes["step (stream_detector/detect/s.py) 30.0%"].get("width")) == 0.3 * flame.WIDTH
    assert set(boxes) == {
        "handle (stream_detector/roles/d.py) 40.0%",
        "step (stream_detector/detect/s.py) 30.0%",
        "send<T> (aiokafka/c.py) 60.0%",
    }
