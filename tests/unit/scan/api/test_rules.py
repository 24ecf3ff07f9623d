"""Test each rule over descriptions of APIs: what it exposes, and what it leaves alone."""

from typing import Any

import pytest
from tests.unit.scan.api.builders import (
    BEARER,
    SIGNED_IN,
    answer,
    body,
    described,
    exposed,
    found,
    parameter,
    swagger,
    verdicts,
)

from watchword.scan.api.registry import RULES
from watchword.scan.interface import Confidence, Severity, Verdict

OPEN: dict[str, Any] = {"security": []}
ORDER = {"id": {"type": "integer"}, "total": {"type": "number"}}
WRITE = "api-no-authentication-on-write"
FIELDS = "api-excessive-properties"


def test_a_tight_description_exposes_nothing_and_is_never_called_protected() -> None:
    """Each rule says that it saw nothing of its kind; a description proves no protection."""
    paths = {
        "/health": {"get": {**answer({"up": {"type": "boolean"}}), **OPEN}},
        "/orders/{id}": {
            "parameters": [parameter("id", type="string", format="uuid")],
            "get": answer(ORDER),
            "put": body({"type": "object", "properties": {"note": {"type": "string"}}}),
        },
    }
    for app in ({}, {"app_hosts": frozenset({"api.example-shop.com"}), "app_paths": frozenset()}):
        for rule in RULES:
            assert not exposed(described(paths), rule.id, **app), rule.id
            assert Verdict.PROTECTED not in verdicts(described(paths), rule.id, **app)
            assert found(described(paths), rule.id, **app)


def test_a_read_that_anybody_may_do_is_told_by_what_it_answers() -> None:
    """Personal data make it critical; probes and the entrance aren't told."""
    paths = {
        "/": {"get": {**answer({}), **OPEN}},
        "/healthz": {"get": {**answer({}), **OPEN}},
        "/users": {"get": {**answer({"email": {"type": "string"}}), **OPEN}},
        "/books": {"get": {**answer({"title": {"type": "string"}}), **OPEN}},
        "/mine": {"get": answer({"email": {"type": "string"}})},
    }
    said = {f.subject: f for f in found(described(paths), "api-no-authentication")}
    assert set(said) == {"GET /users", "GET /books"}
    assert said["GET /users"].severity is Severity.CRITICAL
    assert said["GET /books"].severity is Severity.HIGH
    assert {f.confidence for f in said.values()} == {Confidence.CERTAIN}
    assert said["GET /users"].locations[0].file == "shop.yaml"
    assert said["GET /users"].locations[0].member == "GET /users"


@pytest.mark.parametrize(
    "security", [[], [{}], [{"bearerAuth": []}, {}]], ids=["none", "empty", "or"]
)
def test_one_alternative_that_asks_for_nothing_opens_an_operation(security: list[Any]) -> None:
    """OpenAPI lets a caller choose among alternatives."""
    paths = {"/books": {"get": {**answer({}), "security": security}}}
    assert exposed(described(paths), "api-no-authentication") == ["GET /books"]


def test_how_sure_it_is_depends_on_what_the_description_says_elsewhere() -> None:
    """Nothing said where others say something is likely so; nothing said anywhere may have been left out."""
    books, orders = {"get": answer({})}, {"get": {**answer({}), "security": SIGNED_IN}}
    some = described({"/books": books, "/orders": orders}, security=None)
    assert [f.confidence for f in found(some, "api-no-authentication")] == [Confidence.LIKELY]
    none = described({"/books": books}, security=None)
    assert [f.confidence for f in found(none, "api-no-authentication")] == [Confidence.POSSIBLE]


def test_a_header_that_carries_a_token_counts_as_authentication() -> None:
    """Many describe it as a parameter; a key that keeps a request from counting twice is none."""
    token = {"get": {**answer({}), "parameters": [parameter("Authorization", "header")]}}
    other = {"get": {**answer({}), "parameters": [parameter("Idempotency-Key", "header")]}}
    document = described({"/a": token, "/b": other}, security=None)
    assert exposed(document, "api-no-authentication") == ["GET /b"]


def test_changes_that_anybody_may_do_are_told_but_signing_in_is_not() -> None:
    """An object of the caller's choice is worse than a new one; a GET that changes something is told too."""
    paths = {
        "/login": {"post": {**body({}), **OPEN}},
        "/sessions": {"post": {**body({}), **OPEN}},
        "/members": {"post": {**body({"properties": {"password": {"type": "string"}}}), **OPEN}},
        "/orders": {"post": {**body({}), **OPEN}},
        "/orders/{id}": {
            "parameters": [parameter("id", type="string", format="uuid")],
            "delete": OPEN,
        },
        "/createdb": {"get": {**answer({}), **OPEN}},
        "/created": {"get": {**answer({}), **OPEN}},
    }
    said = {f.subject: f.severity for f in found(described(paths), WRITE)}
    assert said == {
        "POST /orders": Severity.HIGH,
        "DELETE /orders/{id}": Severity.CRITICAL,
        "GET /createdb": Severity.CRITICAL,
    }
    assert exposed(described(paths), "api-no-authentication") == ["GET /created"]


