"""Show what is drafted from an API description, and that nothing in one breaks the drafting."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.plan.drafts import (
    DRAFT_IMPACT,
    MAX_API_ROUTES,
    MAX_ASSETS,
    PUBLIC_IMPACT,
    RULES,
    SENSITIVE_IMPACT,
    DraftAsset,
    slug,
    speaking,
    words_of,
)
from watchword.plan.drafts.openapi import (
    MAX_NODES,
    base_segments,
    draft_from_openapi,
    pattern,
    pattern_segments,
    route_order,
)
from watchword.plan.interface import Actor, AssetKind, Component, Trait

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=12), below, max_size=4)
    ),
    max_leaves=25,
)


def api(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a small document."""
    return {"openapi": "3.0.3", "info": {"title": "t"}, "paths": paths, **more}


def reading(*names: str) -> dict[str, Any]:
    """Return an operation whose answer has properties of these names."""
    schema = {"type": "object", "properties": {key: {"type": "string"} for key in names}}
    return {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}


def asking(*names: str) -> dict[str, Any]:
    """Return an operation whose request has properties of these names."""
    schema = {"type": "object", "properties": {key: {"type": "string"} for key in names}}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}}


def only(document: dict[str, Any]) -> DraftAsset:
    """Return the one asset that is drafted."""
    draft, faults = draft_from_openapi(document)
    assert faults == []
    (asset,) = draft.assets
    return asset


@pytest.mark.parametrize(
    ("path", "method", "operation", "traits", "impact"),
    [
        ("/v1/people", "get", reading("emailAddress"), {Trait.RECORDS}, DRAFT_IMPACT),
        (
            "/people",
            "get",
            reading("diagnosis"),
            {Trait.RECORDS, Trait.LIVE_DATA},
            SENSITIVE_IMPACT,
        ),
        ("/people", "get", reading("passport_number"), {Trait.RECORDS}, SENSITIVE_IMPACT),
        ("/login", "post", asking("email", "password"), {Trait.ACCOUNT}, DRAFT_IMPACT),
        ("/orders", "post", asking("cvv"), {Trait.PAYMENT}, SENSITIVE_IMPACT),
        ("/giftCards", "post", asking(), {Trait.STORED_VALUE}, DRAFT_IMPACT),
        ("/times", "get", reading("freeSlots"), {Trait.INVENTORY}, DRAFT_IMPACT),
        ("/hooks", "post", asking("callback_url"), {Trait.INTERNAL_NETWORK}, DRAFT_IMPACT),
        ("/pictures", "get", reading("url"), {Trait.RECORDS}, DRAFT_IMPACT),
        ("/search", "post", asking(), {Trait.AVAILABILITY}, DRAFT_IMPACT),
        ("/config", "get", reading("mapApiKey"), {Trait.THIRD_PARTY_KEY}, DRAFT_IMPACT),
        (
            "/funds",
            "get",
            reading("iban"),
            {Trait.RECORDS},
            DRAFT_IMPACT,
        ),
        (
            "/funds",
            "get",
            reading("currentBalance"),
            {Trait.STORED_VALUE, Trait.RECORDS},
            DRAFT_IMPACT,
        ),
        ("/funds", "get", reading("accountNumber"), {Trait.RECORDS}, DRAFT_IMPACT),
        ("/funds", "post", asking("iban"), {Trait.PAYMENT}, SENSITIVE_IMPACT),
        ("/wallets/{id}", "get", {}, {Trait.STORED_VALUE, Trait.RECORDS}, DRAFT_IMPACT),
        ("/wallets/{id}", "post", {}, {Trait.STORED_VALUE}, DRAFT_IMPACT),
        ("/wallets.{format}", "get", {}, {Trait.STORED_VALUE}, DRAFT_IMPACT),
        ("/wallets/{apiVersion}", "get", {}, {Trait.STORED_VALUE}, DRAFT_IMPACT),
        ("/things", "get", {}, {Trait.RECORDS}, DRAFT_IMPACT),
        ("/things", "delete", {}, {Trait.AVAILABILITY}, DRAFT_IMPACT),
    ],
)
def test_words_say_what_an_attacker_is_after(
    path: str, method: str, operation: dict[str, Any], traits: set[Trait], impact: int
) -> None:
    """Each word of the table counts where it says so, and nowhere else."""
    asset = only(api({path: {method: operation}}))
    assert asset.traits == traits
    assert asset.impact == impact
    assert "TODO" in asset.because
    assert path in asset.because


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/patients/{id}", "/v1/patients/*"),
        ("/v1/patients/", "/v1/patients"),
        ("/report.{format}", "/*"),
        ("/a b/c", "/*/c"),
        ("/x?y={z}", "/x"),
        ("/", "/"),
        ("/a//b", None),
        ("/a/../b", None),
        ("no-slash", None),
        ("/" + "x" * 200, None),
    ],
)
def test_paths_become_patterns(path: str, expected: str | None) -> None:
    """Parameters become one segment each; what no gate lets through is left out."""
    segments = pattern_segments(path)
    assert (pattern(segments) if segments is not None else None) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example/v1", ("v1",)),
        ("https://api.example", ()),
        ("/v2/", ("v2",)),
        ("//host/base", ("base",)),
        ("https://{tenant}.example/{stage}/v1", ("*", "v1")),
        (7, ()),
        ("nonsense", ()),
    ],
)
def test_the_servers_path_stands_in_front(url: object, expected: tuple[str, ...]) -> None:
    """The path of the server's URL is part of what the gate sees."""
    assert base_segments(url) == expected


