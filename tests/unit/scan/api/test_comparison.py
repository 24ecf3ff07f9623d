"""Test the comparison of an app's hosts and paths with those of the description."""

import pytest
from tests.unit.scan.api.builders import answer, described, exposed, found, verdicts

from watchword.scan.interface import Verdict

HOSTS = "api-unknown-hosts"
PATHS = "api-unknown-paths"
ONE = {"/a": {"get": answer({})}}
SHOP = {"/users/{id}/orders": {"get": answer({})}, "/users": {"get": answer({})}}


def test_without_an_app_nothing_is_compared_and_that_is_said() -> None:
    """No app is no clean bill."""
    for rule in (HOSTS, PATHS):
        assert verdicts(described(ONE), rule) == {Verdict.NOT_SEEN}


def test_hosts_of_the_api_s_domain_that_aren_t_described_are_exposed() -> None:
    """Others are only told; ports and case don't matter."""
    app = frozenset({"API.example-shop.com:443", "old.example-shop.com", "maps.example.net"})
    assert exposed(described(ONE), HOSTS, app_hosts=app) == ["old.example-shop.com"]
    told = [f.subject for f in found(described(ONE), HOSTS, app_hosts=app)]
    assert set(told) == {"old.example-shop.com", "others"}


def test_a_described_host_that_the_app_doesn_t_name_is_told() -> None:
    """It's for others, or left over."""
    servers = [{"url": f"https://{name}.example-shop.com"} for name in ("api", "staging")]
    app = frozenset({"api.example-shop.com"})
    said = found(described(ONE, servers=servers), HOSTS, app_hosts=app)
    assert [(f.subject, f.verdict) for f in said if f.subject != HOSTS] == [
        ("staging.example-shop.com", Verdict.INFO)
    ]


def test_a_domain_under_a_country_s_second_level_is_one_of_its_own() -> None:
    """co.uk is nobody's domain."""
    servers = [{"url": "https://api.shop.co.uk"}]
    app = frozenset({"old.shop.co.uk", "other.co.uk", "api.shop.co.uk"})
    assert exposed(described(ONE, servers=servers), HOSTS, app_hosts=app) == ["old.shop.co.uk"]


@pytest.mark.parametrize("servers", [None, [{"url": "/v1"}], [{"url": "http://localhost:1"}]])
def test_a_description_without_hosts_can_t_be_compared(servers: object) -> None:
    """Its relative or local server says nothing of where the API is."""
    document = described(ONE, servers=servers)
    assert verdicts(document, HOSTS, app_hosts=frozenset({"a.com"})) == {Verdict.NOT_SEEN}


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/users", True),
        ("/users/", True),
        ("/users?page=1", True),
        ("users/{userId}/orders", True),
        ("/users/%s/orders", True),
        ("/users/17/orders", True),
        ("/USERS", True),
        ("/v1/users", True),
        ("/v1", True),
        ("/users/17", True),
        ("/users/17/export", False),
        ("/users/17/orders/export", False),
    ],
)
def test_paths_are_compared_by_what_stands_fast_in_them(path: str, *, known: bool) -> None:
    """Values, placeholders, queries and the base path don't matter; the beginning of a path is a base URL."""
    servers = [{"url": "https://api.example-shop.com/v1"}]
    document = described(SHOP, servers=servers)
    said = exposed(document, PATHS, app_paths=frozenset({path}))
    assert said == ([] if known else [path])


def test_paths_of_other_apis_are_only_told_and_unused_operations_too() -> None:
    """What begins like nothing described may be anybody's."""
    app = frozenset({"/collect/events", "/users"})
    said = {f.subject: f for f in found(described(SHOP), PATHS, app_paths=app)}
    assert {said["far"].verdict, said["unused"].verdict} == {Verdict.INFO}
    assert [each.member for each in said["unused"].locations] == ["GET /users/{id}/orders"]


def test_more_paths_than_are_compared_are_not_seen() -> None:
    """Nobody is told that all of them were."""
    app = frozenset(f"/users/{index}/x{index}" for index in range(5_100))
    assert Verdict.NOT_SEEN in verdicts(described(SHOP), PATHS, app_paths=app)


def test_the_last_segment_of_a_longer_path_alone_is_not_taken_for_it() -> None:
    """By one word anything could be meant; behind nothing but a version it's the path."""
    paths = {"/users/{id}/export": {"get": answer({})}, "/v2/stock": {"get": answer({})}}
    app = frozenset({"/export", "/stock"})
    said = {f.subject: f for f in found(described(paths), PATHS, app_paths=app)}
    assert "(/export)" in said["far"].title
