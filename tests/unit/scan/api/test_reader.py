"""Test the reading of descriptions: versions, references, bounds, and whatever else people write."""

from typing import Any

import pytest
from tests.unit.scan.api.builders import answer, body, described, exposed, found, swagger, verdicts

from watchword.scan.api.registry import RULES, look_at
from watchword.scan.interface import Severity, Verdict

FIELDS = "api-excessive-properties"
SECRET = {"properties": {"password": {"type": "string"}}}


def referring(reference: str) -> dict[str, Any]:
    """Return an operation whose answer refers somewhere."""
    content = {"application/json": {"schema": {"$ref": reference}}}
    return {"responses": {"200": {"content": content}}}


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        "openapi: 3.0.0",
        {"openapi": "4.0.0", "paths": {}},
        {"openapi": 10**5000, "paths": {}},
        {"swagger": "1.2", "paths": {}},
        {"openapi": "3.0.0"},
        {"openapi": "3.0.0", "paths": []},
        {"openapi": "3.0.0", "paths": {}},
        {"openapi": "3.0.0", "paths": {"/a": None}},
        {"openapi": "3.0.0", "paths": {"/a": {"get": None}}},
        {"openapi": "3.1.0", "paths": {"/a": {"$ref": "other.yaml"}}},
    ],
    ids=range(13),
)
def test_what_is_no_description_is_not_seen_by_any_rule(document: Any) -> None:
    """Empty, of another kind or version, without an operation: each rule says that it saw nothing."""
    said = look_at(document, "a.yaml")
    assert {f.verdict for f in said} == {Verdict.NOT_SEEN}
    assert {f.rule for f in said} == {rule.id for rule in RULES}


@pytest.mark.parametrize("version", ["3.0.0", "3.0.4", "3.1.1", "3.2.0", 3.1])
def test_versions_of_openapi_3_are_read(version: Any) -> None:
    """A version that YAML made a number of is one too."""
    document = described({"/a": {"get": answer(SECRET["properties"])}}, openapi=version)
    assert exposed(document, FIELDS) == ["GET /a answer"]


def test_swagger_2_is_read() -> None:
    """Schemas of bodies and answers, security and servers stand elsewhere there."""
    taken = {"name": "order", "in": "body", "schema": {"$ref": "#/definitions/User"}}
    user = {"properties": {"role": {"type": "string"}, "password": {"type": "string"}}}
    paths = {
        "/users": {
            "get": {"responses": {200: {"schema": {"$ref": "#/definitions/User"}}}, "security": []},
            "put": {"parameters": [taken]},
        }
    }
    document = swagger(paths, definitions={"User": user}, schemes=["http", "https"])
    assert exposed(document, FIELDS) == ["GET /users answer", "PUT /users request"]
    assert exposed(document, "api-no-authentication") == ["GET /users"]
    assert exposed(document, "api-plain-http") == ["http://api.example-shop.com"]


def test_methods_of_openapi_3_2_are_read() -> None:
    """Query is a method that reads, and others stand apart."""
    item = {"query": {"security": []}, "additionalOperations": {"PURGE": {"deprecated": True}}}
    document = described({"/a": item}, openapi="3.2.0")
    assert exposed(document, "api-no-authentication") == ["QUERY /a"]
    assert exposed(document, "api-deprecated") == ["PURGE /a"]


def test_references_are_followed_wherever_they_may_stand() -> None:
    """Path items, parameters, bodies, answers, schemas and the schemas of parameters; with escapes."""
    number = {"name": "id", "in": "path", "schema": {"$ref": "#/components/schemas/Number"}}
    components = {
        "schemas": {"Number": {"type": "integer"}, "a/b c": SECRET},
        "parameters": {"Id": number},
        "responses": {"R": referring("#/components/schemas/a~1b%20c")["responses"]["200"]},
        "requestBodies": {"B": body({"properties": {"role": {}}})["requestBody"]},
        "pathItems": {
            "P": {
                "parameters": [{"$ref": "#/components/parameters/Id"}],
                "get": {"responses": {"200": {"$ref": "#/components/responses/R"}}},
                "put": {"requestBody": {"$ref": "#/components/requestBodies/B"}},
            }
        },
    }
    item = {"$ref": "#/components/pathItems/P", "delete": {}}
    document = described({"/a/{id}": item}, components=components)
    assert exposed(document, FIELDS) == ["GET /a/{id} answer", "PUT /a/{id} request"]
    assert len(exposed(document, "api-enumerable-ids")) == 3


def test_schemas_in_a_circle_are_read_whole_in_any_order() -> None:
    """What one schema holds by way of another is found, whichever operation comes first."""
    user = {
        "properties": {
            "password": {"type": "string"},
            "orders": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
        }
    }
    order = {"properties": {"user": {"$ref": "#/components/schemas/User"}}}
    components = {"schemas": {"User": user, "Order": order}}
    paths = {
        "/users": {"get": referring("#/components/schemas/User")},
        "/orders": {"get": referring("#/components/schemas/Order")},
    }
    for each in (paths, dict(reversed(paths.items()))):
        document = described(each, components=components)
        assert exposed(document, FIELDS) == ["GET /orders answer", "GET /users answer"]
        assert Verdict.NOT_SEEN not in verdicts(document, FIELDS)


@pytest.mark.parametrize("key", ["allOf", "anyOf", "oneOf"])
def test_parts_of_schemas_are_looked_into(key: str) -> None:
    """What may be answered counts as answered."""
    content = {"application/json": {"schema": {key: [{"properties": {}}, SECRET]}}}
    document = described({"/a": {"get": {"responses": {"200": {"content": content}}}}})
    assert exposed(document, FIELDS) == ["GET /a answer"]


