"""The table of formats: what an entry needs elsewhere (docs, setting, route, example) is there, or named as missing."""

import importlib
import json
import pkgutil
from pathlib import Path

import msgspec
import pytest

from stream_detector.events import Completion, RefusedError, sources
from stream_detector.events.decode import DECODERS
from stream_detector.events.encode import encode
from stream_detector.events.files import read_history
from stream_detector.events.inputs import INPUTS, kind_of_event
from stream_detector.events.sources import ENVELOPES, SOURCE_HEADER, SOURCES, find_source, read_payload
from stream_detector.events.sources.source import IgnoredError, Source
from stream_detector.serve.routes import ROUTES
from stream_detector.settings import SPECS
from tests.unit.events.samples import completion

PAYLOADS = Path(__file__).parent / "payloads"
PAGE = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text("utf-8")
ALL = list(SOURCES.values())
OF_JSON = [source for source in ALL if source.recognises_text is None]
by_name = pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)
of_json = pytest.mark.parametrize("source", OF_JSON, ids=lambda source: source.name)


def payload(source: Source) -> bytes:
    """The example of one source: the one file in `payloads/` that begins with its name."""
    found = sorted(PAYLOADS.glob(f"{source.name}_*.json"))
    assert found, f"tests/unit/events/payloads has no {source.name}_*.json: put a documented payload there"
    return json.dumps(json.loads(found[0].read_bytes())).encode()


def test_every_format_has_a_file_and_every_file_is_in_the_table() -> None:
    entries = {id(source) for source in ALL} | {id(envelope) for envelope in ENVELOPES}
    for module in pkgutil.iter_modules(sources.__path__, f"{sources.__name__}."):
        if module.name.rpartition(".")[2] not in ("source", "details", "document", "verification"):
            loaded = importlib.import_module(module.name)
            entry = getattr(loaded, "SOURCE", None) or getattr(loaded, "ENVELOPE", None)
            assert id(entry) in entries, f"{module.name}: list its SOURCE or ENVELOPE in events/sources/__init__.py"
    assert [name for name, source in SOURCES.items() if source.name != name or not name.isalnum()] == []


@by_name
def test_a_source_has_its_row_on_the_page_of_contracts(source: Source) -> None:
    assert source.documented in PAGE.splitlines(), f"docs/contracts.md lacks the row: {source.documented}"


def test_the_page_names_no_source_that_does_not_exist() -> None:
    table = PAGE.partition("### Formats of other systems")[2].partition("###")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(ALL)
    assert [envelope.title for envelope in ENVELOPES if envelope.title not in PAGE] == []


@pytest.mark.parametrize("source_name", [source.name for source in ALL if source.webhook])
def test_a_webhook_has_its_secret_setting_and_its_route(source_name: str) -> None:
    source, hook = SOURCES[source_name], SOURCES[source_name].webhook
    assert hook is not None
    assert hook.setting in SPECS, f"declare {hook.setting} in settings.py"
    assert SPECS[hook.setting]["secret"] and f"/api/v1/webhooks/{source.name}" in SPECS[hook.setting]["doc"]
    assert [route.handler.__name__ for route in ROUTES if route.path == f"/api/v1/webhooks/{source.name}"] == [
        f"take_{source.name}"
    ]
    for given in ("", "é", "Basic é"):
        assert not hook.verification.is_authentic("secret", {hook.verification.header: given}, b"body")


@of_json
def test_the_example_is_recognised_as_that_source_alone_and_becomes_valid_events(source: Source) -> None:
    value = payload(source)
    fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    assert [each.name for each in ALL if each.recognises(fields)] == [source.name]
    assert find_source(value) is source
    events = source.read(value).events
    assert events
    for event in events:
        assert DECODERS[kind_of_event(event)](encode(event), (), -1) == event


@of_json
def test_the_example_is_read_on_its_topic_and_in_a_file(source: Source, tmp_path: Path) -> None:
    value = payload(source)
    (event,) = read_payload(source, value).events
    assert isinstance(event, Completion) and event.source == source.name
    kind = kind_of_event(event)
    for headers in ([], [(SOURCE_HEADER, source.name.encode())], [(SOURCE_HEADER, b"somebody else")]):
        assert DECODERS[kind](value, headers, -1) == event
    assert DECODERS[kind](b"\x00\x00\x00\x00\x07" + value, [], -1) == event
    others = [each for each in INPUTS if INPUTS[each].topic != INPUTS[kind].topic]
    for other in others:
        with pytest.raises(RefusedError, match=f"publish it to the topic {INPUTS[kind].topic}"):
            DECODERS[other](value, [], -1)
    file = tmp_path / "deliveries.jsonl"
    file.write_bytes(value + b"\n" + completion() + b"\n")
    first, own = read_history(file, record_ms=-1)
    assert (first.event, first.value, own.value) == (event, encode(event), completion())


def test_a_payload_without_an_event_is_ignored_on_a_topic_and_passed_over_in_a_file(tmp_path: Path) -> None:
    requested = json.dumps(json.loads(payload(SOURCES["github"])) | {"action": "deleted"}).encode()
    with pytest.raises(IgnoredError, match="GitHub Actions: the run has not ended"):
        DECODERS["completion"](requested, [], -1)
    file = tmp_path / "deliveries.jsonl"
    file.write_bytes(requested + b"\n")
    assert list(read_history(file, record_ms=-1)) == []


def test_our_own_event_is_read_as_such_whatever_the_header_says() -> None:
    assert DECODERS["completion"](completion(), [(SOURCE_HEADER, b"gitlab")], -1) == DECODERS["completion"](
        completion(), [], -1
    )
