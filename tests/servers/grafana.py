"""The queries of our Grafana dashboard, as Prometheus gets them."""

import json
from pathlib import Path
from typing import NamedTuple

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "stream-detector.json"


class Query(NamedTuple):
    """One query of one panel."""

    panel: str
    expression: str


def queries(rate_interval: str = "1m") -> list[Query]:
    """Every query of every panel, with Grafana's own variable filled in as Grafana does it."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [
        Query(panel["title"], target["expr"].replace("$__rate_interval", rate_interval))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
