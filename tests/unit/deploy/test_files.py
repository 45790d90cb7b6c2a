"""Compose, Dockerfile and Kubernetes files: parsed, and every name in them held against the program.

There is no container engine here: the commands themselves run as plain processes in the integration tests.
"""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from stream_detector.cli import COMMANDS
from stream_detector.events.sources import SOURCES
from stream_detector.settings import PREFIX, SPECS, load
from stream_detector.telemetry.health import ROLE_PORTS
from tests.servers.composed import COMPOSE, USERS, environ_of_service

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
MANIFESTS = [
    document
    for path in sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text("utf-8"))
]
PODS = [document for document in MANIFESTS if document["kind"] in ("Deployment", "Job")]
VARIABLES = {PREFIX + name.upper() for name in SPECS}
OURS = [name for name, service in COMPOSE["services"].items() if service["image"].startswith("stream-detector")]
NEEDS_DATABASE = {"recorder", "api", "setup"}
SECRETS = {PREFIX + name.upper() for name, spec in SPECS.items() if spec["secret"]}


def _container(pod):
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    return container


# -- compose ---------------------------------------------------------------------------------------------------------


def test_compose_has_kafka_postgres_the_roles_prometheus_and_grafana():
    assert set(COMPOSE["services"]) == {"kafka", "postgres", "users", "setup", *ROLE_PORTS, "prometheus", "grafana"}


@pytest.mark.parametrize("service", OURS)
def test_compose_commands_exist_in_the_program(service):
    word, *more = COMPOSE["services"][service]["command"]
    assert word in COMMANDS and word == service
    assert more == (["--grant", "recorder", "--grant", "api"] if service == "setup" else [])


@pytest.mark.parametrize("service", OURS)
def test_compose_sets_only_settings_that_exist(service):
    assert set(COMPOSE["services"][service]["environment"]) <= VARIABLES


def test_every_published_port_is_on_loopback():
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published and all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)


def test_the_database_and_the_health_ports_are_not_published():
    for name in ("postgres", "detector", "recorder", "notifier"):
        assert "ports" not in COMPOSE["services"][name]


def test_images_are_pinned_to_a_version():
    for service in COMPOSE["services"].values():
        name, _, tag = service["image"].partition("@")[0].partition(":")
        assert tag == "local" if name == "stream-detector" else re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-\w+)?", tag)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_is_confined(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"cap_add", "privileged", "pid", "ipc", "network_mode", "devices"}
    assert all("docker.sock" not in volume for volume in service.get("volumes", []))


def test_no_role_has_the_superuser_of_the_database_and_each_its_own_user():
    users = {name: urlsplit(environ_of_service(name)[PREFIX + "DATABASE_URL"]).username for name in NEEDS_DATABASE}
    assert users == USERS
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    holders = {name for name, service in COMPOSE["services"].items() if "${POSTGRES_PASSWORD" in str(service)}
    assert holders == {"postgres", "users"} and text.count("${POSTGRES_PASSWORD:?") == 2
    script = (ROOT / "deploy" / "postgres" / "users.sh").read_text("utf-8")
    given = set(COMPOSE["services"]["users"]["environment"])
    assert given == {"PGHOST", "PGUSER", "PGDATABASE", "PGPASSWORD", *re.findall(r"[A-Z]+_PASSWORD(?=\n)", script)}


# -- images ----------------------------------------------------------------------------------------------------------


def test_images_stand_in_one_place_and_every_file_has_them():
    done = subprocess.run([sys.executable, str(ROOT / "deploy" / "images.py"), "--check"], capture_output=True)
    assert done.returncode == 0, done.stderr
    listed = json.loads((ROOT / "deploy" / "images.json").read_text("utf-8")).values()
    used = {service["image"].partition(":")[0] for service in COMPOSE["services"].values()} - {"stream-detector"}
    used |= set(re.findall(r"^FROM ([^:]+):", DOCKERFILE, re.MULTILINE))
    assert {entry["image"] for entry in listed} == used
    for entry in listed:
        assert entry["digest"] == "" or re.fullmatch("sha256:[0-9a-f]{64}", entry["digest"])


