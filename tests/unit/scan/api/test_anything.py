"""Test that no description, however odd, raises anything or is called clean."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scan.api.builders import answer, body, described, parameter, swagger

from watchword.scan.api.registry import RULES, look_at
from watchword.scan.interface import Verdict

NAMES = (
    "openapi swagger paths /a /a/{id} get post put delete parameters name in schema type properties items $ref security servers url"
    " variables scheme requestBody responses 200 default content application/json allOf oneOf additionalProperties components"
    " schemas securitySchemes headers examples example callbacks tags summary deprecated host basePath schemes flows enum"
)
KEYS = st.sampled_from(NAMES.split()) | st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "#/paths/~1a",
            "#",
            "#/",
            "#/components/schemas/A",
            "3.0.0",
            "2.0",
            "http://a:b@c",
            "{x}",
            "//",
        ]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(KEYS | st.integers() | st.booleans() | st.none(), below, max_size=5)
    ),
    max_leaves=30,
)

FULL = described(
    {
        "/users/{id}": {
            "parameters": [parameter("id", type="integer", example=7, maxLength=4)],
            "get": {**answer({"email": {"type": "string"}}), "security": [], "tags": ["admin"]},
            "post": {
                **body({"properties": {"url": {}, "role": {}}, "additionalProperties": True}),
                "callbacks": {"a": {"{$request.body#/url}": {}}},
                "summary": "Only admins",
            },
        },
        "/v1/login": {"post": body({"$ref": "#/components/schemas/A"})},
    },
    components={"schemas": {"A": {"allOf": [{"properties": {"password": {}}}]}}},
    schemes={"key": {"type": "apiKey", "in": "query", "name": "key"}},
)
OLD = swagger(
    {"/a": {"post": {"parameters": [{"in": "body", "name": "b", "schema": {"properties": {}}}]}}}
)


def spots(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values of a document."""
    below = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [path, *(each for key, value in below for each in spots(value, (*path, key)))]


def with_value(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at a path."""
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = with_value(node[path[0]], path[1:], value)
    return copy


def assert_promises(
    document: Any, hosts: frozenset[str] | None, paths: frozenset[str] | None
) -> None:
    """Hold an answer to what is promised of every one."""
    said = look_at(document, "a.yaml", hosts, paths)
    assert {f.rule for f in said} == {rule.id for rule in RULES}
    assert Verdict.PROTECTED not in {f.verdict for f in said}
    assert Verdict.ABSENT not in {f.verdict for f in said}
    assert all(f.title.isprintable() and f.subject.isprintable() for f in said)
    keys = [(f.rule, f.subject) for f in said]
    assert len(set(keys)) == len(keys)


def test_numbers_without_end_raise_nothing() -> None:
    """A number that Python won't write out may stand wherever a number may."""
    for where in spots(FULL):
        assert_promises(with_value(FULL, where, 10**5000), None, None)
    assert_promises(
        {"openapi": "3.0.0", "paths": {10**5000: FULL["paths"]["/users/{id}"]}}, None, None
    )


NAMED = st.none() | st.frozensets(
    st.text(max_size=12) | st.sampled_from(["a.com", "/a/{x}"]), max_size=4
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([FULL, OLD]), st.data(), VALUES, NAMED, NAMED)
def test_a_description_with_anything_anywhere_raises_nothing(
    document: Any,
    data: st.DataObject,
    value: Any,
    hosts: frozenset[str] | None,
    paths: frozenset[str] | None,
) -> None:
    """Any value in any place of a good description gives findings of every rule, each of its own subject."""
    where = data.draw(st.sampled_from(spots(document)))
    assert_promises(with_value(document, where, value), hosts, paths)


@settings(deadline=None, max_examples=200)
@given(VALUES, NAMED)
def test_any_plain_values_at_all_raise_nothing(paths: Any, named: frozenset[str] | None) -> None:
    """Whatever stands under paths, or in place of the document."""
    assert_promises({"openapi": "3.1.0", "paths": paths, "components": paths}, named, named)
    assert_promises(paths, named, named)
