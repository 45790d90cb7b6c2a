"""X21: the variant of an execution, and the state keys that follow from it."""

from datetime import UTC, datetime

import msgspec
import pytest

from stream_detector.detect.step import key_of
from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion, with_variant
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.ids import score_key
from stream_detector.events.variant import (
    MAX_CHARACTERS,
    MAX_KEY,
    StateKeyParts,
    has_key,
    is_workflow_key,
    key_parts,
    variant_from_labels,
    variant_of_name,
    workflow_key,
)

AT = datetime(2026, 1, 22, tzinfo=UTC)
UNRESERVED = "AZaz09-_.~"
IDS = "nightly", "acme/app:build", "workflow/schedule:x", ":", "ü%20:é"
VARIANTS = "default branch", "child:deploy/eu", "100 %", UNRESERVED, "büild", "🚀", "a:b/c", "%20", " ", "workflow:x"


def completion(**fields: object) -> Completion:
    given: dict[str, object] = {"execution_id": "1", "workflow_id": "w", "status": "success"}
    return Completion(**given | {"started_at": AT, "finished_at": AT} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("workflow_id", IDS)
@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_x21_a_key_names_its_workflow_and_variant_and_no_other_key_does(workflow_id: str, variant: str | None) -> None:
    key = workflow_key(workflow_id, variant)
    assert key_parts(key) == StateKeyParts("workflow", workflow_id, variant)
    assert key.partition(":")[2] == workflow_id
    assert is_workflow_key(key)
    others = {workflow_key(one, other) for one in IDS for other in (None, *VARIANTS)}
    assert len(others) == len(IDS) * (1 + len(VARIANTS))
    assert not {score_key(one) for one in IDS} & others


def test_x21_the_key_without_a_variant_is_as_ever() -> None:
    assert workflow_key("nightly") == "workflow:nightly"
    assert key_of(completion(workflow_id="nightly")) == "workflow:nightly"


@pytest.mark.parametrize(
    ("variant", "encoded"),
    [
        ("default branch", "default%20branch"),
        ("child:deploy", "child%3Adeploy"),
        (UNRESERVED, UNRESERVED),
        ("a/b+c*d", "a%2Fb%2Bc%2Ad"),
        ("ü", "%C3%BC"),
    ],
)
def test_x21_all_but_the_unreserved_characters_are_percent_encoded(variant: str, encoded: str) -> None:
    assert workflow_key("x", variant) == f"workflow/{encoded}:x"


@pytest.mark.parametrize("key", ["", "workflow", "workflow:", "workflow/:x", "workflow/%FF:x", "score/a:x", "other:x"])
def test_x21_what_is_no_state_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"state key|decode"):
        key_parts(key)


def test_x21_the_longest_variant_has_a_key_with_the_longest_id() -> None:
    key = workflow_key("i" * 256, ":" * MAX_CHARACTERS)
    assert len(key) <= MAX_KEY
    assert key_parts(key).variant == ":" * MAX_CHARACTERS


@pytest.mark.parametrize("variant", [None, "schedule", "ü" * MAX_CHARACTERS, "x" * MAX_CHARACTERS])
def test_x21_what_is_published_is_what_is_read(variant: str | None) -> None:
    event = completion(variant=variant)
    value = encode(event)
    assert decode_completion(value, (), -1) == event
    assert (b"variant" in value) is (variant is not None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"variant": ""}, "missing_field"),
        ({"variant": "x" * 65}, "too_long"),
        ({"variant": 3}, "wrong_type"),
        ({"variant": "a\x00b"}, "nul_character"),
        ({"variant": "🚀" * 64}, "too_long"),
        ({"variant": "ü" * 64, "workflow_id": "i" * 256}, "too_long"),
    ],
)
def test_x21_a_variant_that_has_no_key_is_refused_by_name(fields: dict[str, object], reason: str) -> None:
    value = msgspec.json.encode(
        {
            **{"execution_id": "1", "workflow_id": "w", "status": "success"},
            **{"started_at": "2026-01-22T00:00:00Z", "finished_at": "2026-01-22T00:00:00Z"},
        }
        | fields
    )
    with pytest.raises(RefusedError) as refused:
        decode_completion(value, (), -1)
    assert refused.value.reason == reason
    assert "variant" in str(refused.value) or reason == "nul_character"


@pytest.mark.parametrize("name", [*VARIANTS, "x" * 65, "🚀" * 64, "ü" * 500, "a b" * 64, "x" * 63 + "🚀"])
def test_x21_a_name_of_any_length_makes_a_variant_that_is_accepted(name: str) -> None:
    variant = variant_of_name(name)
    assert 1 <= len(variant) <= MAX_CHARACTERS
    assert has_key("i" * 256, variant)
    assert variant_of_name(variant) == variant
    assert variant != variant_of_name(name + "!" * 70)


def test_x21_labels_give_the_variant_of_a_plain_event_alone() -> None:
    plain = completion(labels={"trigger": "push", "os": "linux"})
    assert with_variant(plain, ()) is plain
    assert with_variant(plain, ("trigger",)).variant == "push"
    assert with_variant(plain, ("trigger", "os")).variant == "push/linux"
    assert with_variant(plain, ("arch",)) is plain
    own = completion(labels={"trigger": "push"}, variant="schedule")
    assert with_variant(own, ("trigger",)) is own
    assert with_variant(completion(labels={"trigger": "x" * 512}), ("trigger",)).variant == variant_of_name("x" * 512)


def test_x21_different_labels_give_different_variants() -> None:
    names = "a", "b"
    given = [{"a": "x"}, {"b": "x"}, {"a": "x/y", "b": "z"}, {"a": "x", "b": "y/z"}, {"a": "x%2Fy", "b": "z"}]
    assert len({variant_from_labels(labels, names) for labels in given}) == len(given)
    assert variant_from_labels({"a": ""}, names) is None