def test_a_server_of_a_path_or_an_operation_stands_in_its_place() -> None:
    """The nearest one counts, a host of its own is told, and no path is one that no request has."""
    servers = [{"url": "https://api.bank.example/v1"}]
    psd2 = [{"url": "https://PSD2.bank.example/open"}]
    paths = {
        "/cards": {"get": {}, "servers": [{"url": "/v2"}]},
        "/accounts": {"get": {}, "servers": [{"url": "/v2"}], "post": {"servers": psd2}},
        "/payees": {"get": {"servers": []}, "servers": "none"},
        "/ping": {"get": {}, "servers": [{"url": "https://api.bank.example/"}]},
    }
    draft, faults = draft_from_openapi(api(paths, servers=servers))
    assert faults == []
    assert {each.id: each.routes for each in draft.assets} == {
        "cards": ("/v2/cards",),
        "accounts": ("/open/accounts", "/v2/accounts"),
        "payees": ("/v1/payees",),
    }
    assert [each.path for each in draft.routes if each.probe] == ["/ping"]
    (note,) = [each for each in draft.notes if "API of its own" in each]
    assert note.startswith("psd2.bank.example serves some of the paths")
    # Swagger 2 knows no such servers.
    old = {"swagger": "2.0", "paths": paths, "basePath": "/v1"}
    assert {path for each in draft_from_openapi(old)[0].assets for path in each.routes} == {
        "/v1/cards",
        "/v1/accounts",
        "/v1/payees",
    }


def test_what_anybody_may_read_is_no_secret() -> None:
    """Branches aren't records; a public login is what it was, and so is what says nothing of its security."""
    document = api(
        {
            "/branches": {"get": {"security": [], **reading("address", "phone")}},
            "/atms/{id}": {"get": {"security": []}},
            "/login": {"post": {"security": [], **asking("password")}},
            "/people": {"get": reading("address")},
            "/offices": {"get": {"security": []}, "post": {}},
        }
    )
    draft, _ = draft_from_openapi(document)
    found = {each.id: (set(each.traits), each.impact) for each in draft.assets}
    assert found == {
        "branches": ({Trait.AVAILABILITY}, PUBLIC_IMPACT),
        "atms": ({Trait.AVAILABILITY}, PUBLIC_IMPACT),
        "login": ({Trait.ACCOUNT}, DRAFT_IMPACT),
        "people": ({Trait.RECORDS}, DRAFT_IMPACT),
        "offices": ({Trait.RECORDS}, DRAFT_IMPACT),
    }
    public = {each.path: each.public for each in draft.routes}
    assert [path for path, anybody in public.items() if anybody] == ["/atms/**", "/branches"]


