"""What an engine can't do that only asks is refused before anything is written."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.engines.envoy.rig import bundle_of, route
from tests.unit.engines.forward_auth.rig import ROUTES, options

from watchword.engines import caddy, traefik
from watchword.engines import nginx_authz as nginx
from watchword.engines.forward_auth import problem
from watchword.engines.interface import Endpoint, EngineOptions, Files, UnsupportedError
from watchword.engines.nginx_authz import marker_of
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import Rate
from watchword.public_classes import PublicClass
from watchword.vocabulary import Mode, Proof

Generate = Callable[[GateBundle, EngineOptions, float], Files]
EACH = pytest.mark.parametrize("generate", [nginx.generate, caddy.generate, traefik.generate])


@EACH
def test_nobody_to_ask_is_refused(generate: Generate) -> None:
    """The text says what to do."""
    with pytest.raises(UnsupportedError, match="--authz"):
        generate(bundle_of(ROUTES), options(authz=None), 0)


@EACH
def test_a_route_that_injects_a_key_is_refused(generate: Generate) -> None:
    """Forward auth only answers; nobody would add the key."""
    rows = (route("/lent/**", secret="maps"),)
    with pytest.raises(UnsupportedError) as caught:
        generate(bundle_of(rows), options(), 0)
    assert (caught.value.where, caught.value.setting) == ("/lent/**", "secret maps")


@EACH
@pytest.mark.parametrize("sign", ['"', "'", "$", ";", "{", "\\", "\n", "#"])
def test_a_path_that_means_something_else_is_refused(generate: Generate, sign: str) -> None:
    """A directory can't add a statement to a configuration."""
    with pytest.raises(UnsupportedError, match="means something else"):
        generate(bundle_of(ROUTES[:1]), options(directory=f"/etc/a{sign}b"), 0)


def text_of(files: Files) -> str:
    """Return everything that was written."""
    return "\n".join(file.content for file in files)


@EACH
def test_no_secret_is_written(generate: Generate) -> None:
    """Neither gate secrets nor keys nor who was revoked: /authz has them."""
    rows = tuple(row for row in ROUTES if row.proof is Proof.BEARER)
    bundle = bundle_of(rows, revoked=frozenset({"the-revoked-one"}))
    text = text_of(generate(bundle, options(), 0))
    assert "the-revoked-one" not in text
    assert bundle.secrets[0].secret.hex() not in text
    assert bundle.keys[0].kid not in text


@pytest.mark.parametrize(
    ("changes", "of_bundle"),
    [
        ({"directory": "/var/lib/watchword"}, {}),
        ({"directory": "/dev/shm2/x"}, {}),
        ({"signed_verdict": True}, {}),
        ({}, {"rate": Rate(10, 1)}),
        ({}, {"binding_header": b"x-channel"}),
    ],
)
def test_verdicts_are_kept_only_where_the_token_alone_decides(
    changes: dict[str, object], of_bundle: dict[str, object]
) -> None:
    """And only in memory; where they aren't, nothing of it is written, and the page says why."""
    memory = {"directory": "/dev/shm/watchword-nginx"}
    kept = text_of(nginx.generate(bundle_of(ROUTES), options(**memory), 0))
    assert "proxy_cache watchword;" in kept
    files = nginx.generate(bundle_of(ROUTES, **of_bundle), options(**{**memory, **changes}), 0)
    assert "proxy_cache" not in files[0].content
    assert marker_of(files[0].content) is None
    assert "No verdict is kept" in text_of(files)


def test_a_table_without_a_row_for_it_keeps_nothing() -> None:
    """Modes and proofs that have to see each request."""
    rows = (route("/a/**", mode=Mode.MONITOR), route("/b/**", proof=Proof.SESSION))
    files = nginx.generate(bundle_of(rows), options(directory="/run/ww"), 0)
    assert "proxy_cache" not in files[0].content


def test_the_generation_is_in_the_key_and_in_the_file_that_is_looked_for() -> None:
    """Of one generation both, so that a push can't leave one behind."""
    bundle = bundle_of(ROUTES, generation=17)
    files = nginx.generate(bundle, options(directory="/run/ww"), 0)
    configuration = files[0]
    # Nobody but a follower writes it: where nobody would empty what is kept, nothing is.
    assert [file.name for file in files] == ["nginx.conf", "README.md"]
    assert marker_of(configuration.content) == "generation-17"
    assert 'proxy_cache_key "17 $request_method' in configuration.content
    assert '"/run/ww/generation-17"' in configuration.content
    assert "X-Original-Generation 17;" in configuration.content


def test_an_api_behind_tls_is_verified() -> None:
    """By its name; without that, any certificate would do."""
    given = options(tls=True)
    text = nginx.generate(bundle_of(ROUTES), given, 0)[0].content
    assert "proxy_ssl_verify on;" in text
    assert "proxy_ssl_name api.example;" in text
    assert "proxy_ssl_server_name on;" in text
    address = replace(given, upstream=Endpoint("::1", 8000))
    assert "server_name on" not in nginx.generate(bundle_of(ROUTES), address, 0)[0].content
    document = json.loads(caddy.generate(bundle_of(ROUTES), given, 0)[0].content)
    (asking, api) = document["apps"]["http"]["servers"]["watchword"]["routes"][0]["handle"]
    assert api["transport"]["tls"] == {"server_name": "api.example"}
    assert "tls" not in asking["transport"]


def test_caddy_keeps_no_connection_of_a_question() -> None:
    """A kept one can lead to the API (Caddy dials where the request was last sent to)."""
    document = json.loads(caddy.generate(bundle_of(ROUTES), options(), 0)[0].content)
    server = document["apps"]["http"]["servers"]["watchword"]
    assert server["routes"][0]["handle"][0]["transport"]["keep_alive"] == {"enabled": False}
    passed = server["routes"][0]["handle"][0]["handle_response"][0]["routes"]
    # Of a body that is only looked for, one byte is read: nobody fills the memory with the rest.
    (bodiless,) = passed[-1]["handle"][-1]["routes"]
    assert bodiless["handle"][0] == {"handler": "request_body", "max_size": 1}
    assert document["admin"]["disabled"] is True
    assert server["listen"] == ["127.0.0.1:8080"]


def test_caddy_waits_for_nobody_who_says_nothing() -> None:
    """Without these it would hold a client for as long as whoever has the socket likes."""
    document = json.loads(caddy.generate(bundle_of(ROUTES), options(), 0)[0].content)
    asking, _ = document["apps"]["http"]["servers"]["watchword"]["routes"][0]["handle"]
    waits = {
        name: asking["transport"][name] for name in ("dial_timeout", "response_header_timeout")
    }
    assert waits == {"dial_timeout": "5s", "response_header_timeout": "10s"}


def test_a_problem_is_the_one_of_every_enforcement_point() -> None:
    """Its members in their order."""
    assert json.loads(problem(PublicClass.UNAVAILABLE, "-")) == {
        "type": "urn:watchword:problem:unavailable",
        "title": "Temporarily unavailable",
        "status": 503,
        "ref": "-",
    }
