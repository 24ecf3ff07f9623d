"""Write a page of all HTTP endpoints from the tables of routes and the OpenAPI document that the service serves."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scripts.site_markdown import cell, prose

from watchword.apps.service.openapi import DOCUMENT
from watchword.apps.service.operator import OPERATOR_ROUTES

INTRODUCTION: Final = """\
# HTTP endpoints

The service has a public listener, which phones call, and an operator's Unix socket. What each does is told in [the service](../service.md), the bytes of
statement, evidence, tokens and proofs in [the protocol](../protocol.md). A running service serves the first table as OpenAPI 3.1 under `/openapi.json`.

Every refusal is `application/problem+json` (RFC 9457): `type` is one of the public classes of [reasons](../reasons.md), `ref` is what
`watchword explain` opens. Gates on other machines fetch their [bundle](../bundle.md) from a third listener, over mutual TLS.

"""
OPERATOR: Final = """\
## The operator's socket

`operator.sock` in the state directory, which only the service's own user can open. The commands `watchword instances`, `keys`, `secrets`, `metrics`,
`explain` and `pins reports` call it. A query that names anything else is refused with 400.

| method | path | query | does |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page, made by ``python -m scripts.site_reference``."""
    return INTRODUCTION + "\n".join((*_public(), *_operator(), *_schemas())).rstrip("\n") + "\n"


def _public() -> Iterator[str]:
    yield "## The public listener\n"
    yield "| method | path | does | takes | answers |"
    yield "| --- | --- | --- | --- | --- |"
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            taken = _named(operation.get("requestBody", {}))
            answers = [
                f"{status} {_named(answer)}".strip()
                for status, answer in operation["responses"].items()
                if status != "default"
            ]
            does = prose(operation["summary"])
            yield f"| {method.upper()} | `{path}` | {does} | {taken or '-'} | {', '.join(answers)} |"
    yield ""


def _named(body: Mapping[str, Any]) -> str:
    """Return the schema that a body has, linked to its section."""
    for content in body.get("content", {}).values():
        name = str(content["schema"].get("$ref", "")).rsplit("/", 1)[-1]
        if name:
            return f"[{name}](#{name.lower()})"
    return ""


def _operator() -> Iterator[str]:
    yield OPERATOR.rstrip("\n")
    for route in OPERATOR_ROUTES:
        first = (route.endpoint.__doc__ or "").strip().splitlines()[0]
        query = ", ".join(f"`{name}`" for name in route.arguments) or "-"
        yield f"| {route.method} | `{route.path}` | {query} | {cell(prose(first))} |"
    yield ""


def _schemas() -> Iterator[str]:
    yield "## What is sent\n"
    yield "A member is required where nothing else is said. Members that aren't named here are refused in what is sent to the service.\n"
    for name, schema in DOCUMENT["components"]["schemas"].items():
        yield f"### {name}\n"
        if schema.get("description"):
            yield prose(schema["description"]) + "\n"
        if "oneOf" in schema:
            yield _shape(schema) + "\n"
        rows = list(_members(schema, ""))
        if rows:
            yield "| member | is | meaning |"
            yield "| --- | --- | --- |"
            yield from rows
            yield ""


def _members(schema: Mapping[str, Any], within: str) -> Iterator[str]:
    """Yield a row for each member, those of objects in lists under the list's name."""
    properties = schema.get("properties") or {name: {} for name in schema.get("required", ())}
    for member, each in properties.items():
        optional = "" if member in schema.get("required", ()) else " (optional)"
        meaning = cell(prose(each.get("description", ""))) or "-"
        yield f"| `{within}{member}`{optional} | {cell(_shape(each))} | {meaning} |"
        yield from _members(each.get("items", {}), f"{within}{member}[].")


def _shape(schema: Mapping[str, Any]) -> str:
    """Return what a member is, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "oneOf" in schema:
        return " or ".join(_shape(each) for each in schema["oneOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', {}))}"
    most = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return f"{schema.get('type', 'as its sender wrote it')}{most}"