def test_the_enrolment_of_a_phone_is_worth_an_account() -> None:
    """Whoever enrols one confirms in the customer's place."""
    for path in ("/device-binding", "/sca/challenges", "/enrolments", "/enroll"):
        found = only(api({path: {"post": {}}}))
        assert (set(found.traits), found.impact) == ({Trait.ACCOUNT}, SENSITIVE_IMPACT)
    assert only(api({"/devices": {"post": {}}})).traits == {Trait.ACCOUNT}


def test_operations_are_grouped_by_what_they_are_about() -> None:
    """Versions and shared first segments say nothing; `me` says it with the next segment."""
    draft, _ = draft_from_openapi(
        api(
            {
                "/clinic/v1/patients": {"get": {}},
                "/clinic/v2/patients/{id}": {"get": {}, "delete": {}},
                "/clinic/v1/me/cards": {"get": {}},
                "/clinic/v1/slots": {"post": {}},
            }
        )
    )
    assert {asset.id: asset.routes for asset in draft.assets} == {
        "patients": ("/clinic/v1/patients", "/clinic/v2/patients/**"),
        "me-cards": ("/clinic/v1/me/cards",),
        "slots": ("/clinic/v1/slots",),
    }
    assert draft.read == ("5 operations",)


def test_a_use_case_is_what_only_writes() -> None:
    """What is read is data, what is only sent is a use case; the app shows what is read."""
    assert only(api({"/orders": {"get": {}}})).kind is AssetKind.DATA
    assert Component.APP in only(api({"/orders": {"get": {}}})).lives_in
    sent = only(api({"/checkout": {"post": {}}}))
    assert sent.kind is AssetKind.USE_CASE
    # Who pays, pays on his phone: malware there changes what he orders.
    assert Component.APP in sent.lives_in
    assert Component.APP not in only(api({"/votes": {"post": {}}})).lives_in


CERTIFICATE: dict[str, Any] = {
    "components": {
        "securitySchemes": {
            "certificate": {"$ref": "#/components/securitySchemes/mtls"},
            "mtls": {"type": "mutualTLS"},
            "token": {"type": "http", "scheme": "bearer"},
        }
    }
}
BY_CERTIFICATE: dict[str, Any] = {"security": [{"certificate": [], "token": []}]}


def test_what_asks_for_a_client_certificate_is_a_partners() -> None:
    """Its asset is in no app and its route asks for no phone, whatever its words say."""
    document = api(
        {
            "/orders/{id}": {"get": {**reading("cardNumber", "message"), **BY_CERTIFICATE}},
            "/me/orders": {"get": {}},
        },
        **CERTIFICATE,
    )
    draft, _ = draft_from_openapi(document)
    theirs, ours = draft.assets
    assert theirs.id == "partner-orders"
    assert theirs.actors == {Actor.PARTNER}
    assert theirs.lives_in == {Component.BACKEND}
    assert theirs.traits == {Trait.RECORDS, Trait.PAYMENT}
    assert ours.actors == {Actor.USER}
    assert Component.APP in ours.lives_in
    assert {route.path: route.actors for route in draft.routes} == {
        "/me/orders": {Actor.USER},
        "/orders/**": {Actor.PARTNER},
    }


