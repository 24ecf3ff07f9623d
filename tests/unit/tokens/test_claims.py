"""Show what claims look like on the wire, and that crooked ones are refused."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import CLAIMS, NOW, PROOF_JWK

from watchword.reasons import MalformedError, Reason
from watchword.tokens.service import claims_from_json, claims_to_json

MEMBERS = claims_to_json(CLAIMS)


def test_members_of_the_protocol() -> None:
    """The payload has the members of the protocol, section 4."""
    assert claims_to_json(replace(CLAIMS, binding="b")) == {
        "iss": "https://watchword.example",
        "aud": "https://clinic.example",
        "sub": "pairwise-subject-of-an-instance",
        "iat": NOW - 10,
        "exp": NOW + 290,
        "jti": "token-1",
        "env": "prod",
        "app": {"id": "clinic-ios", "ver": "1.2.3"},
        "lvl": "hardware",
        "cnf": {"jwk": PROOF_JWK},
        "sid": "session-1",
        "epo": 0,
        "bnd": "b",
    }
    assert claims_to_json(replace(CLAIMS, device="d")) == MEMBERS | {"dev": "d"}


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS,
        replace(CLAIMS, app_version=None),
        replace(CLAIMS, binding="b", epoch=7, device="d"),
        replace(CLAIMS, device_for_session=True, os="android-16"),
    ],
)
def test_round_trip(claims: Any) -> None:
    """Claims survive being written and read, with and without the optional ones."""
    assert claims_from_json(claims_to_json(claims)) == claims


def test_unknown_claims_are_ignored() -> None:
    """A newer service may say more (RFC 7519 section 4)."""
    assert claims_from_json(MEMBERS | {"new": [1]}) == CLAIMS


def test_a_device_counts_where_it_is_named() -> None:
    """Otherwise the instance does; the name is text, as a subject is."""
    assert CLAIMS.counted_as == CLAIMS.subject
    assert replace(CLAIMS, device="d").counted_as == "d"
    for device in ("", "a b", 7, None, ["d"], "d" * 257):
        with pytest.raises(MalformedError):
            claims_from_json(MEMBERS | {"dev": device})


def test_what_stands_for_a_session_proof() -> None:
    """One value allows it; any other, of whatever type, is one of a newer service and allows nothing."""
    assert claims_to_json(replace(CLAIMS, device_for_session=True)) == MEMBERS | {"prf": "device"}
    assert "prf" not in MEMBERS
    for value in ("session", "Device", "device ", "", True, 1, None, ["device"], {"device": 1}):
        assert claims_from_json(MEMBERS | {"prf": value}) == CLAIMS


@pytest.mark.parametrize("system", ["android", "ios", "android-7", "ios-26", "android-999"])
def test_a_system_is_a_family_and_a_number(system: str) -> None:
    """That is all that gates count by."""
    assert claims_from_json(MEMBERS | {"os": system}).os == system


@pytest.mark.parametrize(
    "system",
    [
        "",
        "android-",
        "android-1000",
        "android-14.1",
        "Android",
        "pixel",
        "ios-26\n",
        "ios-\u0663",
        None,
        14,
        ["ios"],
        "ios" * 100,
    ],
)
def test_an_unknown_system_counts_as_none(system: object) -> None:
    """Nothing is decided by it, so that a token of a newer service is still one; a model or serial is never taken in."""
    assert claims_from_json(MEMBERS | {"os": system}) == CLAIMS


@pytest.mark.parametrize("name", [name for name in MEMBERS if name != "bnd"])
def test_every_claim_is_required(name: str) -> None:
    """A token without one of the claims is refused; above all one without exp."""
    with pytest.raises(MalformedError) as refused:
        claims_from_json({key: value for key, value in MEMBERS.items() if key != name})
    assert refused.value.reason is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        {"exp": True},
        {"exp": str(NOW)},
        {"exp": float(NOW)},
        {"exp": None},
        {"exp": [NOW]},
        {"exp": 10**18},
        {"exp": -1},
        {"iat": -1, "exp": 5},
        {"iat": 2**40 - 5, "exp": 2**40 + 1},
        {"iat": True},
        {"iat": NOW + 290},
        {"iat": NOW + 290 - 3601},
        {"nbf": True},
        {"nbf": "1"},
        {"aud": ["https://clinic.example"]},
        {"aud": {}},
        {"aud": ""},
        {"iss": 1},
        {"sub": "two words"},
        {"sub": "line\nbreak"},
        {"sub": "é"},
        {"sub": "s" * 257},
        {"app": "clinic-ios"},
        {"app": {"id": "x\r\ny"}},
        {"app": {"id": "x", "ver": 1}},
        {"lvl": "diamond"},
        {"lvl": 3},
        {"env": "PROD"},
        {"cnf": {}},
        {"cnf": {"jwk": PROOF_JWK | {"x": PROOF_JWK["y"]}}},
        {"epo": "0"},
        {"epo": -1},
        {"epo": 2**40 + 1},
        {"jti": "j" * 257},
        {"bnd": 1},
    ],
    ids=str,
)
def test_crooked_claims(change: dict[str, Any]) -> None:
    """Wrong types, lists for one audience, line breaks and endless lives are refused."""
    with pytest.raises(MalformedError) as refused:
        claims_from_json(MEMBERS | change)
    assert refused.value.reason is Reason.TOKEN_MALFORMED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*MEMBERS, "nbf", "bnd", "prf", "os"]), json_values))
def test_any_claims(changes: dict[str, Any]) -> None:
    """Whatever a payload holds, it is read or refused with MalformedError."""
    with suppress(MalformedError):
        claims = claims_from_json(MEMBERS | changes)
        assert type(claims.expires_at) is int
        assert claims.expires_at > claims.issued_at
