"""X21: every place that makes, compares or splits a state key, with ids and variants that look odd."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from stream_detector.detect import Config, profile_rules
from stream_detector.events import Anomaly, Completion
from stream_detector.events.inputs import key_of as record_key
from stream_detector.events.variant import (
    DEFAULT_BRANCH,
    key_parts,
    names_of,
    names_of_incident,
    state_key,
    whole_workflow,
    workflow_key,
)
from stream_detector.kafka.topics import BASELINES, owner_partition
from stream_detector.notify.config import Route
from stream_detector.notify.rendering.action_links import links_of_anomaly
from stream_detector.notify.rendering.alert import Alert
from stream_detector.notify.rendering.line import line_of
from stream_detector.notify.shared_facets import facet_words, facets_of
from stream_detector.notify.stages.flapping import flap_key
from stream_detector.notify.stages.matching import facts_of, matching_routes, stored_silences
from stream_detector.notify.subject import key_of_anomaly
from stream_detector.roles.restore.new_broker import owner_id
from stream_detector.serve.problems import ProblemError
from stream_detector.serve.resources.actions import checked_key
from stream_detector.store.rows import BaselineState
from stream_detector.store.tables import BASELINES as BASELINE_TABLE
from stream_detector.store.where import Where
from tests.events_made import NOON, action, anomaly, completion, row, uuid
from tests.unit.notify.living import Notifier, only
from tests.unit.notify.subjects import CONFIG, slow

ODD_IDS = ("app", "a:b", "a/b", "50%", "%2F", "workflow/x:app", "workflow:app", "score:app", "x" * 256, "ä 中", ":")
VARIANTS = (None, DEFAULT_BRANCH, "pull request", "child:a/b", "100%", "%20", "~._-", "naïve 中", "/", "x" * 64)
PAIRS = [(entity_id, variant) for entity_id in ODD_IDS for variant in VARIANTS]
OTHER = "another"

Place = Callable[[str, str | None], object]


def _baseline_row(entity_id: str, variant: str | None) -> object:
    stored = row(BaselineState(key=workflow_key(entity_id, variant), packed=b"x"))
    columns = {column.name: column.value(stored) for column in BASELINE_TABLE.columns}
    assert columns["key"] == workflow_key(entity_id, variant)
    return columns["entity_kind"], columns["entity_id"], columns["variant"]


def _where(entity_id: str, variant: str | None) -> object:
    where = Where()
    where.entity(workflow_key(entity_id, variant))
    _, found_id, kind, *rest = where.values
    return kind, found_id, rest[0] if rest else None


def _found(entity_id: str, variant: str | None, **given: object) -> Anomaly:
    return slow("found", entity_id=entity_id, entity_name="App", variant=variant, **given)


def _line_key(entity_id: str, variant: str | None) -> object:
    return key_parts(line_of(_found(entity_id, variant), CONFIG, 0.0).entity)


PLACES: dict[str, Place] = {
    "events.variant.key_parts": lambda i, v: key_parts(workflow_key(i, v)),
    "events.variant.state_key": lambda i, v: key_parts(state_key("workflow", i, v)),
    "notify.subject.key_of_anomaly": lambda i, v: key_parts(key_of_anomaly(_found(i, v))),
    "notify.stages.matching.facts_of": lambda i, v: key_parts(facts_of(_found(i, v))["key"]),
    "notify.shared_facets.facets_of": lambda i, v: key_parts(facets_of(_found(i, v), ["workflow"])[0][1]),
    "notify.rendering.line": _line_key,
    "serve.resources.actions.checked_key": lambda i, v: key_parts(checked_key(workflow_key(i, v))),
    "store.tables.BASELINES": _baseline_row,
    "store.where.entity": _where,
}
"""Each place takes a key apart, or makes one."""


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_x21_each_place_finds_workflow_and_variant_whatever_they_look_like(place: Place) -> None:
    for entity_id, variant in PAIRS:
        assert place(entity_id, variant) == ("workflow", entity_id, variant), (entity_id, variant)


def test_x21_no_two_keys_are_one_and_every_variant_has_the_owner_of_its_workflow() -> None:
    keys = {workflow_key(*pair) for pair in PAIRS} | {f"score:{entity_id}" for entity_id in ODD_IDS}
    assert len(keys) == len(PAIRS) + len(ODD_IDS)
    for entity_id, variant in PAIRS:
        key = workflow_key(entity_id, variant)
        event: Completion = completion("1", entity_id, variant=variant)
        assert record_key(event).decode() == key.partition(":")[2] == owner_id(BASELINES, key) == entity_id
        assert owner_partition(owner_id(BASELINES, key), 12) == owner_partition(entity_id, 12)


def test_x21_a_workflow_means_its_variants_and_a_variant_itself() -> None:
    for entity_id, variant in PAIRS:
        key, whole = workflow_key(entity_id, variant), workflow_key(entity_id)
        assert whole_workflow(key) == whole and {*names_of(key)} == {key, whole}
        assert {*names_of_incident(key)} >= {key, whole}
        for other_id, other in PAIRS:
            is_same = other_id == entity_id and other in (None, variant)
            assert (workflow_key(other_id, other) in names_of(key)) == is_same
    assert names_of("score:workflow/x:app") == names_of_incident("score:workflow/x:app") == ("score:workflow/x:app",)
    assert workflow_key("app", DEFAULT_BRANCH) in names_of_incident("workflow:app")
    assert workflow_key("app", "tag") not in names_of_incident("workflow:app")


@pytest.mark.parametrize("key", ["workflow/:app", "workflow/x:", "workflow/%FF:a", "workflow/%00:a", "x:a", "a", ""])
def test_x21_what_is_no_key_is_refused_by_the_api_with_what_to_send(key: str) -> None:
    with pytest.raises(ProblemError) as caught:
        checked_key(key)
    assert "workflow/<variant, percent-encoded>:<id>" in str(caught.value)


def test_x21_a_key_that_is_encoded_otherwise_is_the_same_key() -> None:
    assert checked_key("workflow/pull request:app") == checked_key("workflow/p%75ll%20request:app")
    assert checked_key("workflow/child%3aa:app") == "workflow/child%3Aa:app"


@pytest.mark.parametrize("entity_id", ODD_IDS)
def test_x21_a_silence_of_a_workflow_is_of_all_its_variants_one_of_a_variant_of_that_alone(entity_id: str) -> None:
    def sent(silenced: str, **matchers: str) -> set[str | None]:
        notifier = Notifier(only("slack", rate_limit_count=50))
        far = NOON + timedelta(days=3_650)
        made = action("s", "silence", entity=silenced, matchers=matchers, until=far, incident_id=None)
        notifier.take(made)
        notifier.take(*(slow(f"{variant}", entity_id=entity_id, variant=variant) for variant in VARIANTS)).deliver()
        got = {one.message.anomaly_id for one in notifier.sent}
        return {variant for variant in VARIANTS if uuid(f"{variant}") in got}

    assert sent(workflow_key(entity_id)) == set()
    assert sent(workflow_key(OTHER)) == {*VARIANTS}
    assert sent(workflow_key(entity_id, "%20")) == {*VARIANTS} - {"%20"}
    assert sent("", workflow=entity_id) == sent("", key=workflow_key(entity_id)) == set()
    assert sent("", workflow=entity_id, variant="100%") == {*VARIANTS} - {"100%"}
    assert sent("", key=workflow_key(entity_id, "100%")) == {*VARIANTS} - {"100%"}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"workflow": ("app",)}, {*VARIANTS}),
        ({"variant": ("pull request", "child:*")}, {"pull request", "child:a/b"}),
        ({"workflow": ("app",), "variant": ("?00%",)}, {"100%"}),
        ({"key": ("workflow:app",)}, {*VARIANTS}),
        ({"key": ("workflow/default%20branch:app",)}, {DEFAULT_BRANCH}),
        ({"variant": ("*",)}, {*VARIANTS} - {None}),
    ],
)
def test_x21_a_route_names_a_workflow_or_a_variant(
    match: dict[str, tuple[str, ...]], expected: set[str | None]
) -> None:
    route = Route(name="own", match=match, channels=("slack",))
    config = replace(CONFIG, routes=(route,))
    found = {v for v in VARIANTS if matching_routes(facts_of(_found("app", v)), config)[0].name == "own"}
    assert found == expected


def test_x21_a_profile_rule_that_names_a_workflow_is_of_all_its_variants() -> None:
    config = Config(profile="robust", profile_rules=profile_rules("app -> classic"))
    for variant in VARIANTS:
        assert config.for_execution(completion("1", "app", variant=variant)).profile == "classic"
        assert config.for_execution(completion("1", OTHER, variant=variant)).profile == "robust"


def test_x21_a_label_called_variant_is_matched_where_the_execution_has_none() -> None:
    assert facts_of(_found("app", None, labels={"variant": "a"}))["variant"] == "a"
    assert facts_of(_found("app", "b", labels={"variant": "a"}))["variant"] == "b"


def test_x21_decisions_about_a_workflow_take_the_incidents_of_all_variants() -> None:
    def taken(kind: str, entity: str) -> set[str | None]:
        notifier = Notifier(only("slack"))
        notifier.take(*(slow(f"{variant}", entity_id="app", variant=variant) for variant in VARIANTS))
        notifier.take(action("d", kind, entity=entity, incident_id=None, at=NOON + timedelta(minutes=1)))
        state = notifier.state
        return {
            variant
            for variant in VARIANTS
            if (one := state.get(f"incident:{uuid(f'{variant}')}")) is None or b"acknowledged_by" in one
        }

    for kind in ("acknowledge", "relearn", "retire"):
        assert taken(kind, workflow_key("app")) == {*VARIANTS}
        assert taken(kind, workflow_key("app", "pull request")) == {"pull request"}
        # The default branch has taken over what opened before there were variants.
        assert taken(kind, workflow_key("app", DEFAULT_BRANCH)) == {None, DEFAULT_BRANCH}


def test_x21_a_retirement_ends_the_silences_of_what_it_means() -> None:
    def silenced(retired: str) -> set[str | None]:
        notifier, far = Notifier(only("slack")), NOON + timedelta(days=3_650)
        for variant in VARIANTS:
            key = workflow_key("app", variant)
            notifier.take(action(key, "silence", entity=key, until=far, incident_id=None))
        notifier.take(action("r", "retire", entity=retired, incident_id=None, at=NOON + timedelta(seconds=1)))
        left = {one.entity for one in stored_silences(notifier.state)}
        return {variant for variant in VARIANTS if workflow_key("app", variant) in left}

    assert silenced(workflow_key("app")) == set()
    assert silenced(workflow_key("app", "%20")) == {*VARIANTS} - {"%20"}
    assert silenced(workflow_key(OTHER)) == {*VARIANTS}


def test_x21_an_incident_that_is_taken_over_is_known_by_its_new_key() -> None:
    notifier = Notifier(only("slack"))
    notifier.take(slow("a", incident="i", entity_id="app"))
    notifier.take(slow("b", incident="i", entity_id="app", state="ongoing", variant=DEFAULT_BRANCH))
    assert b"workflow/default%20branch:app" in notifier.state[f"incident:{uuid('i')}"]


def test_x21_variants_flap_and_group_apart() -> None:
    keys = {flap_key(_found("app", variant)) for variant in VARIANTS}
    assert len(keys) == len(VARIANTS)
    assert len({facets_of(_found("app", variant), ["workflow"])[0] for variant in VARIANTS}) == len(VARIANTS)
    assert facet_words(("workflow", workflow_key("a:b", "child:c"))) == "workflow a:b (child:c)"
    assert facet_words(("workflow", "workflow:a:b")) == "workflow a:b"
    assert facet_words(("workflow", "queue:a")) == "queue a"


def test_x21_messages_name_the_variant_after_the_workflow() -> None:
    assert Alert(_found("app", "pull request"), "").title == "Critical: Performance degradation in App (pull request)"
    assert Alert(_found("app", None), "").title == "Critical: Performance degradation in App"
    assert Alert(_found("app", "a\r\nb\u202e"), "").title.endswith("in App (a b)")
    assert line_of(_found("app", "tag"), CONFIG, 0.0).title.startswith(
        "🔴 Critical: Performance degradation in App (tag):"
    )
    config = replace(CONFIG, link_key=b"k" * 32)
    (acknowledge, _), *_ = links_of_anomaly(anomaly("a", variant="tag"), "email", config, 9.0)
    assert acknowledge == "Acknowledge"