@pytest.mark.parametrize(
    "reference",
    [
        "other.yaml#/User",
        "#/components/schemas/Gone",
        "#/components/schemas/Gone/0/x",
        "#User",
        "https://evil.example.com/x",
        "#/paths/0",
    ],
)
def test_a_reference_that_leads_nowhere_is_not_seen(reference: str) -> None:
    """Neither is what stands behind it: no clean bill."""
    document = described({"/a": {"get": referring(reference)}})
    assert verdicts(document, FIELDS) == {Verdict.NOT_SEEN}
    assert reference in found(document, FIELDS)[0].seen
    assert Verdict.NOT_SEEN not in verdicts(document, "api-deprecated")


def test_a_gap_is_said_beside_what_was_found() -> None:
    """Who reads of one fault must not take it for the only one."""
    paths = {"/a": {"get": answer(SECRET["properties"])}, "/b": {"get": referring("gone.yaml")}}
    assert verdicts(described(paths), FIELDS) == {Verdict.EXPOSED, Verdict.NOT_SEEN}


def test_references_in_a_circle_lead_nowhere() -> None:
    """Parameters that refer to one another, and an item that refers to itself."""
    components = {"parameters": {"A": {"$ref": "#/components/parameters/A"}}}
    item = {"get": {"parameters": [{"$ref": "#/components/parameters/A"}]}}
    document = described({"/a": item, "/b": {"$ref": "#/paths/~1b"}}, components=components)
    assert Verdict.NOT_SEEN in verdicts(document, "api-enumerable-ids")


@pytest.mark.parametrize("security", [{}, "none", [None], [{"gone": []}], 5])
def test_security_that_can_t_be_read_is_not_taken_for_none(security: Any) -> None:
    """Nor for enough: it's not seen."""
    document = described({"/a": {"get": {"security": security}}})
    assert verdicts(document, "api-no-authentication") == {Verdict.NOT_SEEN}


def test_a_document_that_holds_itself_comes_to_an_end() -> None:
    """Plain values in memory may go in circles without any reference."""
    schema: dict[str, Any] = {"properties": {}}
    for index in range(5):
        schema["properties"][f"a{index}"] = schema
    schema["items"] = schema
    document = described({"/a": {"get": answer({"x": schema})}})
    document["self"] = document
    assert verdicts(document, FIELDS) == {Verdict.NOT_SEEN}


def test_deep_schemas_are_cut_and_that_is_said() -> None:
    """Neither is there a stack to overflow."""
    schema: dict[str, Any] = dict(SECRET)
    for _ in range(5_000):
        schema = {"properties": {"a": schema}}
    document = described({"/a": {"get": answer({"x": schema})}})
    assert verdicts(document, FIELDS) == {Verdict.NOT_SEEN}


def test_a_huge_description_is_cut_and_that_is_said() -> None:
    """Of 10,500 operations 10,000 are read."""
    shared = {
        "schemas": {
            f"S{i}": {"properties": {"next": {"$ref": f"#/components/schemas/S{(i + 1) % 50}"}}}
            for i in range(50)
        }
    }
    paths = {f"/a{index}": {"get": referring("#/components/schemas/S0")} for index in range(10_500)}
    document = described(paths, components=shared)
    said = look_at(document, "a.yaml")
    assert Verdict.NOT_SEEN in {f.verdict for f in said if f.rule == "api-deprecated"}
    assert "10,000 of 10,500 operations" in said[0].seen


def test_texts_of_strangers_are_shown_on_one_line_and_cut() -> None:
    """Nothing that a terminal would obey comes out, and credentials in a URL don't either."""
    bad = "/a\x1b[31m\n" + "b" * 1_000
    servers = [{"url": "http://me:hunter2@api.example-shop.com"}]
    said = look_at(described({bad: {"get": {"security": []}}}, servers=servers), "x\n.yaml")
    for each in said:
        whole = f"{each.title}{each.subject}{each.seen}{each.locations}"
        assert each.title.isprintable()
        assert each.subject.isprintable()
        assert "\x1b" not in whole
        assert "hunter2" not in whole
        assert all(len(place.member) < 250 and place.file == "x .yaml" for place in each.locations)


def test_findings_are_grouped_by_operation_the_worst_first() -> None:
    """What is about the whole API comes first, then each operation as one group."""
    paths = {
        "/b": {"get": {**answer({}), "security": []}},
        "/users": {"get": {**answer({"password": {"type": "string"}}), "security": []}},
        "/a": {"get": {"deprecated": True}},
    }
    document = described(paths)
    said = look_at(document, "a.yaml")
    members = [f.locations[0].member for f in said]
    groups = [m for i, m in enumerate(members) if m and (i == 0 or members[i - 1] != m)]
    assert groups == ["GET /users", "GET /b", "GET /a"]
    ranks = [f.severity for f in said if f.locations[0].member == "GET /users"]
    assert ranks == sorted(ranks, key=lambda each: -each.rank)
    assert Severity.CRITICAL in ranks
    assert look_at(described(dict(reversed(paths.items()))), "a.yaml") == said


def test_a_schema_that_comes_once_and_in_a_list_counts_as_in_a_list() -> None:
    """Whichever of the two references is met first."""
    user = {"$ref": "#/components/schemas/User"}
    many = {"me": user, "others": {"type": "array", "items": user}}
    for properties in (many, dict(reversed(many.items()))):
        document = described(
            {"/a": {"get": answer(properties)}},
            components={"schemas": {"User": {"properties": {"secret": {}}}}},
        )
        said = [f for f in found(document, FIELDS) if f.verdict is Verdict.EXPOSED]
        assert [f.severity for f in said] == [Severity.CRITICAL]