def test_no_password_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    demanded = set(re.findall(r"\$\{(\w+):\?", text))
    users = {f"POSTGRES_{user}PASSWORD" for user in ("", "MIGRATOR_", "RECORDER_", "API_")}
    assert demanded == users | {"GRAFANA_PASSWORD", PREFIX + "API_TOKEN", PREFIX + "SECRET_KEY"}
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET", name):
                assert re.fullmatch(r"\$\{\w+:(\?.*|-)\}", str(value)), name  # demanded, or nothing where it is not set


def test_only_demanded_or_optional_variables_are_used_and_the_optional_ones_are_settings():
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    optional = set(re.findall(r"\$\{(\w+):-", text))
    aliases = {alias for spec in SPECS.values() for alias in spec["aliases"]}
    assert optional <= VARIABLES | aliases
    assert not re.findall(r"\$\{\w+\}", text), "a variable without :? or :-"


@pytest.mark.parametrize("service", OURS)
def test_a_role_gets_only_the_secrets_it_needs(service):
    given = set(COMPOSE["services"][service]["environment"]) & SECRETS
    needed = {
        "setup": {"DATABASE_URL"},
        "detector": set(),
        "recorder": {"DATABASE_URL"},
        "notifier": {
            "SECRET_KEY",
            "SLACK_WEBHOOK_URL",
            "SLACK_BOT_TOKEN",
            "WEBHOOK_URL",
            "WEBHOOK_SECRET",
            "APPRISE_URLS",
            "SMTP_URL",
        },
        "api": {"DATABASE_URL", "API_TOKEN", "SECRET_KEY"}
        | {source.webhook.setting.upper() for source in SOURCES.values() if source.webhook},
    }[service]
    assert given == {PREFIX + name for name in needed}


@pytest.mark.parametrize("service", OURS)
def test_compose_reaches_only_what_the_role_needs(service):
    networks = set(COMPOSE["services"][service]["networks"])
    assert "stream" in networks
    assert ("store" in networks) == (service in NEEDS_DATABASE)
    assert ("watch" in networks) == (service in ROLE_PORTS)


@pytest.mark.parametrize("role", ROLE_PORTS)
def test_each_role_waits_for_setup_is_probed_and_restarts(role):
    service = COMPOSE["services"][role]
    assert service["depends_on"] == {"setup": {"condition": "service_completed_successfully"}}
    assert service["healthcheck"]["test"] == ["CMD", "python", "/opt/ready.py", role]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_every_lasting_service_restarts_and_has_a_health_check():
    for name, service in COMPOSE["services"].items():
        if name not in ("users", "setup"):
            assert service["restart"] == "unless-stopped" and service["healthcheck"]["test"], name