@pytest.mark.parametrize(
    ("own", "whole", "actors"),
    [
        (None, [{"mtls": []}], {Actor.PARTNER}),
        ([], [{"mtls": []}], {Actor.USER}),
        ([{"token": []}], [{"mtls": []}], {Actor.USER}),
        ([{"mtls": []}], None, {Actor.PARTNER}),
        ([{"mtls": []}, {"token": []}], None, {Actor.PARTNER, Actor.USER}),
        ([{"mtls": []}, {}], None, {Actor.PARTNER, Actor.USER}),
        ([{"mtls": []}, {"certificate": []}], None, {Actor.PARTNER}),
        ([{"unknown": []}], None, {Actor.USER}),
        ("mtls", None, {Actor.USER}),
        ([7, None], None, {Actor.USER}),
    ],
)
def test_who_calls_is_said_by_every_way_to_be_let_in(
    own: object, whole: object, actors: set[Actor]
) -> None:
    """Partners alone where each requirement holds a certificate; the operation's own list takes the place of the document's."""
    operation = {} if own is None else {"security": own}
    more = {} if whole is None else {"security": whole}
    found = only(api({"/orders": {"get": operation}}, **CERTIFICATE, **more))
    assert found.actors == actors


@pytest.mark.parametrize(
    ("path", "name", "actors"),
    [
        ("/partner/v1/payments/{id}", "partner-payments", {Actor.PARTNER}),
        ("/v2/open-banking/consents", "partner-consents", {Actor.PARTNER}),
        ("/psd2/accounts", "partner-accounts", {Actor.PARTNER}),
        ("/partners", "partners", {Actor.USER}),
        ("/partners/{id}", "partners", {Actor.USER}),
        ("/shops/partner/cards", "shops", {Actor.USER}),
    ],
)
def test_a_path_says_that_partners_call_what_lies_below_it(
    path: str, name: str, actors: set[Actor]
) -> None:
    """Only as its first word and with a resource behind it: a list of partner shops is for everybody."""
    found = only(api({path: {"get": {}}}))
    assert found.id == name
    assert found.actors == actors


@pytest.mark.parametrize(
    ("name", "place", "actors"),
    [
        ("TPP-Signature-Certificate", "header", {Actor.PARTNER}),
        ("PSU-IP-Address", "header", {Actor.PARTNER}),
        ("x-fapi-interaction-id", "header", {Actor.PARTNER}),
        ("x-fapi-interaction-id", "query", {Actor.USER}),
        ("X-Request-ID", "header", {Actor.USER}),
    ],
)
def test_a_header_of_open_banking_says_that_partners_call(
    name: str, place: str, actors: set[Actor]
) -> None:
    """Descriptions before OpenAPI 3.1 can't say mutual TLS; these headers a bank's own app doesn't send."""
    parameter = {"name": name, "in": place, "schema": {}}
    assert only(api({"/v1/payments": {"post": {"parameters": [parameter]}}})).actors == actors
    shared = {"parameters": [{"$ref": "#/p"}], "post": {}}
    assert only(api({"/v1/payments": shared}, p=parameter)).actors == actors


def test_a_servers_path_says_that_partners_call() -> None:
    """All that is served below it is theirs, and keeps its names."""
    servers = [{"url": "https://api.bank.example/psd2"}]
    found = only(api({"/v1/payments": {"post": {}}}, servers=servers))
    assert found.id == "partner-payments"
    assert found.actors == {Actor.PARTNER}
    assert found.routes == ("/psd2/v1/payments",)


def test_a_path_that_users_and_partners_share_is_both_ones_route() -> None:
    """The assets stay apart; of the route it is said that what is asked of a phone locks partners out."""
    document = api({"/orders": {"get": {}, "post": BY_CERTIFICATE}}, **CERTIFICATE)
    draft, _ = draft_from_openapi(document)
    assert {each.id: each.actors for each in draft.assets} == {
        "orders": {Actor.USER},
        "partner-orders": {Actor.PARTNER},
    }
    (route,) = draft.routes
    assert route.actors == {Actor.USER, Actor.PARTNER}
    assert route.writes


@given(st.recursive(JSON, lambda below: st.lists(below, max_size=3)), JSON)
def test_no_security_section_breaks_a_draft(security: Any, schemes: Any) -> None:
    """Whatever stands there, the operation is somebody's."""
    document = api({"/a": {"get": {"security": security}}}, components={"securitySchemes": schemes})
    assert only(document).actors


