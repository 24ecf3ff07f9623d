"""Hold nginx's reading of DPoP proofs to the gate's own, and its used proofs to one another."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.system.engines.envoy.proofs import prover
from tests.system.engines.mutations import mutate
from tests.system.engines.nginx.rig import EMPTY, Rig, nginx_before_api
from tests.unit.engines.envoy.rig import bundle_of, request, route, token, until
from tests.unit.gate.proofs import INSTANCE_KEY, fresh_nonce
from tests.unit.gate.simulators import CLAIMS, EXPECTATION, SoftwareSigner

from watchword.adapters.system import SystemClock
from watchword.encoding import base64url
from watchword.reasons import RefusedError
from watchword.tokens.proofs import dpop
from watchword.tokens.proofs.interface import ProofHeaders, SignedRequest
from watchword.tokens.proofs.session import proof_keys
from watchword.vocabulary import Mode, Proof

HOST = b"clinic.example"
KEYS = proof_keys(CLAIMS, None)
SIGNER = SoftwareSigner(private=INSTANCE_KEY)
STRANGER = SoftwareSigner()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one nginx with a route that takes DPoP, and one that doesn't."""
    rows = [
        route("/open/**", mode=Mode.OFF),
        route("/dpop/**", proof=Proof.DEVICE, dpop=True),
        route("/device", proof=Proof.DEVICE),
    ]
    with nginx_before_api(tmp_path_factory.mktemp("d"), bundle_of(rows), workers=2) as running:
        until(lambda: running.raw(EMPTY).status == 200)
        yield running


_URLS = st.sampled_from(
    [
        "https://clinic.example/dpop/x",
        "HTTPS://Clinic.Example:443/dpop/x",
        "https://clinic.example/dpop/x?a=1",
        "https://clinic.example/dpop/x#f?a",
        "https://clinic.example/dpop/%78",
        "https://clinic.example/dpop/x/",
        "https://clinic.example/dpop/\u00e9",
        "https://clinic.example",
        "https://clinic.example:80/dpop/x",
        "http://clinic.example/dpop/x",
        "https://other.example/dpop/x",
        "https://a@clinic.example/dpop/x",
        "https:///dpop/x",
        "/dpop/x",
        "",
    ]
)
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, 1.5, "", "x", [], {}, "n" * 16, "n" * 64, "n" * 65, "n-_.n" * 4]
)
_CHANGES = st.lists(
    st.tuples(st.just("htu"), _URLS)
    | st.tuples(st.just("htm"), st.sampled_from(["GET", "get", "POST"]))
    | st.tuples(
        st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce", "exp"]), st.just(...) | _ODD
    )
    | st.tuples(st.just("iat"), st.sampled_from([-200, -50, 10, 200])),
    max_size=2,
)
_HEADER_CHANGES = st.lists(
    st.tuples(st.sampled_from(["typ", "alg", "jwk", "kid"]), st.just(...) | _ODD)
    | st.tuples(
        st.sampled_from(["jwk.x", "jwk.y", "jwk.kty", "jwk.crv", "jwk.d"]), st.just(...) | _ODD
    ),
    max_size=1,
)


def proof(
    held: bytes, header: dict[str, Any], claims: dict[str, Any], signer: SoftwareSigner
) -> bytes:
    """Return a signed proof."""
    parts = ".".join(
        base64url.encode(json.dumps(each, ensure_ascii=False).encode()) for each in (header, claims)
    )
    return f"{parts}.{base64url.encode(signer.sign(parts.encode()))}".encode()


@settings(max_examples=200, deadline=None)
@given(_HEADER_CHANGES, _CHANGES, st.sampled_from([SIGNER, SIGNER, SIGNER, STRANGER]))
@example([], [("htu", "http://clinic.example/dpop/x")], SIGNER)
@example([], [("htu", "https://clinic.example:80/dpop/x")], SIGNER)
@example([], [("htu", "HTTPS://Clinic.Example:443/dpop/x")], SIGNER)
def test_proofs_get_the_same_verdict(
    rig: Rig,
    header_changes: list[tuple[str, Any]],
    changes: list[tuple[str, Any]],
    signer: SoftwareSigner,
) -> None:
    """Whatever is signed passes here and there, or is refused for the same reason."""
    held, now = token(), int(SystemClock().timestamp())
    timed = [(n, now + v if n == "iat" and type(v) is int and v != 1 else v) for n, v in changes]
    header = mutate({"typ": "dpop+jwt", "alg": "ES256", "jwk": dict(CLAIMS.key)}, header_changes)
    claims = {
        "jti": fresh_nonce(),
        "htm": "GET",
        "htu": "https://clinic.example/dpop/x",
        "iat": now,
        "ath": base64url.encode(hashlib.sha256(held).digest()),
    }
    made = proof(held, header, mutate(claims, timed), signer)
    signed = SignedRequest(held, b"GET", HOST, b"/dpop/x", b"a=2", None)
    try:
        dpop.verify(signed, ProofHeaders(None, None, made), KEYS, EXPECTATION.leeway, now)
        expected = {""}
    except RefusedError as error:
        expected = {error.reason.code}
    if expected == {""} and {"jti", "iat"} & {name for name, _ in changes}:
        # Its name was used by an earlier example, or it is older than the table of used ones.
        expected.add("proof.replayed")
    answer = rig.send(b"/dpop/x?a=2", b"DPoP: " + made, token=held)
    got = "" if answer.status == 200 else rig.reason(answer)
    assert got in expected


def test_a_proof_passes_once_whatever_its_kind(rig: Rig) -> None:
    """A signature and a DPoP proof of one session share their nonces, and no row takes both at once."""
    instance, now, nonce = prover(), int(SystemClock().timestamp()), fresh_nonce()
    url = "https://clinic.example/dpop/x"
    (_, held), (_, first) = instance.dpop(url=url, iat=now, jti=nonce)[1:]
    fields = [b"DPoP: " + first]
    assert rig.send(b"/dpop/x", *fields, token=held).status == 200
    assert not rig.api.seen[-1].values(b"dpop")
    assert rig.reason(rig.send(b"/dpop/x", *fields, token=held)) == "proof.replayed"
    signed = instance.device(target="/dpop/x", created=now, nonce=nonce)[2:]
    lines = [name + b": " + value for name, value in signed]
    assert rig.reason(rig.send(b"/dpop/x", *lines, token=held)) == "proof.replayed"
    assert rig.reason(rig.raw(request(b"/dpop/x", *lines, *fields, token=held))) == (
        "proof.ambiguous"
    )
    assert rig.reason(rig.send(b"/device", *fields, token=held)) == "proof.missing"
    assert rig.reason(rig.send(b"/dpop/x", fields[0] + b", " + first, token=held)) == (
        "proof.ambiguous"
    )
