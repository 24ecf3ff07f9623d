"""Build descriptions of APIs for tests from a few words."""

from typing import Any

from watchword.scan.api.registry import look_at
from watchword.scan.interface import Finding, Verdict

Document = dict[str, Any]
BEARER: Document = {"bearerAuth": {"type": "http", "scheme": "bearer"}}
SIGNED_IN: list[Document] = [{"bearerAuth": []}]


def described(paths: Document, **more: Any) -> Document:
    """Return an OpenAPI 3.0 description at https, whose operations ask for a session unless they say else."""
    schemes = {**BEARER, **more.pop("schemes", {})}
    components = {"securitySchemes": schemes, **more.pop("components", {})}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "https://api.example-shop.com"}],
        "security": SIGNED_IN,
        "paths": paths,
        "components": components,
        **more,
    }


def swagger(paths: Document, **more: Any) -> Document:
    """Return a Swagger 2 description at https, whose operations ask for a session unless they say else."""
    scheme = {"type": "apiKey", "in": "header", "name": "Authorization"}
    return {
        "swagger": "2.0",
        "host": "api.example-shop.com",
        "basePath": "/v1",
        "schemes": ["https"],
        "securityDefinitions": {"session": scheme},
        "security": [{"session": []}],
        "paths": paths,
        **more,
    }


def answer(properties: Document, **more: Any) -> Document:
    """Return an operation that answers with an object."""
    schema = {"type": "object", "properties": properties}
    return {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}, **more}


def body(schema: Document, **more: Any) -> Document:
    """Return an operation that takes a body."""
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"content": content}, "responses": {"204": {}}, **more}


def parameter(name: str, place: str = "path", **schema: Any) -> Document:
    """Return a parameter."""
    return {"name": name, "in": place, "required": True, "schema": schema}


def found(document: Any, rule: str, **app: Any) -> list[Finding]:
    """Return what a rule says of a description."""
    return [each for each in look_at(document, "shop.yaml", **app) if each.rule == rule]


def exposed(document: Any, rule: str, **app: Any) -> list[str]:
    """Return the subjects that a rule says are exposed, in order."""
    return [f.subject for f in found(document, rule, **app) if f.verdict is Verdict.EXPOSED]


def verdicts(document: Any, rule: str, **app: Any) -> set[Verdict]:
    """Return the verdicts that a rule gives."""
    return {each.verdict for each in found(document, rule, **app)}
