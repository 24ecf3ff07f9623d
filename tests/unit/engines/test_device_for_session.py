"""Show what is written for an API whose tokens may let a device sign in place of a session proof, and that nobody else's files change."""

import json
from typing import Any

import pytest
from tests.unit.engines.envoy.rig import bundle_of, route

from watchword.engines import nginx
from watchword.engines.envoy.generation import generate
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, EngineFileKind, EngineOptions, UnsupportedError
from watchword.engines.registry import ENGINES
from watchword.gate.interface import Rate
from watchword.gate.limits import SIGNATURES
from watchword.vocabulary import Mode, Proof

READS = frozenset({"GET"})
SESSION = route("/pay/**", proof=Proof.SESSION, methods=READS)
DEVICE = route("/sign/**", proof=Proof.DEVICE, methods=READS)
LOCAL = Endpoint("127.0.0.1", 8080)


def envoys(authz: bool = False, **changes: Any) -> str:
    """Return the route table of Envoy."""
    options = EnvoyOptions(
        directory="/var/lib/envoy",
        listen=LOCAL,
        upstream=Endpoint("127.0.0.1", 8081),
        admin=Endpoint(socket="/run/admin.sock"),
        authz=Endpoint(socket="/run/authz.sock") if authz else None,
    )
    made = generate(bundle_of([SESSION, DEVICE], **changes), options, 0.0)
    return next(file.content for file in made if file.name == "routes.yaml")


def test_envoy_asks_for_either_proof_on_session_rows_alone() -> None:
    """And for the mark of its own token check there, since the script can verify one signature a request."""
    told = envoys(rate=Rate(5, 60), device_for_session=True)
    assert (told.count('proof: "either"'), told.count('proof: "device"')) == (1, 1)
    assert (told.count('proof: "session"'), told.count("token_with_mark")) == (0, 2)
    usual = envoys(rate=Rate(5, 60))
    assert (usual.count('proof: "either"'), usual.count('proof: "session"')) == (0, 1)
    assert usual.count("token_with_mark") == 1


def test_envoy_without_a_rate_asks_python_or_is_refused() -> None:
    """Nothing else there limits what a flood of signatures costs."""
    with pytest.raises(UnsupportedError) as refused:
        envoys(device_for_session=True)
    assert refused.value.setting == "device_for_session without a rate"
    assert "authz" in str(refused.value)
    asked = envoys(authz=True, device_for_session=True)
    assert 'proof: "either"' not in asked
    assert 'proof: "session"' not in asked
    assert 'proof: "device"' in asked


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(None, (SIGNATURES.requests, SIGNATURES.seconds)), (Rate(7, 9), (7, 9))],
)
def test_nginx_is_told_how_many_signatures_of_one_token_to_verify(
    rate: Rate | None, expected: tuple[int, int]
) -> None:
    """The API's rate, and one of its own where there is none; the claim of the token decides."""
    for flag in (False, True):
        bundle = bundle_of([SESSION], rate=rate, device_for_session=flag)
        files = nginx.generate(bundle, EngineOptions("/srv/n", LOCAL, LOCAL), 0.0)
        state = next(file.content for file in files if file.kind is EngineFileKind.PRIVATE)
        found = json.loads(state.partition("\n")[0])["signatures"]
        assert (found["requests"], found["seconds"]) == expected


def test_haproxy_writes_nothing_and_says_what_to_do() -> None:
    """Phones that are told to sign would be refused there."""
    haproxy = ENGINES["haproxy"]
    assert haproxy.generate is not None
    rows = [route("/pay/**", proof=Proof.SESSION), route("/open/**", mode=Mode.OFF)]
    options = EngineOptions("/srv/h", LOCAL, LOCAL)
    haproxy.generate(bundle_of(rows), options, 0.0)
    with pytest.raises(UnsupportedError) as refused:
        haproxy.generate(bundle_of(rows, device_for_session=True), options, 0.0)
    assert refused.value.setting == "device_for_session"
    assert "; " in str(refused.value)


@pytest.mark.parametrize("name", ["caddy", "nginx-authz"])
def test_those_who_ask_python_take_it_as_it_is(name: str) -> None:
    """/authz verifies the signature, whatever the engine."""
    engine = ENGINES[name]
    assert engine.generate is not None
    authz = Endpoint(socket="/run/authz.sock")
    options = EngineOptions("/srv/e", LOCAL, Endpoint("127.0.0.1", 8081), authz=authz)
    with_it = engine.generate(bundle_of([SESSION], device_for_session=True), options, 0.0)
    assert list(with_it) == list(engine.generate(bundle_of([SESSION]), options, 0.0))
