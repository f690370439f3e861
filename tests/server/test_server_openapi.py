"""The document says what the server does: schemathesis asks everything that it allows, and much that it does not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from live import service_of
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.routing import Route

from kinemark.server.app import api_app
from kinemark.server.openapi import document
from kinemark.settings import Settings


@pytest.fixture
def app(tmp_path):
    settings = Settings(home=tmp_path / "home")
    return api_app(service_of(settings, f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files"))


def test_every_route_of_the_api_is_in_it_and_no_other(app):
    routes = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route) and route.path.startswith("/v1/") and "moderations" not in route.path
        for method in route.methods - {"HEAD"}
    }
    told = {(path, method) for path, one in document()["paths"].items() for method in one if method != "parameters"}
    assert told == routes


@pytest.mark.slow
def test_whatever_is_asked_is_no_error_of_the_server(app):
    """Two dozen requests to each operation, valid ones and others."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    few = settings(max_examples=24, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # it does not end while a job waits

        def ask(case):
            seen.add(case.operation.label)
            answer = case.call(headers={"Authorization": "Bearer anything"})
            case.validate_response(
                answer, checks=[not_a_server_error, response_schema_conformance, status_code_conformance]
            )

        few(given(case=operation.as_strategy())(ask))()
    assert len(seen) == sum(len(one.keys() - {"parameters"}) for one in document()["paths"].values()) - 1
