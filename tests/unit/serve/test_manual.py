"""W43: the page to read covers every route and every type, and asks no other host for anything."""

import re
from html import unescape
from typing import Any

import pytest

from stream_detector.serve.manual import page
from stream_detector.serve.routes import ROUTES, Route
from tests.generate import openapi_document


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return openapi_document()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_w43_every_route_is_on_the_page_with_its_parameters_and_answers(written: dict[str, Any], route: Route) -> None:
    name = route.handler.__name__
    section = re.search(rf'<section aria-labelledby="{name}">.*?</section>', page(written), re.DOTALL)
    assert section is not None
    text = unescape(section[0])
    operation = written["paths"][route.path][route.method.lower()]
    assert f"{route.method} {route.path}" in text and operation["description"] in text
    assert all(f"<code>{each['name']}</code>" in text for each in operation.get("parameters", []))
    assert all(f"<td>{status} " in text for status in operation["responses"])


def test_w43_every_link_on_the_page_leads_somewhere_on_it(written: dict[str, Any]) -> None:
    text = page(written)
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > len(ROUTES) + 20
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
    others = set(re.findall(r'(?:href|src)="([^#"][^"]*)"', text))
    assert others == {"/api/v1/openapi.json", "/anomalies", "/docs/manual.css", "/favicon.svg"}
    assert "<script" not in text and "style=" not in text


def test_what_the_document_says_is_text(written: dict[str, Any]) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    operation = {"operationId": "a", "summary": hostile, "description": hostile, "responses": {"200": {}}}
    operation["parameters"] = [{"name": hostile, "required": False, "schema": {"enum": [hostile]}}]
    operation["responses"] = {"200": {"description": hostile}}
    told = page(
        {"info": {"description": hostile}, "paths": {hostile: {"get": operation}}, "components": {"schemas": {}}}
    )
    assert "<img" not in told
