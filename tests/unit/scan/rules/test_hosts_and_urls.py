"""Test the rules on hosts, addresses without TLS, third parties and paths, which share one reading."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.simulated import Body, Class, running, simulated, without

from watchword.scan.addresses import Reach, hosts_of, paths_of, reach_of
from watchword.scan.app import App, Part, Resource, TextPart
from watchword.scan.interface import Finding, Severity, Verdict
from watchword.scan.rules import api_paths, cleartext_urls, hosts_and_urls, third_party_hosts
from watchword.scan.secrets.detection import detect


def subjects(found: Iterable[Finding], *verdicts: Verdict) -> set[str]:
    """Return what findings of these verdicts are about."""
    return {each.subject for each in found if each.verdict in (verdicts or tuple(Verdict))}


def naming(*strings: str) -> App:
    """Return an app whose own code loads these strings."""
    return running(strings=strings)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("api.example.test", Reach.PRIVATE),
        ("api.shop.io", Reach.PUBLIC),
        ("10.131.182.100", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        ("staging.shop.io", Reach.PRIVATE),
        ("api-dev.shop.io", Reach.PRIVATE),
        ("developer.shop.io", Reach.PUBLIC),
        ("contest.shop.io", Reach.PUBLIC),
        ("db.corp", Reach.PRIVATE),
        ("localhost", Reach.LOOPBACK),
        ("10.0.2.2", Reach.LOOPBACK),
        ("[::1]", Reach.LOOPBACK),
        ("schemas.android.com", Reach.STANDARD),
        ("www.w3.org", Reach.STANDARD),
        ("notw3.org", Reach.PUBLIC),
    ],
)
def test_where_a_host_is_shows_in_its_name(host: str, reach: Reach) -> None:
    """Hosts of tests and of the inside, of the phone and of standards are told apart from others."""
    assert reach_of(host) is reach


def test_hosts_are_told_and_internal_ones_exposed() -> None:
    """A public host is a fact, an internal one is exposed, schemas are neither."""
    app = naming(
        "https://api.shop.io/v1/orders?key=x",
        "http://10.1.2.3:8080/x",
        "http://schemas.android.com/apk/res/android",
        "cdn.shop.io",
        "com.shop.io",
        "http://%s:8888/login",
    )
    found = list(hosts_and_urls.RULE.run(app))
    assert subjects(found, Verdict.INFO) == {"api.shop.io", "cdn.shop.io"}
    assert subjects(found, Verdict.EXPOSED) == {"10.1.2.3"}
    assert hosts_of(app) == ("10.1.2.3", "api.shop.io", "cdn.shop.io")


def test_hosts_of_libraries_are_left_out() -> None:
    """What only a library loads isn't the app's."""
    app = simulated(Class("okhttp3.X", (Body("run", strings=("https://lib.vendor.io/a",)),)))
    assert hosts_of(app) == ()


def test_hosts_in_resources_and_files_count() -> None:
    """A base URL in the resources and one in a bundle are the app's own, wherever they stand in a line."""
    part = TextPart("assets/index.bundle", "react-native", ('a="https://rn.shop.io/v2/x";b=1',))
    app = simulated(resources=(Resource("base", "https://res.shop.io"),), texts=(part,))
    assert hosts_of(app) == ("res.shop.io", "rn.shop.io")
    assert paths_of(app) == ("/v2/x",)


def test_a_path_that_is_a_secret_is_not_told_as_a_path() -> None:
    """Whoever reads the report by default must not read a webhook's secret in it."""
    secret = "aDYTJeD5CrGwKlizBuOtjeV9lMf-Ybh6QmjXHxxpaUcWbJ0aejaVQAdKVEKnUP7lnP7x"
    app = naming(f"https://discord.com/api/webhooks/105938396398143809/{secret}")
    assert detect(app)
    assert paths_of(app) == ()


def test_cleartext_is_exposed_by_host() -> None:
    """An address without TLS is medium with a path, low without; one that is named with TLS too is none."""
    app = naming(
        "http://api.shop.io/v1/a",
        "http://www.shop.io",
        "http://both.shop.io/x",
        "https://both.shop.io/x",
        "http://localhost/x",
        "http://www.w3.org/2001/XMLSchema",
        "ws://live.shop.io/feed",
    )
    found = {each.subject: each.severity for each in cleartext_urls.RULE.run(app)}
    assert found == {
        "api.shop.io": Severity.MEDIUM,
        "www.shop.io": Severity.LOW,
        "live.shop.io": Severity.MEDIUM,
    }


