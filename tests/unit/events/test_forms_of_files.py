"""The forms in which people have their files (X20): each is read as what it is, or refused with what to do."""

import gzip
import io
import json
from pathlib import Path

import cramjam
import pytest

from stream_detector.events import Completion, Score
from stream_detector.events.files import HistoryError, history, read_events, read_history, value_reader
from stream_detector.events.lines import Line
from stream_detector.events.mapping.load import parse_mapping
from stream_detector.events.sources import find_source
from stream_detector.events.sources.source import Source
from tests.unit.events.samples import AT_MS, completion, score, score_run
from tests.unit.events.source_matrix import PAYLOADS

HEADER = "execution_id,workflow_id,status,started_at,finished_at,duration_s\n"
ROW = "1,w,success,2026-01-22T00:00:00Z,2026-01-22T00:01:00Z,59.5\n"
SCORES = "entity_id,entity_name,score,scored_at"
PRETTY = b"""{
  "execution_id": "1",
  "workflow_id": "w",
  "status": "success",
  "labels": {
    "a": "b"
  },
  "started_at": "2026-01-22T00:00:00Z",
  "finished_at": "2026-01-22T00:01:00Z"
}
"""


def read(content: str | bytes, encoding: str | None = None, notes: list[str] | None = None) -> list[Line]:
    data = content if isinstance(content, bytes) else content.encode()
    note = (lambda text: None) if notes is None else notes.append
    return list(read_events(io.BytesIO(data), "history", record_ms=AT_MS, encoding=encoding, note=note))


def reasons(lines: list[Line]) -> list[tuple[int, str | None]]:
    return [(line.number, line.error.reason if line.error else None) for line in lines]


def test_x20_one_event_over_many_lines_and_several_of_them() -> None:
    assert reasons(read(PRETTY)) == [(1, None)]
    assert reasons(read(b"\n" + PRETTY + b"\n" + PRETTY.rstrip() + PRETTY)) == [(2, None), (13, None), (22, None)]
    assert reasons(read(PRETTY.replace(b"\n", b"\r\n"))) == [(1, None)]


def test_x20_an_array_on_one_line_on_many_and_with_a_line_each() -> None:
    one, two = completion(execution_id="1"), completion(execution_id="2")
    assert reasons(read(b"[" + one + b", " + two + b"]")) == [(1, None), (1, None)]
    lines = read(b"[\n" + one + b",\n" + two + b",\n" + score() + b"\n]\n")
    assert reasons(lines) == [(2, None), (3, None), (4, None)]
    assert [line.value for line in lines] == [one, two, score()]
    assert reasons(read(b"[" + one + b",\n" + two + b"\n]")) == [(1, None), (2, None)]
    assert reasons(read(b"[\n" + PRETTY + b",\n" + PRETTY + b"]")) == [(2, None), (13, None)]
    arrays = b"[" + one + b"]\n[" + two + b"," + two + b"]\n" + one
    assert reasons(read(arrays)) == [(1, None), (2, None), (2, None), (3, None)]
    assert reasons(read(b"[]")) == []


def test_x20_cloud_events_alone_and_in_an_array() -> None:
    envelope = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + score() + b"}"
    coded = b'{"specversion":"1.0","id":"1","source":"s","type":"stream_detector.score.v1","data_base64":"%s"}'
    encoded = coded % __import__("base64").b64encode(score())
    assert [line.kind for line in read(b"[" + envelope + b",\n" + encoded + b"]")] == ["score", "score"]


def test_x20_a_broken_value_is_named_with_its_line_and_the_following_ones_are_read() -> None:
    broken = PRETTY.replace(b'"status":', b'"status"')
    lines = read(PRETTY + broken + PRETTY)
    assert reasons(lines) == [(1, None), (11, "not_json"), (21, None)]
    assert "see line 14" in str(lines[1].error)
    (cut,) = read(PRETTY[:-20])
    assert "the file ends within this value" in str(cut.error)
    (array,) = read(b"[\n" + completion() + b",\n" + completion()[:40])
    assert array.error is not None and array.error.reason == "not_json"
    half = completion()[:50] + b"\n" + completion() + b"\n" + completion()
    assert reasons(read(half)) == [(1, "not_json"), (2, None), (3, None)]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b"[\n", b'{"a":\n'])
def test_x20_ten_thousand_levels_are_too_deep(opening: bytes) -> None:
    lines = read(opening * 10_000)
    assert lines and {line.error.reason for line in lines if line.error} <= {"too_deep", "not_json", "wrong_type"}
    assert all(line.error for line in lines)


