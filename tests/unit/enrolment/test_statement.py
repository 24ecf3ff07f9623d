"""Read statements strictly."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import CLINIC, ISSUER, SimulatedPhone, public_jwk

from watchword.enrolment.interface import MAX_STATEMENT_BYTES
from watchword.enrolment.statement import read_statement
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Purpose

CHALLENGE = bytes(range(57))
PHONE = SimulatedPhone()


def reason_of(raw: bytes) -> Reason:
    """Return why a statement is refused."""
    with pytest.raises(MalformedError) as caught:
        read_statement(raw)
    return caught.value.reason


def statement(**changes: Any) -> bytes:
    """Return a statement with some members changed."""
    return PHONE.statement(Purpose.ENROL, CHALLENGE, **changes)


def test_whole_statement_is_read() -> None:
    """Every member arrives, and the binding is the hash of the bytes as received."""
    raw = statement(bnd="session 7")
    read = read_statement(raw)
    assert read.purpose is Purpose.ENROL
    assert (read.issuer, read.app, read.bnd) == (ISSUER, "clinic-ios", "session 7")
    assert read.audiences == (CLINIC,)
    assert read.challenge == CHALLENGE
    assert read.proof_jwk == PHONE.proof_jwk
    assert read.seal_jwk == PHONE.seal_jwk
    assert read.raw == raw
    assert read.binding == hashlib.sha256(raw).digest()


def test_white_space_changes_the_binding() -> None:
    """Nothing is written anew: the same members in other bytes are another statement."""
    raw = statement()
    spaced = json.dumps(json.loads(raw), indent=1).encode()
    assert read_statement(raw).binding != read_statement(spaced).binding


def test_optional_members_may_be_absent() -> None:
    """A statement of Android has no proof key; no statement needs bnd."""
    read = read_statement(statement(proof_jwk=None))
    assert read.proof_jwk is None
    assert read.bnd is None


def test_x25519_may_seal() -> None:
    """Secrets may be sealed to an X25519 key."""
    jwk = {"kty": "OKP", "crv": "X25519", "x": "A" * 43}
    assert read_statement(statement(seal_jwk=jwk)).seal_jwk == jwk


@pytest.mark.parametrize("member", ["purpose", "iss", "aud", "app", "challenge", "seal_jwk"])
def test_missing_member_is_refused(member: str) -> None:
    """Nothing that is required has a default."""
    assert reason_of(statement(**{member: None})) is Reason.STATEMENT_MALFORMED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, Reason.STATEMENT_VERSION),
        ({"v": True}, Reason.STATEMENT_VERSION),
        ({"v": "1"}, Reason.STATEMENT_VERSION),
        ({"v": None}, Reason.STATEMENT_VERSION),
        ({"extra": 1}, Reason.STATEMENT_MALFORMED),
        ({"purpose": "revoke"}, Reason.STATEMENT_PURPOSE),
        ({"purpose": ["enrol"]}, Reason.STATEMENT_PURPOSE),
        ({"iss": ""}, Reason.STATEMENT_MALFORMED),
        ({"iss": 7}, Reason.STATEMENT_MALFORMED),
        ({"app": "a" * 257}, Reason.STATEMENT_MALFORMED),
        ({"aud": []}, Reason.STATEMENT_AUDIENCE),
        ({"aud": CLINIC}, Reason.STATEMENT_AUDIENCE),
        ({"aud": [CLINIC, CLINIC]}, Reason.STATEMENT_AUDIENCE),
        ({"aud": [str(n) for n in range(17)]}, Reason.STATEMENT_AUDIENCE),
        ({"aud": [{}]}, Reason.STATEMENT_MALFORMED),
        ({"challenge": ""}, Reason.CHALLENGE_MALFORMED),
        ({"challenge": "="}, Reason.CHALLENGE_MALFORMED),
        ({"challenge": "A" * 88}, Reason.CHALLENGE_MALFORMED),
        ({"challenge": 1}, Reason.CHALLENGE_MALFORMED),
        ({"bnd": ""}, Reason.STATEMENT_MALFORMED),
        ({"bnd": "b" * 129}, Reason.STATEMENT_MALFORMED),
        ({"proof_jwk": "key"}, Reason.STATEMENT_KEY),
        ({"proof_jwk": {**public_jwk(), "d": "AA"}}, Reason.STATEMENT_KEY),
        ({"proof_jwk": {**public_jwk(), "x": "A" * 43}}, Reason.STATEMENT_KEY),
        ({"proof_jwk": {**public_jwk(), "crv": "P-384"}}, Reason.STATEMENT_KEY),
        ({"proof_jwk": {"kty": "OKP", "crv": "X25519", "x": "A" * 43}}, Reason.STATEMENT_KEY),
        ({"seal_jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}}, Reason.STATEMENT_KEY),
        ({"seal_jwk": {"kty": "OKP", "crv": "X25519", "x": "A" * 42}}, Reason.STATEMENT_KEY),
        ({"seal_jwk": {"kty": "OKP", "crv": "X25519", "x": 1}}, Reason.STATEMENT_KEY),
        (
            {"seal_jwk": {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "d": "A"}},
            Reason.STATEMENT_KEY,
        ),
        ({"seal_jwk": []}, Reason.STATEMENT_KEY),
    ],
)
def test_odd_member_is_refused_with_its_reason(changes: dict[str, Any], reason: Reason) -> None:
    """Each member is held to its form."""
    assert reason_of(statement(**changes)) is reason


@pytest.mark.parametrize("purpose", [Purpose.ENROL, Purpose.RENEW])
def test_a_device_is_asked_for_in_one_word(purpose: Purpose) -> None:
    """Who can't open session keys says so with each statement; absent is no."""
    asked = read_statement(PHONE.statement(purpose, CHALLENGE, prf="device"))
    assert asked.device_for_session
    assert not read_statement(PHONE.statement(purpose, CHALLENGE)).device_for_session
    for value in ("session", "Device", "device ", "", True, 1, ["device"], {"device": True}):
        raw = PHONE.statement(purpose, CHALLENGE, prf=value)
        assert reason_of(raw) is Reason.STATEMENT_MALFORMED
    members = json.loads(PHONE.statement(purpose, CHALLENGE))
    raw = json.dumps({**members, "prf": None}).encode()
    assert reason_of(raw) is Reason.STATEMENT_MALFORMED