def test_an_address_that_is_put_together_is_cleartext_too() -> None:
    """``http://`` by itself is the begin of an address, unless the same code knows ``https://`` as well."""
    found = cleartext_urls.RULE.run(naming("http://", "/login"))
    assert subjects(found) == {"http://:com.example.shop.Main"}
    assert not list(cleartext_urls.RULE.run(naming("http://", "https://")))


def test_third_parties_are_exposed_and_otherwise_it_depends() -> None:
    """A known service is exposed; an app without any is clean if all was read; one without hosts says nothing."""
    known = third_party_hosts.RULE.run(naming("https://api.openai.com/v1/chat", "x.amazonaws.com"))
    assert subjects(known, Verdict.EXPOSED) == {"api.openai.com", "x.amazonaws.com"}
    own = naming("https://api.shop.io/v1")
    assert [each.verdict for each in third_party_hosts.RULE.run(own)] == [Verdict.PROTECTED]
    cut = without(own, Part.DEX)
    assert [each.verdict for each in third_party_hosts.RULE.run(cut)] == [Verdict.NOT_SEEN]
    none = third_party_hosts.RULE.run(simulated())
    assert [each.verdict for each in none] == [Verdict.INFO]
    none = third_party_hosts.RULE.run(without(simulated(), Part.DEX))
    assert [each.verdict for each in none] == [Verdict.NOT_SEEN]


@pytest.mark.parametrize(
    ("name", "classes", "verdict"),
    [
        ("firebase_database_url", (), Verdict.INFO),
        ("firebase_database_url", ("com.google.firebase.database.Registrar",), Verdict.EXPOSED),
        ("database", (), Verdict.EXPOSED),
    ],
)
def test_an_address_that_only_a_tool_wrote_is_asked_by_nobody(
    name: str, classes: tuple[str, ...], verdict: Verdict
) -> None:
    """Google's set-up tool writes it into each app of a project, whether the app brings what asks there or not."""
    resources = (Resource(name, "https://shop-1.firebaseio.com"),)
    app = simulated(*map(Class, classes), resources=resources)
    found = {each.subject: each.verdict for each in third_party_hosts.RULE.run(app)}
    assert found["shop-1.firebaseio.com"] is verdict


def test_paths_below_other_peoples_hosts_are_not_the_apis() -> None:
    """A link to a repository and the address of a crash reporter aren't paths of the app's own API."""
    app = naming(
        "https://github.com/shop/app",
        "https://reports.crashlytics.com/v1/a",
        "https://shop.io/v1/a",
    )
    assert paths_of(app) == ("/v1/a",)
    assert "github.com" in hosts_of(app)


def test_the_id_of_a_sign_in_client_is_no_host() -> None:
    """It only looks like one."""
    assert hosts_of(naming("https://1-a.apps.googleusercontent.com", "https://shop.io")) == (
        "shop.io",
    )


def test_paths_are_told_and_files_are_not() -> None:
    """Paths of an API are told with a slash and without their query; paths of files are none."""
    app = simulated(
        Class(
            "com.example.shop.Api",
            (
                Body(
                    "run",
                    strings=(
                        "/login",
                        "/api/balance/view",
                        "v1/orders/{id}?full=1",
                        "/system/bin/su",
                        "/data/local/tmp",
                        "/shop.db",
                        "api",
                    ),
                ),
            ),
        ),
        strings=("api/annotated/{id}", "/unused"),
    )
    wanted = ("/api/annotated/{id}", "/api/balance/view", "/login", "/v1/orders/{id}")
    assert paths_of(app) == wanted
    assert subjects(api_paths.RULE.run(app)) == set(wanted)


@given(st.lists(st.text(max_size=60), max_size=8))
def test_junk_raises_nothing(strings: list[str]) -> None:
    """Any strings give an answer."""
    app = naming(*strings, *(f"http://{each}" for each in strings))
    assert isinstance(hosts_of(app), tuple)
    assert isinstance(paths_of(app), tuple)