@pytest.mark.parametrize(
    ("paths", "base", "is_for_staff"),
    [
        (["/admin/users"], "", True),
        (["/v1/internal/messages", "/v1/internal/wallets"], "", True),
        (["/Ops/report"], "", True),
        (["/users"], "/admin/v1", True),
        (["/users", "/users/admin"], "", False),
        (["/administration"], "", False),
        (["/operations"], "", False),
    ],
)
def test_what_is_for_staff_lives_in_the_backend_alone(
    paths: list[str], base: str, is_for_staff: bool
) -> None:
    """Where all paths of an asset are for staff; such an asset has no trait that nobody could reach there."""
    document = api({path: {"get": {}} for path in paths}, servers=[{"url": f"https://x{base}"}])
    asset = draft_from_openapi(document)[0].assets[0]
    assert (asset.lives_in == {Component.BACKEND}) == is_for_staff
    if is_for_staff:
        assert asset.traits
        assert not asset.traits & {Trait.LIVE_DATA, Trait.APP_LOGIC}
    else:
        assert Component.APP in asset.lives_in


def test_a_probe_is_no_asset_unless_it_is_all_there_is() -> None:
    """Whether the API is up needs no protection; its route is off."""
    draft, _ = draft_from_openapi(api({"/health": {"get": {}}, "/orders": {"get": {}}}))
    assert [asset.id for asset in draft.assets] == ["orders"]
    assert {route.path: route.probe for route in draft.routes} == {
        "/health": True,
        "/orders": False,
    }
    assert [asset.id for asset in draft_from_openapi(api({"/health": {"get": {}}}))[0].assets] == [
        "health"
    ]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ()),
        ({"paths": {}}, ()),
        ({"openapi": "2.0", "paths": {}}, ("openapi",)),
        ({"openapi": "4.0.0", "paths": {}}, ("openapi",)),
        ({"openapi": {}, "paths": {}}, ("openapi",)),
        ({"swagger": "1.2", "paths": {}}, ("swagger",)),
        ({"openapi": "3.0.0"}, ("paths",)),
        ({"openapi": "3.0.0", "paths": []}, ("paths",)),
        ({"openapi": "3.0.0", "paths": {"/x": {"parameters": []}}}, ("paths",)),
    ],
)
def test_what_is_no_description_is_a_fault(document: object, where: tuple[str, ...]) -> None:
    """The fault names the place."""
    draft, (fault,) = draft_from_openapi(document)
    assert draft.assets == ()
    assert fault.where == where


@pytest.mark.parametrize("version", ["3.0.0", "3.1.1", "3.2.0", 3.1])
def test_versions_from_3_0_on_are_read(version: object) -> None:
    """A version without quotes is a number in YAML, and read all the same."""
    assert draft_from_openapi({"openapi": version, "paths": {"/a": {"get": {}}}})[1] == []
    assert draft_from_openapi({"swagger": 2.0, "paths": {"/a": {"get": {}}}})[1] == []


def test_references_in_a_circle_end_and_lost_ones_are_told() -> None:
    """Words are found behind references, however they go round."""
    document = api(
        {"/a": {"get": {"responses": {"200": {"$ref": "#/components/responses/R"}}}}},
        components={
            "responses": {"R": {"content": {"j": {"schema": {"$ref": "#/components/schemas/A"}}}}},
            "schemas": {
                "A": {"properties": {"b": {"$ref": "#/components/schemas/B"}}},
                "B": {"allOf": [{"$ref": "#/components/schemas/A"}, {"properties": {"cvv": {}}}]},
            },
        },
    )
    assert Trait.PAYMENT in only(document).traits
    document["components"]["schemas"]["A"] = {"$ref": "#/components/schemas/A"}
    assert only(document).traits == {Trait.RECORDS}
    del document["components"]["schemas"]["A"]
    assert draft_from_openapi(document)[0].left_out != ()


def test_a_chain_of_references_doesnt_exhaust_the_stack() -> None:
    """Ten thousand schemas that refer to the next one are read as far as the limit."""
    schemas = {f"S{i}": {"properties": {"x": {"$ref": f"#/s/S{i + 1}"}}} for i in range(10_000)}
    get = {"responses": {"200": {"content": {"j": {"schema": {"$ref": "#/s/S0"}}}}}}
    assert only(api({"/a": {"get": get}}, s=schemas)).id == "a"


