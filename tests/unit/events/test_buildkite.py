"""X20: Buildkite's finished builds become executions."""

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from stream_detector.events import RefusedError
from stream_detector.events.completion import Completion
from stream_detector.events.sources import buildkite
from tests.unit.events.samples_of_sources import changed, ignored, loaded, only_event

PAYLOAD = loaded("buildkite_build_finished")


def read(payload: Any) -> Completion:
    return only_event(buildkite.SOURCE, payload)


def test_x20_a_finished_build_is_an_execution() -> None:
    event = read(PAYLOAD)
    assert event.execution_id == "buildkite:f62a1b4d-10f9-4790-bc1c-e2c3a0c80983.1769040302"
    assert (event.workflow_id, event.workflow_name) == ("buildkite:acme/shop", "Shop")
    assert (event.status, event.duration_s, event.variant) == ("success", 240.5, "default branch")
    assert event.finished_at == datetime(2026, 1, 22, 0, 5, 2, 750000, tzinfo=UTC)
    assert event.labels["branch"] == "main" and event.labels["trigger"] == "webhook"


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        ({"source": "schedule"}, "schedule"),
        ({"source": "ui"}, "manual"),
        ({"tag": "v2"}, "tag"),
        ({"branch": "cart"}, "branch"),
        ({"branch": "cart", "pull_request": {"id": "7", "base": "main"}}, "pull request"),
        ({"pull_request": {}}, "default branch"),
    ],
)
def test_x20_a_variant_is_set_where_the_payload_proves_it(changes: Any, variant: str | None) -> None:
    assert read(changed(PAYLOAD, "build", PAYLOAD["build"] | changes)).variant == variant


def test_x20_without_the_default_branch_a_branch_has_no_variant() -> None:
    assert read(changed(PAYLOAD, "pipeline.default_branch", None)).variant is None


@pytest.mark.parametrize("state", sorted(buildkite.STATUS))
def test_x20_each_state_has_its_status(state: str) -> None:
    assert read(changed(PAYLOAD, "build.state", state)).status == buildkite.STATUS[state]


def test_x20_a_build_that_is_blocked_or_goes_on_is_no_execution() -> None:
    assert "blocked" in ignored(buildkite.SOURCE, changed(PAYLOAD, "build.blocked", True))
    for state in ("running", "failing", "canceling", "blocked"):
        assert "not ended" in ignored(buildkite.SOURCE, changed(PAYLOAD, "build.state", state))
    assert "build.finished" in ignored(buildkite.SOURCE, PAYLOAD | {"event": "build.running"})


def test_x20_a_build_that_ends_again_is_another_execution_and_a_repeated_delivery_is_not() -> None:
    assert read(PAYLOAD | {"sender": {"id": "1"}}) == read(PAYLOAD)
    again = read(changed(PAYLOAD, "build.finished_at", "2026-01-22T01:00:00.000Z"))
    assert again.execution_id != read(PAYLOAD).execution_id
    assert read(changed(PAYLOAD, "build.started_at", None)).duration_s is None


def test_x20_a_build_is_proven_by_its_token_or_its_signature() -> None:
    hook = buildkite.SOURCE.webhook
    assert hook is not None
    verification = hook.verification
    code = hmac.new(b"secret", b"1619071700.{}", sha256).hexdigest()
    for blank in ("", " "):
        signed = {"X-Buildkite-Signature": f"timestamp=1619071700,{blank}signature={code}"}
        assert verification.may_be_authentic("secret", signed) and verification.is_authentic("secret", signed, b"{}")
        assert not verification.is_authentic("secret", signed, b"{ }")
        assert not verification.is_authentic("another", signed, b"{}")
    assert verification.is_authentic("secret", {"X-Buildkite-Token": "secret"}, b"{}")
    assert not verification.may_be_authentic("secret", {"X-Buildkite-Token": "other"})


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("build.state", "exploded", "unknown_value"),
        ("build.id", None, "missing_field"),
        ("build", {}, "missing_field"),
        ("build.id", [], "wrong_type"),
    ],
)
def test_x20_what_identifies_no_build_is_refused(place: str, value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        buildkite.read(changed(PAYLOAD, place, value))
    assert refused.value.reason == reason
    assert "build.finished" in refused.value.message or reason == "unknown_value"