@pytest.mark.parametrize(
    ("servers", "subjects", "seen"),
    [
        ([{"url": "http://api.example-shop.com/v1"}], ["http://api.example-shop.com"], True),
        ([{"url": "https://api.example-shop.com"}], [], True),
        ([{"url": "http://localhost:5000"}], [], False),
        ([{"url": "/v1"}], [], False),
        (None, [], False),
        (
            [
                {
                    "url": "{scheme}://api.example-shop.com",
                    "variables": {"scheme": {"default": "https", "enum": ["https", "http"]}},
                }
            ],
            ["http://api.example-shop.com"],
            True,
        ),
    ],
    ids=["plain", "tls", "local", "relative", "none", "choice"],
)
def test_plain_http_is_told_by_the_servers(
    servers: Any, subjects: list[str], *, seen: bool
) -> None:
    """A developer's own machine says nothing of where the API is served."""
    document = described({"/a": {"get": answer({})}}, servers=servers)
    assert exposed(document, "api-plain-http") == subjects
    assert (Verdict.NOT_SEEN not in verdicts(document, "api-plain-http")) is seen


def test_tokens_that_come_without_tls_are_told() -> None:
    """The address of an OAuth server counts as well as the API's."""
    flow = {"tokenUrl": "http://id.example-shop.com/token", "scopes": {}}
    oauth = {"type": "oauth2", "flows": {"clientCredentials": flow}}
    document = described({"/a": {"get": answer({})}}, schemes={"oauth": oauth})
    assert exposed(document, "api-plain-http") == ["oauth:id.example-shop.com"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (parameter("id", type="integer"), True),
        (parameter("orderId", type="number"), True),
        (parameter("id", type=["integer", "null"]), True),
        (parameter("id", type="string", format="uuid"), False),
        (parameter("id", type="string"), False),
        (parameter("id", type="string", maxLength=6), True),
        (parameter("id", type="string", maxLength=36), False),
        (parameter("id", type="string", pattern="^[0-9]{1,9}$"), True),
        (parameter("id", type="string", example="4711"), True),
        (parameter("id", type="string", example="tiSTSUzh4BwtvYSLWPsqu9"), False),
        (parameter("username", type="string"), True),
        (parameter("page", type="integer"), False),
        (parameter("kind", type="integer", enum=[1, 2]), False),
        (parameter("order_id", "query", type="integer"), True),
        (parameter("limit", "query", type="integer"), False),
        (parameter("request_id", "header", type="integer"), False),
        ({"name": "id", "in": "path", "type": "integer"}, True),
    ],
    ids=lambda each: str(sorted(each.items())) if isinstance(each, dict) else str(each),
)
def test_ids_that_can_be_counted_or_guessed_are_told(given: Any, *, told: bool) -> None:
    """By type, form, example or name; long random ids and numbers that name no object aren't."""
    paths = {"/orders/{x}": {"get": {**answer({}), "parameters": [given]}}}
    assert bool(exposed(described(paths), "api-enumerable-ids")) is told


def test_functions_for_staff_need_a_scope_of_their_own() -> None:
    """By path, tag or text; open ones are the worst, and a scope that all callers have is none."""
    oauth = {"type": "oauth2", "flows": {"authorizationCode": {"scopes": {}}}}
    paths = {
        "/orders": {"get": {**answer({}), "security": [{"oauth": ["read"]}]}},
        "/admin/users": {"get": {**answer({}), **OPEN}},
        "/admin/orders": {"get": {**answer({}), "security": [{"oauth": ["read"]}]}},
        "/admin/keys": {"get": {**answer({}), "security": [{"oauth": ["read", "admin"]}]}},
        "/reports": {"get": {**answer({}), "tags": ["Shop / Admin"]}},
        "/users/{id}": {"delete": {"summary": "Deletes a user (Only Admins)"}},
        "/administrators-day": {"get": {**answer({}), **OPEN}},
        "/admin/health": {"get": {**answer({}), **OPEN}},
    }
    said = {
        f.subject: f.severity
        for f in found(described(paths, schemes={"oauth": oauth}), "api-admin-without-scope")
        if f.verdict is Verdict.EXPOSED
    }
    assert said == {
        "GET /admin/users": Severity.CRITICAL,
        "GET /admin/orders": Severity.HIGH,
        "GET /reports": Severity.HIGH,
        "DELETE /users/{id}": Severity.HIGH,
        "GET /administrators-day": Severity.CRITICAL,
    }