def test_setup_waits_until_kafka_is_healthy_and_the_database_has_its_users():
    assert COMPOSE["services"]["users"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert COMPOSE["services"]["setup"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "users": {"condition": "service_completed_successfully"},
    }


def test_data_lies_in_named_volumes_and_mounted_files_exist():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists() and volume.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("service", OURS)
def test_the_settings_of_compose_can_be_loaded(service):
    settings = load(environ_of_service(service))
    assert settings.broker == "kafka:9092"
    assert settings.metrics_port == 0, "the role's own port"


# -- image -----------------------------------------------------------------------------------------------------------


def test_the_image_has_two_stages_and_does_not_run_as_root():
    assert len(re.findall(r"^FROM \S+:\d+\.\d+\.\d+-slim", DOCKERFILE, re.MULTILINE)) == 2
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE and "--require-hashes" in DOCKERFILE


def test_everything_copied_into_the_image_exists_and_is_not_ignored():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= set(line.split()[:-1])
    for source in copied:
        assert (ROOT / source).exists(), source
    assert copied == let_in


def test_the_image_starts_the_program_and_exposes_the_ports_of_the_roles():
    assert 'ENTRYPOINT ["stream-detector"]' in DOCKERFILE
    (exposed,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)
    assert {int(port) for port in exposed.split()} == {8080, *ROLE_PORTS.values()}


def test_no_secret_can_get_into_the_image():
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    assert not re.search(r"^(ENV|ARG).*(PASSWORD|TOKEN|SECRET)", DOCKERFILE, re.MULTILINE)


def test_the_probe_of_the_image_knows_the_ports_of_the_roles():
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("sys.argv", ["ready.py", "none"])
        runpy.run_path(str(ROOT / "deploy" / "ready.py"))
    (ports,) = re.findall(r"^PORTS = (\{.*\})$", (ROOT / "deploy" / "ready.py").read_text("utf-8"), re.MULTILINE)
    assert json.loads(ports) == ROLE_PORTS


# -- Kubernetes ------------------------------------------------------------------------------------------------------


def test_there_is_one_deployment_a_role_and_one_job_for_setup():
    assert {pod["metadata"]["name"]: pod["kind"] for pod in PODS} == {
        **dict.fromkeys(ROLE_PORTS, "Deployment"),
        "setup": "Job",
    }


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["metadata"]["name"])
def test_kubernetes_runs_a_command_that_exists_with_settings_that_exist(pod):
    container = _container(pod)
    grants = ["--grant", "recorder", "--grant", "api"] if pod["kind"] == "Job" else []
    assert container["args"] == [pod["metadata"]["name"], *grants]
    assert container["args"][0] in COMMANDS
    assert {variable["name"] for variable in container["env"]} <= VARIABLES
    config = next(document for document in MANIFESTS if document["kind"] == "ConfigMap")
    assert set(config["data"]) <= VARIABLES


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["metadata"]["name"])
def test_kubernetes_takes_secrets_from_a_secret_and_limits_memory(pod):
    container = _container(pod)
    for variable in container["env"]:
        if variable["name"] in SECRETS:
            assert "value" not in variable and variable["valueFrom"]["secretKeyRef"]["name"] == "stream-detector"
    assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 10001


def test_the_command_that_makes_the_secret_names_every_key_that_is_asked_for():
    asked = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for pod in PODS
        for variable in _container(pod)["env"]
        if "valueFrom" in variable
    }
    page = (ROOT / "deploy" / "kubernetes" / "README.md").read_text("utf-8")
    assert set(re.findall(r"--from-literal=([a-z-]+)=", page)) == asked


@pytest.mark.parametrize(
    "pod", [pod for pod in PODS if pod["kind"] == "Deployment"], ids=lambda pod: pod["metadata"]["name"]
)
def test_kubernetes_probes_the_port_of_the_role(pod):
    container = _container(pod)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == ROLE_PORTS[pod["metadata"]["name"]]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert pod["spec"]["selector"]["matchLabels"] == pod["spec"]["template"]["metadata"]["labels"]


POLICIES = [document for document in MANIFESTS if document["kind"] == "NetworkPolicy"]


def _allowed(direction, labels):
    """The ports that any policy allows the pods with these labels."""
    found = set()
    for policy in POLICIES:
        selector = policy["spec"]["podSelector"]
        chosen = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
        chosen &= all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))
        if chosen:
            for rule in policy["spec"].get(direction, []):
                found |= {port["port"] for port in rule["ports"]}
    return found


def test_nothing_may_talk_but_what_a_policy_allows():
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in [policy["spec"] for policy in POLICIES]
    assert all(policy["metadata"]["namespace"] == "stream-detector" for policy in POLICIES)


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["metadata"]["name"])
def test_a_pod_may_reach_what_its_role_needs_and_no_more(pod):
    name, labels = pod["metadata"]["name"], pod["spec"]["template"]["metadata"]["labels"]
    outward = {53, 9092} | ({5432} if name in NEEDS_DATABASE else set())
    outward |= {443, 465, 587} if name == "notifier" else set()
    assert _allowed("egress", labels) == outward
    inward = {"metrics"} | ({"http"} if name == "api" else set())
    assert _allowed("ingress", labels) == inward
    ports = {port["name"] for port in _container(pod).get("ports", [])}
    assert pod["kind"] == "Job" or inward == ports