def test_x20_ten_megabytes_are_refused_as_one_event_and_read_as_many() -> None:
    assert reasons(read(completion(more="x" * 10_000_000))) == [(1, "too_large")]
    many = b"[" + b",".join([completion(labels={"a": "x" * 500})] * 15_000) + b"]"
    assert len(many) > 10_000_000 and {line.error for line in read(many)} == {None}


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", [PRETTY.decode(), completion(workflow_name="é").decode(), HEADER + ROW])
def test_x20_utf_16_is_read_with_a_note(codec: str, text: str) -> None:
    if codec == "utf-32" and not text.startswith("{"):
        text = "\n" + text
    notes: list[str] = []
    lines = read(text.encode(codec), notes=notes)
    assert [line.error for line in lines] == [None]
    assert notes == [f"history is read as {codec.upper()}"]


def test_x20_broken_utf_16_is_refused() -> None:
    with pytest.raises(HistoryError, match="is not in utf-16"):
        read(completion().decode().encode("utf-16") + b"\x00")


def test_x20_byte_order_mark_gzip_and_zstd(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + ROW).encode()
    packed = [bytes(cramjam.zstd.compress(content[:40])) + bytes(cramjam.zstd.compress(content[40:]))]
    for data in (content, gzip.compress(content), *packed, gzip.compress(content.decode("utf-8-sig").encode("utf-16"))):
        assert reasons(read(data)) == [(2, None)]
    file = tmp_path / "history.csv.zst"
    file.write_bytes(packed[0])
    assert reasons(list(read_history(file, record_ms=AT_MS))) == [(2, None)]
    with pytest.raises(HistoryError, match="cannot be unpacked by zstd"):
        read(packed[0][:-4])


@pytest.mark.parametrize(
    ("magic", "advice"),
    [(b"PK\x03\x04", "save the table as CSV"), (b"ORC\x00", "as CSV or JSON Lines"), (b"BZh9", "gzip or zstd")],
)
def test_a_format_that_is_not_read_is_named(magic: bytes, advice: str) -> None:
    with pytest.raises(HistoryError, match=advice):
        read(magic + b"\x00" * 100)


def test_x20_a_key_that_stands_twice_is_refused_wherever_it_is() -> None:
    twice = completion(a=1)[:-1] + b', "status": "failure"}'
    assert reasons(read(twice + b"\n" + completion())) == [(1, "duplicate_field"), (2, None)]
    assert "status" in str(read(twice)[0].error)
    compact = twice.replace(b'": ', b'":').replace(b", ", b",")
    spaced = twice.replace(b'":', b'" :')
    escaped = completion()[:-1] + b', "st\\u0061tus": "failure"}'
    nested = completion()[:-1] + b', "labels": {"a": "1", "a": "2"}}'
    steps = completion()[:-1] + b', "steps": [{"name": "x", "name": "y"}]}'
    enveloped = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + nested + b"}"
    for value in (
        compact,
        spaced,
        escaped,
        nested,
        steps,
        enveloped,
        b"[" + nested + b"]",
        PRETTY[:-2] + b', "a":1, "a":2}',
    ):
        assert [line.error and line.error.reason for line in read(value)] == ["duplicate_field"], value


def test_x20_the_same_key_in_two_objects_and_colons_in_text_stand_once() -> None:
    value = completion(
        labels={"a": '":', "name": ":x", "b": "\\"}, steps=[{"name": "x"}, {"name": ":"}], workflow_name='a": "b'
    )
    assert [line.error for line in read(value)] == [None]


def test_x20_a_column_that_stands_twice_is_refused() -> None:
    for header in ("entity_id,entity_name,score,score,scored_at", "entity_id,entity_name,Score,score,scored_at"):
        (line,) = read(f"{header}\nlido,Lido,7.5,3.1,2026-01-21T00:05:00Z\n")
        assert reasons([line]) == [(1, "duplicate_field")] and "column 'score'" in str(line.error)


def the_score(content: str, encoding: str | None = None) -> str:
    (line,) = read(content, encoding)
    assert isinstance(line.event, Score), line.error
    assert (line.event.entity_id, line.event.entity_name) == ("lido", "Lido")
    return str(line.event.score)


def test_x20_a_table_may_be_wide_and_a_cell_long() -> None:
    wide = "".join(f",c{number}" for number in range(100_000))
    (line,) = read(HEADER.strip() + wide + "\n" + ROW.strip() + "," * 100_000 + "\n")
    assert isinstance(line.event, Completion) and line.event.duration_s == 59.5
    steps = json.dumps([{"name": "s" * 400, "duration_s": 1.5}] * 500)
    (line,) = read(HEADER.strip() + ",steps\n" + ROW.strip() + ',"' + steps.replace('"', '""') + '"\n')
    assert isinstance(line.event, Completion) and len(line.event.steps) == 500


