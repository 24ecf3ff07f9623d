"""Hold nginx's reading of tokens to the gate's own, over tokens that only the service could have signed, and others."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.system.engines.claim_names import CLAIM_NAMES
from tests.system.engines.mutations import mutate
from tests.system.engines.nginx.rig import EMPTY, Rig, nginx_before_api
from tests.unit.engines.envoy.rig import (
    OTHER_KEY,
    TOKEN_KEY,
    bundle_of,
    claims,
    route,
    token,
    until,
)
from tests.unit.gate.simulators import EXPECTATION, SoftwareSigner

from watchword.adapters.system import SystemClock
from watchword.encoding import base64url
from watchword.ports import VerificationKey
from watchword.reasons import RefusedError
from watchword.tokens.service import claims_to_json, verify
from watchword.vocabulary import Level, Mode

STRANGER = SoftwareSigner("token-1")


class Keys:
    """Be the keys of the bundle."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of an id."""
        known = {key.kid: key.published() for key in (TOKEN_KEY, OTHER_KEY)}
        return known.get(kid)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one nginx with a row for every token."""
    rows = [route("/v1/**"), route("/open/**", mode=Mode.OFF)]
    with nginx_before_api(tmp_path_factory.mktemp("t"), bundle_of(rows), workers=1) as running:
        until(lambda: running.raw(EMPTY).status == 200)
        yield running


_ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1.0, 2**41, 10**18, "", "x", "prod", "lab", "none", [], {}]
    ),
    st.text(max_size=3),
    st.integers(250, 260).map(lambda size: "é" * size),
    st.integers(250, 260).map(lambda size: "a" * size),
)
_TOP = (
    *CLAIM_NAMES,
    "new",
)
_BELOW = ("app.id", "app.ver", "app.new", "cnf.jwk", "cnf.new")
_KEY = ("cnf.jwk.kty", "cnf.jwk.crv", "cnf.jwk.x", "cnf.jwk.y", "cnf.jwk.d")
_NAMES = st.sampled_from([*_TOP, *_BELOW, *_KEY])
_CHANGES = st.lists(st.tuples(_NAMES, st.just(...) | _ODD), max_size=2)
_HEADERS = st.one_of(
    st.just(b'{"alg":"ES256","kid":"token-1","typ":"watchword+jwt"}'),
    st.just(b'{ "typ":"watchword+jwt","kid":"token-\\u0031", "alg":"ES256"}'),
    st.sampled_from(
        [
            b'{"alg":"ES256","kid":"token-2","typ":"watchword+jwt"}',
            b'{"alg":"ES256","kid":"token-9","typ":"watchword+jwt"}',
            b'{"alg":"ES256","kid":"","typ":"watchword+jwt"}',
            b'{"alg":"ES256","kid":"token-1","typ":"watchword+jwt","crit":[]}',
            b'{"alg":"ES256","kid":"token-1","kid":"token-1","typ":"watchword+jwt"}',
            b'{"alg":"none","kid":"token-1","typ":"watchword+jwt"}',
            b'{"alg":"ES256","kid":1,"typ":"watchword+jwt"}',
            b'{"alg":"ES256","kid":"token-1","typ":"JWT"}',
            b'{"alg":"ES256","kid":"%b","typ":"watchword+jwt"}' % (b"k" * 65),
            b"{}",
            b"",
        ]
    ),
)


def changed(changes: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return claims with members replaced, or removed where the value is ``...``."""
    return mutate(json.loads(json.dumps(claims_to_json(claims()))), changes)


def assert_same_verdict(rig: Rig, made: bytes) -> None:
    """Let both judge a token."""
    try:
        found = verify(made.decode("latin-1"), EXPECTATION, Keys(), SystemClock().timestamp())
        # A good token of no level is too little for the route, as for the gate.
        expected = "gate.level" if found.level is Level.NONE else ""
    except RefusedError as error:
        expected = error.reason.code
    answer = rig.send(b"/v1/x", token=made)
    got = "" if answer.status == 200 else rig.reason(answer)
    assert got == expected, made


@settings(max_examples=250, deadline=None)
@given(_HEADERS, _CHANGES, st.sampled_from([TOKEN_KEY, TOKEN_KEY, TOKEN_KEY, STRANGER]))
def test_claims_are_held_to_the_same_form(
    rig: Rig, header: bytes, changes: list[tuple[str, Any]], signer: SoftwareSigner
) -> None:
    """Whatever is signed gets the same verdict, for the same reason."""
    payload = json.dumps(changed(changes), separators=(",", ":"), ensure_ascii=False).encode()
    signed = f"{base64url.encode(header)}.{base64url.encode(payload)}"
    signature = base64url.encode(signer.sign(signed.encode()))
    assert_same_verdict(rig, f"{signed}.{signature}".encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bytes_that_were_changed_get_the_same_verdict(rig: Rig, data: st.DataObject) -> None:
    """A character replaced, dropped or put in anywhere, also where base64 has spare bits."""
    made = token()
    at = data.draw(st.integers(0, len(made) - 1) | st.integers(len(made) - 3, len(made) - 1))
    piece = data.draw(
        st.sampled_from([b"", b".", b"=", b"-", b"+", b"A", b"B", b"w", b"g", b"Q", b"~"])
    )
    assert_same_verdict(rig, made[:at] + piece + made[at + data.draw(st.integers(0, 1)) :])


def test_coordinates_beside_the_curve_are_no_key(rig: Rig) -> None:
    """A token says whose key it is; a point that isn't on P-256 would be anybody's."""
    for x in (b"\0" * 32, b"\xff" * 32, b"\x01" * 32):
        members = changed([("cnf.jwk.x", base64.urlsafe_b64encode(x).rstrip(b"=").decode())])
        payload = json.dumps(members, separators=(",", ":")).encode()
        head = b'{"alg":"ES256","kid":"token-1","typ":"watchword+jwt"}'
        signed = f"{base64url.encode(head)}.{base64url.encode(payload)}"
        assert_same_verdict(
            rig, f"{signed}.{base64url.encode(TOKEN_KEY.sign(signed.encode()))}".encode()
        )
