"""The Grafana dashboard and the alert rules ask only for metrics and labels that the roles serve."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from stream_detector.events.notification import Outcome
from stream_detector.telemetry import metrics
from stream_detector.telemetry.health import ROLE_PORTS
from tests.servers import grafana

DEPLOY = Path(__file__).parents[3] / "deploy"
OURS = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
LABELS = {label for metric in OURS for label in metric._labelnames} | {"job", "instance", "le"}
SERVED = {"up", "ALERTS", *REGISTRY._names_to_collectors}

RULES = [
    rule["expr"]
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
ALL = [query.expression for query in grafana.queries()] + RULES


def _metrics_of(expression):
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on|without) ?\([^)]*\)|\"[^\"]*\"", " ", expression)
    words = set(re.findall(r"\b[a-z_][a-z0-9_]+\b(?!\s*\()", bare, re.IGNORECASE))
    return words - {"by", "and", "or", "unless", "offset", "le"}


@pytest.mark.parametrize("expression", ALL)
def test_every_metric_asked_for_exists(expression):
    assert _metrics_of(expression)
    assert _metrics_of(expression) <= SERVED


@pytest.mark.parametrize("expression", ALL)
def test_every_label_asked_for_exists(expression):
    labels = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", expression))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in group.split(",")}
    assert labels <= LABELS


def test_the_jobs_asked_for_are_the_roles():
    asked = {
        job for expression in ALL for jobs in re.findall(r'job=~?"([^"]*)"', expression) for job in jobs.split("|")
    }
    assert asked == set(ROLE_PORTS)


def test_the_outcomes_asked_for_exist():
    asked = {outcome for expression in ALL for outcome in re.findall(r'outcome="([^"]*)"', expression)}
    assert asked and asked <= set(get_args(Outcome))


def test_every_metric_of_ours_is_on_the_dashboard():
    asked = set().union(*(_metrics_of(query.expression) for query in grafana.queries()))
    asked = {re.sub("_(total|bucket)$", "", name) for name in asked}
    assert {metric.describe()[0].name for metric in OURS} <= asked


def test_prometheus_scrapes_each_role_under_its_name_on_its_port():
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    scraped = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert scraped == {role: [f"{role}:{port}"] for role, port in ROLE_PORTS.items()}


def test_panels_have_a_title_a_unit_and_do_not_overlap():
    taken = {}
    for panel in json.loads(grafana.DASHBOARD.read_text("utf-8"))["panels"]:
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
        at = panel["gridPos"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert cell[0] < 24
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]


def test_dashboard_and_datasource_agree_on_their_uid():
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))
    dashboard = grafana.DASHBOARD.read_text("utf-8")
    assert set(re.findall(r'"type": "prometheus",\s+"uid": "([^"]+)"', dashboard)) == {source["datasources"][0]["uid"]}