def test_no_secret_is_asked_for_with_a_device() -> None:
    """A statement that asks for a secret has no such member: it gets no token."""
    raw = PHONE.statement(Purpose.SECRET, CHALLENGE, secret="push", prf="device")
    assert reason_of(raw) is Reason.STATEMENT_MALFORMED


def test_null_is_not_absence() -> None:
    """A proof key or bnd that is null isn't one that is absent."""
    members = json.loads(statement())
    assert reason_of(json.dumps({**members, "proof_jwk": None}).encode()) is Reason.STATEMENT_KEY
    assert reason_of(json.dumps({**members, "bnd": None}).encode()) is Reason.STATEMENT_MALFORMED


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"v":1,"v":1}',
        b"{" * 5000,
        b'{"v":1}' + b" " * MAX_STATEMENT_BYTES,
        '{"v":1}'.encode("utf-16"),
    ],
)
def test_what_is_no_strict_json_is_malformed(raw: bytes) -> None:
    """Duplicates, depth, size and other encodings are refused before anything is believed."""
    assert reason_of(raw) is Reason.STATEMENT_MALFORMED


def test_detail_does_not_quote_the_sender() -> None:
    """What a stranger wrote doesn't come back in the operator's log."""
    with pytest.raises(MalformedError) as caught:
        read_statement(statement(evil_name="x", purpose=None))
    assert "evil_name" not in caught.value.refusals[0].detail
    assert "purpose" in caught.value.refusals[0].detail


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ["v", "purpose", "iss", "aud", "app", "challenge", "proof_jwk", "seal_jwk", "bnd", "prf"]


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON_VALUES))
def test_no_members_escape_our_errors(changes: dict[str, Any]) -> None:
    """Whatever stands in the members, it is read or refused, and nothing else happens."""
    members = json.loads(statement())
    raw = json.dumps(members | changes).encode()
    try:
        read = read_statement(raw)
    except MalformedError:
        return
    assert read.binding == hashlib.sha256(raw).digest()


@given(st.binary(max_size=300))
def test_no_bytes_escape_our_errors(raw: bytes) -> None:
    """Any bytes are refused in our own words."""
    assert reason_of(raw).code.split(".")[0] in {"statement", "challenge"}


def test_name_of_a_secret_is_read_with_its_purpose() -> None:
    """A statement that asks for a secret names exactly one."""
    read = read_statement(PHONE.statement(Purpose.SECRET, CHALLENGE, secret="push-key-2"))
    assert (read.purpose, read.secret) == (Purpose.SECRET, "push-key-2")
    assert read_statement(statement()).secret is None


@pytest.mark.parametrize(
    "name", ["", "Push", "push_key", "push\n", "p" * 65, "п", 7, None, ["push"], {}, True]
)
def test_name_of_a_secret_is_strict(name: object) -> None:
    """Nothing but one plain name passes; a missing one doesn't either."""
    raw = PHONE.statement(Purpose.SECRET, CHALLENGE, secret=name)
    assert reason_of(raw) is Reason.STATEMENT_MALFORMED


@pytest.mark.parametrize("purpose", [Purpose.ENROL, Purpose.RENEW])
def test_other_purposes_name_no_secret(purpose: Purpose) -> None:
    """What was made for something else isn't read as a wish for a secret."""
    raw = PHONE.statement(purpose, CHALLENGE, secret="push")
    assert reason_of(raw) is Reason.STATEMENT_MALFORMED