def test_x20_separators_and_decimal_marks_are_found_out() -> None:
    at = "2026-01-21T00:05:00Z"
    assert the_score(f"entity_id;entity_name;score;scored_at\nlido;Lido;7.50;{at}\n") == "7.50"
    assert the_score(f"entity_id;entity_name;score;scored_at\nlido;Lido;7,50;{at}\n") == "7.50"
    assert the_score(f"entity_id\tentity_name\tscore\tscored_at\nlido\tLido\t7,5\t{at}\n") == "7.5"
    assert the_score(f"entity_id | entity_name | score | scored_at\nlido | Lido | 7.5 | {at}\n") == "7.5"
    assert the_score(f'{SCORES}\nlido,Lido,"7,5",{at}\n') == "7.5"
    assert the_score(f"sep=;\nentity_id;entity_name;score;scored_at\r\nlido;Lido;1,234;{at}\r\n") == "1.234"
    assert the_score(f'"sep=|"\nentity_id|entity_name|score|scored_at\nlido|Lido|7.5|{at}\n') == "7.5"
    assert the_score(f"\n{SCORES},\nlido,Lido,7.5,{at},\n,,,,\n") == "7.5"


def test_x20_a_number_that_could_be_another_is_refused() -> None:
    at = "2026-01-21T00:05:00Z"
    head = "entity_id;entity_name;score;scored_at\n"
    mixed = read(head + f"a;A;7.50;{at}\nb;B;3,58;{at}\nc;C;1.234,5;{at}\n")
    assert reasons(mixed) == [(2, "bad_number"), (3, None), (4, "bad_number")]
    assert "decimal mark" in str(mixed[0].error)
    assert reasons(read(f'{SCORES}\na,A,"1,234",{at}\n')) == [(2, "bad_number")]
    assert reasons(read(f"{SCORES}\na,A,7,5,{at}\n")) == [(2, "missing_field")]


def test_x20_header_names_may_have_blanks_and_capitals_and_cells_blanks_with_them() -> None:
    at = "2026-01-21T00:05:00Z"
    assert the_score(f"entity_id, entity_name, score, scored_at\nlido, Lido, 7.5, {at}\n") == "7.5"
    assert the_score(f"Entity ID,Entity-Name,SCORE,Scored At\nlido,Lido,7.5,{at}\n") == "7.5"
    (line,) = read(HEADER.strip() + ",Label.Team\n" + ROW.strip() + ",core \n")
    assert isinstance(line.event, Completion) and line.event.labels == {"Team": "core "}


def test_x20_times_of_databases_and_days_in_tables() -> None:
    row = ROW.replace("T", " ").replace("Z", "+00")
    assert reasons(read(HEADER + row)) == [(2, None)]
    assert the_score(f"{SCORES}\nlido,Lido,7.5,2026-01-21\n") == "7.5"


def test_x20_cp1252_is_refused_with_its_line_and_read_when_it_is_named() -> None:
    table = f"{SCORES}\nlido,Lido,7.5,2026-01-21T00:05:00Z\nÄre,A,7.5,2026-01-21T00:05:00Z\nÖre,B,3.5,2026-01-21\n"
    lines = read(table.encode("cp1252"))
    assert reasons(lines) == [(2, None), (3, "not_utf8"), (4, "not_utf8")]
    assert "--encoding cp1252" in str(lines[1].error)
    assert [line.key.decode() for line in read(table.encode("cp1252"), "cp1252")] == ["lido", "Äre", "Öre"]
    events = b"\n".join([completion(), completion(workflow_id="Äre").decode("unicode_escape").encode("cp1252")])
    assert reasons(read(events)) == [(1, None), (2, "not_utf8")]
    assert "--encoding cp1252" in str(read(events)[1].error)
    assert [line.key.decode() for line in read(events, "cp1252")] == ["nightly", "Äre"]
    (header,) = read(table.replace("scored_at", "scored_at,Größe").encode("cp1252"))
    assert reasons([header]) == [(1, "not_utf8")]
    with pytest.raises(HistoryError, match="--encoding klingon: unknown"):
        read(table, "klingon")
    with pytest.raises(HistoryError, match="is not in cp1252"):
        read(table.encode() + b"\x81", "cp1252")