def test_schemas_that_all_refer_to_each_other_are_read_once() -> None:
    """What was found behind a reference is kept, so that the limit isn't used up by going round."""
    count = 40
    schemas = {
        f"S{i}": {"properties": {f"x{j}": {"$ref": f"#/s/S{j}"} for j in range(count)}}
        for i in range(count)
    }
    schemas["S39"]["properties"]["cvv"] = {}
    get = {"responses": {"200": {"content": {"j": {"schema": {"$ref": "#/s/S0"}}}}}}
    draft, _ = draft_from_openapi(api({"/a": {"get": get}}, s=schemas))
    assert Trait.PAYMENT in draft.assets[0].traits
    assert draft.notes == ()


def test_a_large_description_is_drafted_in_time() -> None:
    """5,000 operations with wide schemas take seconds, and what is cut is told."""
    wide: dict[str, Any] = {
        "properties": {f"p{i}": {"properties": {f"q{j}": {} for j in range(30)}} for i in range(30)}
    }
    paths = {
        f"/r{i}/{{id}}/x{i}": {
            "get": {"responses": {"200": {"content": {"j": {"schema": wide}}}}},
            "post": {},
        }
        for i in range(2500)
    }
    started = time.perf_counter()
    draft, faults = draft_from_openapi(api(paths))
    assert time.perf_counter() - started < 20
    assert faults == []
    assert draft.read == ("5000 operations",)
    assert len(draft.assets) == MAX_ASSETS
    assert len(draft.routes) == MAX_API_ROUTES
    assert len(draft.left_out) == 2
    assert MAX_NODES < 2500 * 931
    assert draft.notes != ()


def test_routes_stand_so_that_none_hides_another() -> None:
    """A literal stands before a wildcard, a shorter before its rest."""
    paths = ["/**", "/*", "/a/**", "/a", "/a/*", "/a/b/**", "/*/b"]
    assert sorted(paths, key=route_order) == [
        "/a",
        "/a/b/**",
        "/a/*",
        "/a/**",
        "/*",
        "/*/b",
        "/**",
    ]


def test_each_rule_can_be_met() -> None:
    """No word of the table is one that names are never split into."""
    for rule in RULES:
        for word in rule.words:
            (where, *_) = rule.counts_in
            assert (rule, (word,)) in list(speaking({where: words_of(word)})), word


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("giftCardCodes", ("giftcard", "code")),
        ("HTTPAddress", ("http", "address")),
        ("date-of_birth", ("date", "of", "birth")),
        ("redirect_uri", ("redirecturi",)),
        ("", ()),
        ("ÄÖ", ()),
    ],
)
def test_names_are_taken_apart(name: str, words: tuple[str, ...]) -> None:
    """Two words that are known as one are one: a gift card is no payment card."""
    assert words_of(name) == words


@given(st.text())
def test_a_slug_is_a_name(text: str) -> None:
    """It is empty or made of what a name may be made of."""
    found = slug(text)
    assert len(found) <= 50
    assert found == "" or (found.isascii() and found[0].isalnum() and found == found.lower())


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_document_raises(document: Any) -> None:
    """Arbitrary JSON is drafted from or refused with a fault."""
    draft, faults = draft_from_openapi(document)
    assert bool(faults) != bool(draft.assets)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8).map(lambda text: "/" + text),
        st.dictionaries(st.sampled_from(["get", "post", "parameters", "$ref"]), JSON, max_size=3),
        max_size=4,
    ),
    st.dictionaries(st.sampled_from(["servers", "components", "webhooks", "info"]), JSON),
)
def test_no_content_of_a_document_raises(paths: dict[str, Any], more: dict[str, Any]) -> None:
    """What looks like a description may hold anything."""
    draft, faults = draft_from_openapi({"openapi": "3.1.0", **more, "paths": paths})
    assert bool(faults) != bool(draft.assets)
