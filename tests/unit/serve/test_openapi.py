"""W43: the document covers every route, is valid, and is the one that is published."""

from pathlib import Path

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from stream_detector.events.anomaly_types import TYPES
from stream_detector.serve.openapi_links import LINKS
from stream_detector.serve.routes import ROUTES, Route
from tests.generate import openapi_document

PUBLISHED = Path(__file__).parents[3] / "schemas" / "openapi.yaml"


def test_w43_the_document_is_valid_openapi() -> None:
    assert [*OpenAPIV31SpecValidator(openapi_document()).iter_errors()] == []


def test_w43_the_published_document_is_up_to_date() -> None:
    assert yaml.safe_load(PUBLISHED.read_text("utf-8")) == openapi_document(), "run make generate"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_w43_every_route_has_request_response_and_errors(route: Route) -> None:
    operation = openapi_document()["paths"][route.path][route.method.lower()]
    assert operation["summary"] and operation["description"]
    assert ("requestBody" in operation) == (route.body is not None or route.text_body)
    assert ("200" in operation["responses"]) == (route.answer is not None)
    for status in {*route.problems, 401, 403, 500, *([503] if route.database else [])}:
        assert "application/problem+json" in operation["responses"][str(status)]["content"]


def test_w43_every_link_leads_to_a_route_and_a_parameter_of_it() -> None:
    operations = {
        each["operationId"]: each for methods in openapi_document()["paths"].values() for each in methods.values()
    }
    assert set(LINKS) <= set(operations)
    for name, links in LINKS.items():
        assert operations[name]["responses"]["200"]["links"] == links
        for link in links.values():
            target = operations[link["operationId"]]
            known = {each["name"] for each in target.get("parameters", [])}
            assert set(link.get("parameters", {})) <= known
            assert ("requestBody" in link) <= ("requestBody" in target)


def test_w40_the_document_lists_what_each_filter_allows() -> None:
    listed = openapi_document()["paths"]["/api/v1/ai/anomalies"]["get"]["parameters"]
    allowed = {each["name"]: each["schema"] for each in listed}
    assert set(allowed) == {
        "from",
        "to",
        "range",
        "hours",
        "type",
        "severity",
        "state",
        "entity",
        "variant",
        "q",
        "run",
        "open",
        "acknowledged",
        "limit",
        "cursor",
    }
    assert allowed["type"]["items"]["x-extensible-enum"] == list(TYPES)
    assert allowed["severity"]["items"]["x-extensible-enum"] == ["info", "warning", "critical"]
