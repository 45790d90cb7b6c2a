"""The least that each role needs: read off the list of topics, and that list is what the code does."""

import json

import pytest
from click.testing import CliRunner

from stream_detector.cli import main
from stream_detector.kafka.acls import GROUPED, ROLES, Acl, acl_commands, missing_acls, optional_acls, required_acls
from stream_detector.kafka.end_offsets import TOPICS_READ_BY
from stream_detector.kafka.topics import (
    ALERTS,
    BASELINES,
    CLOCK,
    COMPLETIONS,
    DEAD_LETTERS,
    DETECTOR_SETTINGS,
    NOTIFICATIONS,
    NOTIFIER_IN,
    NOTIFIER_STATE,
    REKEYED,
    RUN_PARTS,
    RUNS_STATE,
    SCORES,
    TOPICS,
)
from stream_detector.roles import detector, notifier, recorder
from stream_detector.settings import Settings

READS = {
    "detector": {*detector.DECODE, REKEYED, RUN_PARTS, BASELINES, RUNS_STATE, DETECTOR_SETTINGS, CLOCK},
    "recorder": set(recorder.READ),
    "notifier": {*notifier.DECODE, NOTIFIER_IN, NOTIFIER_STATE, NOTIFICATIONS, CLOCK},
    "api": {ALERTS, DEAD_LETTERS, COMPLETIONS, SCORES, REKEYED},
    "producers": set(),
    "operators": {topic.name for topic in TOPICS},
}


def of(role, operation, settings=Settings()):  # noqa: B008
    return {acl.name for acl in required_acls(role, settings) if acl.operation == operation and acl.kind == "topic"}


@pytest.mark.parametrize("role", READS)
def test_a_role_may_read_what_its_code_reads(role):
    assert of(role, "Read") == READS[role]


def test_nobody_but_setup_may_make_a_topic_and_only_it_needs_no_payload():
    assert {role for role in ROLES if of(role, "Create")} == {"setup"}
    assert of("setup", "Create") == of("setup", "Describe") == {topic.name for topic in TOPICS}
    assert not of("setup", "Read") | of("setup", "Write")


def test_every_topic_has_a_writer_and_a_reader_among_the_roles():
    everyday = [role for role in ROLES if role not in ("setup", "operators")]
    for topic in TOPICS:
        assert any(topic.name in of(role, "Write") for role in everyday), topic.name
        assert any(topic.name in of(role, "Read") for role in everyday), topic.name


def test_the_prefix_is_in_every_name_of_ours():
    acls = [acl for role in ROLES for acl in required_acls(role, Settings(topic_prefix="ci."))]
    assert {acl.name for acl in acls if not acl.name.startswith("ci.")} == {"example-subscriber"}


def test_the_notifier_may_read_a_topic_that_it_watches():
    assert SCORES not in of("notifier", "Read")
    assert SCORES in of("notifier", "Read", Settings(quiet_after="scores=3600"))


def test_x16_the_notifier_may_describe_what_the_other_roles_read_and_starts_without():
    described = set.union(*(of("notifier", operation) for operation in ("Read", "Write", "Describe")))
    assert {name for role in GROUPED for name in TOPICS_READ_BY[role]} <= described
    groups = {acl.name for acl in required_acls("notifier", Settings()) if acl.kind == "group"}
    assert groups == {Settings().group(role) for role in GROUPED}
    described_only = {acl for acl in required_acls("notifier", Settings()) if acl.operation == "Describe"}
    assert described_only <= set(optional_acls("notifier", Settings()))


def test_a_missing_acl_is_found_and_what_the_broker_does_not_say_is_not_guessed():
    wanted = [Acl("topic", "a", "Read"), Acl("topic", "b", "Write"), Acl("group", "g", "Read")]
    granted = {("topic", "a"): frozenset({"Read"}), ("topic", "b"): frozenset({"Read"}), ("group", "g"): None}
    assert missing_acls(wanted, granted) == [Acl("topic", "b", "Write")]


def test_resources_with_the_same_operations_share_a_call():
    acls = [Acl("topic", "a", "Read"), Acl("topic", "b", "Read"), Acl("group", "g b", "Read")]
    start = "kafka-acls.sh --bootstrap-server h:1 --command-config admin.properties --add --allow-principal User:x"
    assert acl_commands(acls, "User:x", "h:1") == [
        f"{start} --operation Read --topic a --topic b",
        f"{start} --operation Read --group 'g b'",
    ]


def test_the_command_prints_them_for_machines_and_for_other_names():
    done = CliRunner().invoke(main, ["acls", "--json", "--role", "api", "--principal", "api=User:CN=watch"])
    rows = json.loads(done.output)
    assert {row.pop("role") for row in rows} == {"api"} and {row.pop("principal") for row in rows} == {"User:CN=watch"}
    assert [Acl(**row) for row in rows] == required_acls("api", Settings())
    assert CliRunner().invoke(main, ["acls", "--principal", "cook=User:x"]).exit_code == 2
    text = CliRunner().invoke(main, ["acls"]).output
    assert [line[2:] for line in text.splitlines() if line.startswith("# ")] == list(ROLES)
