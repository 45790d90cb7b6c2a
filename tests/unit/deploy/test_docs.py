"""What the pages in docs/ state about the program is true of the program."""

import re
from pathlib import Path

import pytest
import yaml

from stream_detector.cli import ping_environment
from stream_detector.kafka import topics
from stream_detector.kafka.acls import ROLES, required_acls
from stream_detector.settings import PREFIX, SPECS, USED_BY, Settings, load

ROOT = Path(__file__).parents[3]
SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")


def _rows(section):
    part = SECURITY.partition(f"## {section}")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return rows[0], {row[0].strip("`"): row[1:] for row in rows[2:]}


def test_s08_the_example_names_the_threshold_under_both_its_names():
    example = (ROOT / ".env.example").read_text("utf-8")
    assert "STREAM_DETECTOR_SCORE_THRESHOLD=0.5" in example and "GVS_ANOMALY_THRESHOLD" in example


def test_the_example_with_every_line_taken_in_gives_the_defaults():
    environ = dict(
        re.findall(r"^#(STREAM_DETECTOR_\w+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    )
    assert set(environ) == {PREFIX + name.upper() for name in SPECS}
    assert load(environ) == load({})


def test_the_example_names_what_compose_demands():
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    example = (ROOT / ".env.example").read_text("utf-8")
    for name in set(re.findall(r"\$\{(\w+):\?", compose)):
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name


@pytest.mark.parametrize("topic", topics.TOPICS, ids=lambda topic: topic.name)
def test_the_table_of_rights_is_what_the_roles_get(topic):
    head, rows = _rows("Which role needs which topic")
    assert set(head[1:]) == set(ROLES) - {"setup", "operators"}
    assert set(rows) == {each.name for each in topics.TOPICS}
    for role, cell in zip(head[1:], rows[topic.name], strict=True):
        granted = {right.operation for right in required_acls(role, Settings()) if right.name == topic.name}
        assert cell == "".join(letter for letter, word in (("R", "Read"), ("W", "Write")) if word in granted), role


def test_every_secret_is_in_the_table_of_secrets_and_agrees_with_compose():
    head, rows = _rows("Which role needs which secret")
    assert set(rows) == {PREFIX + name.upper() for name, spec in SPECS.items() if spec["secret"]}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    for name, cells in rows.items():
        for role, cell in zip(head[1:], cells, strict=True):
            if name != PREFIX + "BROKER_PASSWORD":  # the broker of compose has none
                assert (cell == "yes") == (name in services[role]["environment"]), (name, role)


def test_the_children_of_up_get_the_secrets_of_the_table():
    head, rows = _rows("Which role needs which secret")
    assert {
        name: {role for role, cell in zip(head[1:], cells, strict=True) if cell == "yes"}
        for name, cells in rows.items()
    } == {PREFIX + name.upper(): set(roles) for name, roles in USED_BY.items()}


def test_kubernetes_gives_each_role_the_secrets_of_the_table():
    head, rows = _rows("Which role needs which secret")
    for number, role in enumerate(head[1:]):
        pod = yaml.safe_load((ROOT / "deploy" / "kubernetes" / f"{role}.yaml").read_text("utf-8").partition("\n---")[0])
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        given = {variable["name"] for variable in container["env"]} & set(rows)
        assert given == {name for name, cells in rows.items() if cells[number] == "yes"}, role


def test_settings_named_in_the_pages_exist():
    known = {PREFIX + name.upper() for name in SPECS} | {PREFIX + "CONFIG", ping_environment.URL, ping_environment.KEY}
    for page in sorted(ROOT.glob("docs/**/*.md")):
        for name in re.findall(r"STREAM_DETECTOR_[A-Z_]+[A-Z]", page.read_text("utf-8")):
            assert name in known or name.removesuffix("_FILE") in known or "SOME_NAME" in name, f"{name} in {page.name}"


def test_the_messages_that_troubleshooting_quotes_are_those_of_the_program():
    """Between the parts that vary (`...`, N, M), a quoted symptom is text of the sources."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("## Troubleshooting")[2]
    symptoms = re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)))
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "stream_detector").rglob("*.py"))
    parts = [part.strip(" ()=;") for symptom in symptoms for part in re.split(r"\.\.\.| [NM]\b|cleanup", symptom)]
    assert len(symptoms) >= 7
    assert [part for part in parts if len(part) > 4 and part not in sources] == []
