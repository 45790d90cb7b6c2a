"""Mappings (X23): ten lines of TOML read any JSON and any table, and what is wrong with one is said to its writer."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream_detector.events import Completion, RefusedError, Score
from stream_detector.events.decode import DECODERS
from stream_detector.events.inputs import Event
from stream_detector.events.mapping import MappingError, load_folder, load_mapping, use_folder
from stream_detector.events.mapping.load import parse_mapping
from stream_detector.events.mapping.mapping import Mapping
from stream_detector.events.mapping.paths import PathError, parse_path
from stream_detector.events.sources import SOURCE_HEADER
from stream_detector.events.sources.source import IgnoredError

TEN = """
execution_id = "build.id"
workflow_id = "{project}/{build.name}"
status = "build.result"
started_at = { field = "build.start", unit = "ms" }
duration_s = { field = "build.took", unit = "ms" }
[status_values]
PASSED = "success"
BROKEN = "failure"
RUNNING = "ignore"
[labels]
branch = "build.refs[0].name"
"""
BUILD = {
    "project": "shop",
    "build": {
        "id": 9007199254740993,
        "name": "nightly",
        "result": "PASSED",
        "start": 1769040000000,
        "took": 93500,
        "refs": [{"name": "main"}],
    },
}


def mapped(text: str) -> Mapping:
    return parse_mapping(text, "test", "test.toml")


def events(text: str, *documents: Any) -> list[Event | str]:
    mapping, found = mapped(text), []
    for document in documents:
        for each in mapping.events(document):
            if isinstance(each, RefusedError):
                found.append(each.reason)
                continue
            try:
                found.append(DECODERS[mapping.kind](each, (), -1))
            except RefusedError as error:
                found.append(error.reason)
    return found


def test_x23_ten_lines_read_a_build_with_its_units_and_its_id_exactly() -> None:
    (event,) = events(TEN, BUILD)
    assert isinstance(event, Completion)
    assert (event.execution_id, event.workflow_id, event.status) == ("9007199254740993", "shop/nightly", "success")
    assert (event.duration_s, event.labels) == (93.5, {"branch": "main"})
    assert event.started_at.isoformat() == "2026-01-22T00:00:00+00:00"
    assert event.finished_at.isoformat() == "2026-01-22T00:01:33.500000+00:00"


def test_x23_what_is_going_on_is_no_event_and_an_unknown_status_is_refused_with_the_known_ones() -> None:
    running = json.loads(json.dumps(BUILD).replace("PASSED", "running"))
    other = json.loads(json.dumps(BUILD).replace("PASSED", "odd"))
    assert events(TEN, running, other) == ["unknown_value"]
    (error,) = mapped(TEN).events(other)
    assert isinstance(error, RefusedError)
    assert error.message == "$.build.result: not one of PASSED, BROKEN, RUNNING; add it to status_values"
    assert [
        each.status for each in events(TEN + '\n[when]\nproject = ["shop"]', BUILD) if isinstance(each, Completion)
    ] == ["success"]
    assert events(TEN + '\n[when]\nproject = "other"', BUILD) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "missing_field"),
        ({"id": ["x"]}, "wrong_type"),
        ({"id": True}, None),
        ({"start": "soon"}, "bad_number"),
        ({"start": 1769040000}, "bad_time"),
        ({"start": 10**40}, "out_of_range"),
        ({"start": 253402300799000}, "bad_time"),
        ({"start": -62135596800000}, "bad_time"),
        ({"took": -1}, "out_of_range"),
        ({"took": "1e30"}, "out_of_range"),
        ({"took": None}, None),
        ({"result": None}, "missing_field"),
        ({"result": {"a": 1}}, "missing_field"),
        ({"refs": []}, None),
        ({"refs": [{"name": {"odd": 1}}]}, None),
    ],
)
def test_x23_bad_values_are_refused_and_odd_details_left_out(change: dict[str, Any], reason: str | None) -> None:
    (event,) = events(TEN, BUILD | {"build": BUILD["build"] | change})  # type: ignore[operator]
    assert (event if isinstance(event, str) else None) == reason


def test_x23_durations_that_are_not_there_are_null_and_without_a_mapping_the_times_tell_them() -> None:
    (event,) = events(TEN, BUILD | {"build": BUILD["build"] | {"took": None}})  # type: ignore[operator]
    assert isinstance(event, Completion) and event.duration_s is None and event.started_at == event.finished_at
    both = TEN.replace(
        'duration_s = { field = "build.took", unit = "ms" }', 'finished_at = { value = "2026-01-22T00:05:00Z" }'
    )
    (event,) = events(both, BUILD)
    assert isinstance(event, Completion) and (event.finished_at - event.started_at).total_seconds() == 300


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("s", "12.5", 12.5),
        ("ms", 1500, 1.5),
        ("us", 1500, 0.0015),
        ("ns", 1_500_000_000, 1.5),
        ("min", 2, 120),
        ("h", "0.5", 1800),
        ("iso", "PT1M30.5S", 90.5),
        ("iso", "P1DT1H", 90_000),
        ("clock", "00:01:30", 90),
        ("clock", "01:30,5", 90.5),
        ("clock", "25:00:00", 90_000),
    ],
)
def test_x23_units_of_a_duration(unit: str, value: Any, expected: float) -> None:
    (event,) = events(
        TEN.replace('took", unit = "ms"', f'took", unit = "{unit}"'),
        BUILD | {"build": BUILD["build"] | {"took": value}},
    )  # type: ignore[operator]
    assert isinstance(event, Completion) and event.duration_s == expected


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ('{ field = "build.start", unit = "s" }', 1769040000),
        ('{ field = "build.start", unit = "ns" }', "1769040000000000000"),
        ('{ field = "build.start", unit = "s" }', "1769040000.0"),
        ('"build.start"', "2026-01-22T00:00:00Z"),
        ('"build.start"', "20260122T000000+0000"),
        ('{ field = "build.start", zone = "UTC" }', "2026-01-22 00:00:00"),
        ('{ field = "build.start", zone = "+01:00" }', "2026-01-22 01:00"),
        ('{ field = "build.start", zone = "Europe/Berlin" }', "2026-01-22T01:00:00"),
        ('{ field = "build.start", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }', "22.01.2026 01:00"),
        ('{ field = ["nothing", "build.start"] }', "2026-01-22T00:00:00Z"),
        ('["nothing", "build.start"]', "2026-01-22T00:00:00Z"),
    ],
)
def test_x23_forms_of_a_time(spec: str, value: Any) -> None:
    text = TEN.replace('{ field = "build.start", unit = "ms" }', spec)
    (event,) = events(text, BUILD | {"build": BUILD["build"] | {"start": value}})  # type: ignore[operator]
    assert isinstance(event, Completion), event
    assert event.started_at.isoformat() == "2026-01-22T00:00:00+00:00"


def test_x23_elements_of_lists_with_the_document_around_them() -> None:
    text = (
        'each = "jobs[].runs"\nexecution_id = "id"\nworkflow_id = "{$.project}/{name}"\nstatus = "ok"\n'
        'finished_at = "tags[key=end].value"\n[status_values]\ntrue = "success"\nfalse = "failure"\n'
    )
    runs = [
        {"id": n, "name": "a", "ok": n != 2, "tags": [{"key": "x"}, {"key": "end", "value": "2026-01-22T00:00:00Z"}]}
        for n in (1, 2)
    ]
    document = {"project": "p", "jobs": [{"runs": runs}, {"runs": runs[0] | {"id": 3}}, {"other": 1}]}
    seen = [(e.execution_id, e.workflow_id, e.status) for e in events(text, document) if isinstance(e, Completion)]
    assert seen == [("1", "p/a", "success"), ("2", "p/a", "failure"), ("3", "p/a", "success")]


def test_x23_steps_keep_what_can_be_read_of_them() -> None:
    text = TEN + (
        '[steps]\neach = "build.stages"\nname = "title"\nstatus = "state"\n'
        'started_at = { field = "from", unit = "s" }\nfinished_at = { field = "to", unit = "s" }\n'
    )
    stages = [
        {"title": "compile", "state": "PASSED", "from": 1769040000, "to": 1769040010.5},
        {"title": "test", "state": "odd", "from": "x", "to": 1},
        {"state": "PASSED"},
    ]
    (event,) = events(text, BUILD | {"build": BUILD["build"] | {"stages": stages}})  # type: ignore[operator]
    assert isinstance(event, Completion)
    assert [(step.name, step.status, step.duration_s) for step in event.steps] == [
        ("compile", "success", 10.5),
        ("test", None, None),
    ]


def test_x23_scores_keep_their_digits() -> None:
    text = 'kind = "score"\nentity_id = "who"\nscore = "points"\nscored_at = "day"\n'
    (event,) = events(text, {"who": "lido", "points": "7.50", "day": "2026-01-22"})
    assert isinstance(event, Score) and (event.entity_name, str(event.score)) == ("lido", "7.50")


def test_x23_a_mapping_of_one_line_leaves_all_other_fields_as_they_are() -> None:
    own = {
        "execution_id": "1", "workflow_id": "w", "status": "success", "started_at": "2026-01-22T00:00:00Z",
        "finished_at": "2026-01-22T00:05:00Z", "duration_ms": 298400, "labels": {"a": "b"}, "steps": [{"name": "x"}],
    }  # fmt: skip
    (event,) = events('duration_s = { field = "duration_ms", unit = "ms" }', own)
    assert isinstance(event, Completion)
    assert (event.duration_s, event.labels, event.steps[0].name) == (298.4, {"a": "b"}, "x")
    (event,) = events('[status_values]\nSUCCESS = "success"', own | {"status": "SUCCESS"})
    assert isinstance(event, Completion) and event.status == "success"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "not TOML"),
        ('exec_id = "x"', "exec_id is not known; did you mean execution_id?"),
        ('kind = "build"', "kind must be one of completion, score, score_run"),
        ('status = "s"\n[status_values]\nOK = "good"', "status_values.OK must be one of success, failure"),
        ('duration_s = { field = "x", unit = "sec" }', "duration_s.unit must be one of"),
        ('started_at = { field = "x", unit = "min" }', "started_at.unit must be one of s, ms, us, ns"),
        ('workflow_id = { field = "x", unit = "s" }', "workflow_id has no unit"),
        ("execution_id = 7", "execution_id must be the name of a field, in quotes"),
        ('execution_id = "a..b"', "is not a path"),
        ('execution_id = { feld = "a" }', "execution_id.feld is not known; did you mean execution_id.field?"),
        ('zone = "Mars/Base"\nstarted_at = "x"', "is no zone known here"),
        ('labels = "x"', "labels must be a table"),
        ('[steps]\neach = "x"', "steps.name is missing"),
    ],
)
def test_x23_what_is_wrong_with_a_mapping_is_said_to_its_writer(text: str, message: str) -> None:
    with pytest.raises(MappingError, match=r"^test\.toml: ") as caught:
        mapped(text)
    assert message in str(caught.value)


def test_x23_a_folder_of_mappings_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(TEN)
    assert load_folder(tmp_path).keys() == {"shop"}
    (tmp_path / "Bad Name.toml").write_text(TEN)
    with pytest.raises(MappingError, match="lower-case letters"):
        load_folder(tmp_path)
    with pytest.raises(MappingError, match="cannot be read"):
        load_mapping(tmp_path / "nothing")
    with pytest.raises(MappingError, match="is not a folder"):
        load_folder(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "a[", "a[x]", "a]b", '"', "a b.[]c"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathError):
        parse_path(text)


def test_paths_find_names_with_points_elements_and_pairs() -> None:
    document = {"a.b": 1, "x": {"y.z": [{"k": "v", "n": 2}]}, "l": [[3]]}
    found = [
        parse_path(text).find(document, document)
        for text in ("a.b", 'x."y.z"[k=v].n', "l[0][0]", "l[7]", "x[0]", "$.a.b")
    ]
    assert found == [1, 2, 3, None, None, 1]


def test_x23_a_mapping_of_a_folder_is_known_once_the_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(
        'execution_id = "n"\nworkflow_id = "job"\nstatus = "ok"\nfinished_at = "end"\n'
        '[status_values]\n1 = "success"\n"*" = "failure"\n2 = "ignore"\n'
    )
    value = b'{"n": 9007199254740993, "job": "a", "ok": 1, "end": "2026-01-22T00:00:00Z"}'
    headers = [(SOURCE_HEADER, b"shop")]
    with pytest.raises(RefusedError):
        DECODERS["completion"](value, headers, -1)
    with pytest.raises(MappingError, match=r"shop is read without a mapping; choose another name"):
        use_folder(tmp_path, taken=["shop"])
    use_folder(tmp_path)
    try:
        event = DECODERS["completion"](value, headers, -1)
        assert isinstance(event, Completion) and (event.execution_id, event.duration_s) == ("9007199254740993", None)
        with pytest.raises(IgnoredError, match="no event as the mapping shop has it"):
            DECODERS["completion"](value.replace(b": 1,", b": 2,"), headers, -1)
        for bad, reason in (
            (b"[" * 10_000, "too_deep"),
            (value[:30], "not_json"),
            (value.replace(b"a", b"\xff"), "not_utf8"),
            (value.replace(b"9007199254740993", b"9" * 5000), "out_of_range"),
            (value.replace(b"1,", b"NaN,"), "bad_number"),
        ):
            with pytest.raises(RefusedError) as caught:
                DECODERS["completion"](bad, headers, -1)
            assert caught.value.reason == reason
    finally:
        use_folder(None)