def test_keys_in_addresses_are_told_by_scheme_and_by_parameter() -> None:
    """A scheme in the query counts once for all its operations; a place in a list of pages is no token."""
    key = {"type": "apiKey", "in": "query", "name": "api_key"}
    use = {**answer({}), "security": [{"key": []}]}
    paths = {
        "/a": {"get": use},
        "/b": {"get": use},
        "/c": {
            "get": {**answer({}), "parameters": [parameter("password", "query", type="string")]}
        },
        "/d": {"get": {**answer({}), "parameters": [parameter("pageToken", "query")]}},
    }
    document = described(paths, schemes={"key": key})
    assert set(exposed(document, "api-key-in-query")) == {"key", "GET /c password"}
    by_scheme = next(f for f in found(document, "api-key-in-query") if f.subject == "key")
    assert [each.member for each in by_scheme.locations] == ["GET /a", "GET /b"]


def test_a_key_alone_is_told_but_not_beside_a_session() -> None:
    """A key says which client calls; a token in a header or a cookie says which user."""
    schemes = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    }
    paths = {
        "/a": {"get": {**answer({}), "security": [{"key": []}]}},
        "/b": {"post": {**body({}), "security": [{"key": [], "bearerAuth": []}]}},
        "/c": {"get": {**answer({}), "security": [{"token": []}]}},
        "/d": {"get": {**answer({}), "security": [{"cookie": []}]}},
        "/e": {"put": {**body({}), "security": [{"bearerAuth": []}, {"key": []}]}},
    }
    said = found(described(paths, schemes=schemes), "api-key-only")
    assert [f.subject for f in said] == ["key"]
    assert [each.member for each in said[0].locations] == ["GET /a", "PUT /e"]
    assert not exposed(described(paths, schemes=schemes), "api-no-authentication")


def test_secrets_in_answers_are_told_and_tokens_of_a_sign_in_are_not() -> None:
    """Names count as they end; what is only written, or only says whether, isn't the secret."""
    secret = {"password_hash": {"type": "string"}, "note": {"type": "string"}}
    many = {"users": {"type": "array", "items": {"properties": secret}}}
    harmless = {
        "tokenType": {"type": "string"},
        "hasPassword": {"type": "boolean"},
        "password": {"type": "string", "writeOnly": True},
        "nextToken": {"type": "string"},
    }
    login = {**body({}), **answer({"token": {"type": "string"}}), **OPEN}
    paths = {
        "/me": {"get": answer(secret)},
        "/users": {"get": answer(many)},
        "/settings": {"get": answer(harmless)},
        "/login": {"post": login},
        "/leak": {"post": {**body({}), **answer({"token": {"type": "string"}})}},
    }
    said = {f.subject: f.severity for f in found(described(paths), FIELDS)}
    assert said == {
        "GET /me answer": Severity.HIGH,
        "GET /users answer": Severity.CRITICAL,
        "POST /leak answer": Severity.HIGH,
    }


def test_people_in_lists_are_told_and_one_s_own_data_is_not() -> None:
    """An address of mail for each of many is what scraping is for."""
    person = {"email": {"type": "string"}}
    items = {"type": "array", "items": {"properties": {"author": {"properties": person}}}}
    paths = {"/posts": {"get": answer({"posts": items})}, "/me": {"get": answer(person)}}
    assert exposed(described(paths), FIELDS) == ["GET /posts people"]


def test_fields_that_a_caller_shouldn_t_set_are_told() -> None:
    """Rights and values by name, and objects that say that they take anything else; a map lists no fields."""
    rights = {"properties": {"name": {}, "isAdmin": {"type": "boolean"}}}
    paths = {
        "/me": {"patch": body(rights)},
        "/name": {"put": body({"properties": {"name": {}}, "additionalProperties": True})},
        "/map": {"put": body({"type": "object", "additionalProperties": True})},
        "/read": {"put": body({"properties": {"role": {"readOnly": True}}})},
        "/admin/users": {"put": body(rights)},
        "/closed": {"put": body({"properties": {"name": {}}, "additionalProperties": False})},
    }
    assert set(exposed(described(paths), FIELDS)) == {"PATCH /me request", "PUT /name open"}