def test_unknown_fields_are_named_and_public_data_has_none() -> None:
    (line,) = read(completion(duration_ms=5, more=1))
    assert line.unknown == ("duration_ms", "more")
    (row,) = read(HEADER.replace("duration_s", "duration_ms") + ROW)
    assert row.unknown == ("duration_ms",)
    assert [line.unknown for line in read(completion() + b"\n" + score_run())] == [(), ()]
    assert [line.unknown for line in read("timestamp,value\n2026-01-21 14:30:00,0.132\n")] == [()]


def test_a_table_with_half_of_our_columns_is_told_which_are_missing() -> None:
    with pytest.raises(HistoryError, match=r"no column finished_at; name it in the header, or map yours with --map"):
        read("execution_id,workflow_id,status,started_at\n1,w,success,2026-01-21T00:00:00Z\n")


def test_x20_payloads_of_other_systems_are_read_over_many_lines_and_warn_of_nothing() -> None:
    for file in sorted(PAYLOADS.iterdir()):
        lines = list(read_history(file, record_ms=-1))
        assert not lines or any(line.event for line in lines), file.name
        assert {line.unknown for line in lines} <= {()}, file.name


def test_x20_payloads_in_envelopes_are_read() -> None:
    connect = b'{"schema":{"type":"struct"},"payload":' + completion() + b"}"
    text = b'"' + completion().replace(b'"', b'\\"') + b'"'
    for value in (connect, text, text + b"\n" + text):
        lines = read(value)
        assert lines and [(line.kind, line.error, line.unknown) for line in lines] == [("completion", None, ())] * len(
            lines
        )
    envelope = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + score() + b"}"
    assert [line.unknown for line in read(envelope)] == [()]


def test_x20_half_a_pair_of_surrogates_and_half_an_address_are_refused_and_crash_nothing() -> None:
    pretty = PRETTY.replace(b'"w"', b'"\\ud800"')
    for value in (pretty, b"[\n" + pretty + b",\n1]\n{}", b"[\n" + pretty + b"]\n" + pretty):
        assert any(line.error for line in read(value)), value
    mapping = parse_mapping('duration_s = "took"', "m", "m.toml")
    (line,) = read_events(io.BytesIO(pretty), "history", record_ms=-1, mapping=mapping)
    assert line.error is not None and line.error.reason == "not_utf8"
    for name, old in (("gitlab_pipeline_of_rest", b"https://"), ("teamcity_build", b"https://")):
        for file in PAYLOADS.glob(f"{name}*.json"):
            lines = read(file.read_bytes().replace(old, b"https://[half/"))
            assert all(line.event or line.error for line in lines), file.name


def test_x20_the_source_of_a_payload_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its payload has a field with a name of ours, and where it is larger than an event may be."""
    looked: list[bytes] = []

    def counting(value: bytes) -> Source | None:
        looked.append(value)
        return find_source(value)

    monkeypatch.setattr(history, "find_source", counting)
    listener = (PAYLOADS / "airflow_listener.json").read_bytes()
    large = json.loads((PAYLOADS / "dbt_run_results.json").read_text("utf-8"))
    large["results"][0]["compiled_code"] = "x" * 1_100_000
    for payload in (listener, json.dumps(large).encode()):
        looked.clear()
        (line,) = read(payload)
        assert isinstance(line.event, Completion) and len(looked) == 1


def test_x20_values_of_one_body_are_read_by_one_reader() -> None:
    reader = value_reader(AT_MS)
    assert [line.error for line in reader(completion())] == [None]
    assert [line.error for line in reader(score())] == [None]
    assert [line.kind for line in reader((PAYLOADS / "dbt_run_results.json").read_bytes())] == ["completion"]


def test_x20_payloads_without_an_event_are_counted_with_why() -> None:
    waits, job = (
        {"action": "requested_action", "workflow_run": {}, "repository": {}},
        {"object_kind": "build", "project_id": 1},
    )
    notes: list[str] = []
    content = "\n".join(json.dumps(each) for each in (waits, [job, waits], waits, job)) + "\n" + completion().decode()
    (line,) = read(content, notes=notes)
    assert isinstance(line.event, Completion)
    assert notes == [
        "5 payloads without an event ignored: 3 of GitHub Actions: the run has not ended; 2 of GitLab CI: build is not "
        "switched on"
    ]
    assert read(json.dumps(waits), notes=notes) == [] and notes[1].startswith(
        "1 payload without an event ignored: 1 of"
    )
    whys = "".join(json.dumps(job | {"object_kind": f"kind{number}"}) + "\n" for number in range(5))
    assert read(whys, notes=notes) == [] and notes[2].endswith("; 2 for other reasons")
    assert read(completion(), notes=notes) and len(notes) == 3