def test_weak_ways_to_sign_in_are_told() -> None:
    """Passwords with each call, tokens in redirects, passwords through the app; in both versions' words."""
    schemes = {
        "basic": {"type": "http", "scheme": "Basic"},
        "oauth": {"type": "oauth2", "flows": {"implicit": {}, "authorizationCode": {}}},
        **BEARER,
    }
    paths = {"/a": {"get": {**answer({}), "security": [{"basic": []}]}}}
    document = described(paths, schemes=schemes)
    assert set(exposed(document, "api-weak-authentication")) == {"basic", "oauth implicit"}
    old = {"owner": {"type": "oauth2", "flow": "password"}, "basic": {"type": "basic"}}
    document = swagger({"/a": {"get": {}}}, securityDefinitions=old)
    assert set(exposed(document, "api-weak-authentication")) == {"owner password", "basic"}


def test_versions_side_by_side_are_told() -> None:
    """The same path in two versions, or two servers; different resources in different versions are no pair."""
    paths = {
        "/auth/v2/check-otp": {"post": body({})},
        "/auth/v3/check-otp": {"post": body({})},
        "/v1/users": {"get": answer({})},
        "/v2/orders": {"get": answer({})},
    }
    said = found(described(paths), "api-old-versions")
    assert [f.subject for f in said] == ["/auth/{version}/check-otp"]
    assert [each.member for each in said[0].locations] == ["POST /auth/v2/check-otp"]
    servers = [{"url": f"https://api.example-shop.com/v{n}"} for n in (1, 2)]
    document = described({"/a": {"get": {}}}, servers=servers)
    assert exposed(document, "api-old-versions") == ["servers /{version}"]


def test_deprecated_operations_are_told() -> None:
    """It's worse where anybody may call them."""
    paths = {"/a": {"get": {"deprecated": True}, "put": {"deprecated": True, **OPEN}, "post": {}}}
    said = {f.subject: f.severity for f in found(described(paths), "api-deprecated")}
    assert said == {"GET /a": Severity.LOW, "PUT /a": Severity.HIGH}


def test_addresses_of_a_caller_s_choice_are_told() -> None:
    """By name, format or example, in parameters and bodies, and callbacks surely; where OAuth goes back to isn't fetched."""
    media = {"schema": {"type": "object"}, "example": {"mechanic_api": "http://localhost/x"}}
    back: dict[str, Any] = {"done": {"{$request.body#/hook}": {"post": {}}}}
    query = {"get": {**answer({}), "parameters": [parameter("redirect_uri", "query")]}}
    paths = {
        "/fetch": {"get": {**answer({}), "parameters": [parameter("imageUrl", "query")]}},
        "/hooks": {"post": body({"properties": {"target": {"type": "string", "format": "uri"}}})},
        "/contact": {"post": {"requestBody": {"content": {"application/json": media}}}},
        "/jobs": {"post": {**body({}), "callbacks": back}},
        "/authorize": query,
        "/links": {"get": answer({"url": {"type": "string"}})},
    }
    assert set(exposed(described(paths), "api-url-parameters")) == {
        "GET /fetch address",
        "POST /hooks address",
        "POST /contact address",
        "POST /jobs callback",
    }


def test_files_are_told_and_exposed_where_anybody_sends_them() -> None:
    """In the words of both versions."""
    upload = {"properties": {"file": {"type": "string", "format": "binary"}}}
    content = {"content": {"multipart/form-data": {"schema": upload}}}
    paths = {
        "/mine": {"post": {"requestBody": content}},
        "/all": {"post": {"requestBody": content, **OPEN}},
    }
    assert exposed(described(paths), "api-file-upload") == ["POST /all"]
    assert Verdict.INFO in verdicts(described(paths), "api-file-upload")
    old = {"name": "file", "in": "formData", "type": "file"}
    document = swagger({"/all": {"post": {"parameters": [old], **OPEN}}})
    assert exposed(document, "api-file-upload") == ["POST /all"]


@pytest.mark.parametrize(
    "more",
    [
        {"responses": {"429": {}}},
        {"responses": {"200": {"headers": {"X-RateLimit-Limit": {}}}}},
        {"description": "Locks out after five tries: the account is locked for an hour."},
    ],
    ids=["429", "header", "words"],
)
def test_guessing_is_told_unless_a_limit_is(more: Any) -> None:
    """Signing in and vouchers; a limit may stand in an answer, a header or the text."""
    login = {**body({}), **OPEN}
    vouchers = {"post": body({})}
    rule = "api-unlimited-guessing"
    document = described({"/login": {"post": login}, "/vouchers/redeem": vouchers, "/a": vouchers})
    assert set(exposed(document, rule)) == {"POST /login", "POST /vouchers/redeem"}
    assert not exposed(described({"/login": {"post": {**login, **more}}}), rule)


def test_a_change_of_password_by_who_is_signed_in_is_no_guessing() -> None:
    """Whoever has a session tries nothing there that he doesn't have."""
    paths = {"/password/reset": {"post": body({"properties": {"password": {}}})}}
    assert not exposed(described(paths), "api-unlimited-guessing")
