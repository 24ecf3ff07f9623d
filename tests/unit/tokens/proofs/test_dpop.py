"""Show that a DPoP proof passes for its request, token and key, and for nothing else."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.tokens.proofs.prover import ADA, EVE, GET, LEEWAY, NOW, POST, jwk_of, text

from watchword.reasons import Reason, RefusedError
from watchword.tokens.proofs.dpop import MAX_PROOF_BYTES, verify
from watchword.tokens.proofs.interface import ProofHeaders, SignedRequest, VerifiedProof

KEYS = ADA.keys
GOOD = ADA.dpop(GET)
JTI = b"anRpLW9mLWEtdGVzdA"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GATE_NONCE = "Z2F0ZS1ub25jZS1vZi0zMC1jaGFycy"


def reason_of(
    headers: ProofHeaders, request: SignedRequest = GET, now: float = NOW, **options: bool
) -> Reason:
    """Return the reason for which a proof is refused."""
    with pytest.raises(RefusedError) as refused:
        verify(request, headers, KEYS, LEEWAY, now, **options)
    return refused.value.reason


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("nonce", [None, GATE_NONCE])
def test_a_right_proof_says_what_was_signed(spaces: bool, nonce: str | None) -> None:
    """Also as other clients write JSON, and with a gate's nonce."""
    headers = ADA.dpop(GET, spaces=spaces, nonce=nonce)
    affinity = None if nonce is None else nonce.encode()
    assert verify(GET, headers, KEYS, LEEWAY, NOW) == VerifiedProof(JTI, NOW, None, affinity)


def test_neither_query_nor_body_is_covered() -> None:
    """The RFC leaves them out: one proof holds for another query."""
    assert verify(GET._replace(query=b"page=3"), GOOD, KEYS, LEEWAY, NOW).nonce == JTI
    assert verify(POST, ADA.dpop(POST), KEYS, LEEWAY, NOW).body_digest is None


def test_missing_and_doubled_proofs() -> None:
    """No proof, a signature beside it, and two in one header."""
    assert GOOD.dpop is not None
    none = ProofHeaders(None, None, None)
    signed = ADA.sign("device", GET)
    assert reason_of(none) is Reason.PROOF_MISSING
    assert reason_of(signed) is Reason.PROOF_MISSING
    assert reason_of(signed._replace(dpop=GOOD.dpop)) is Reason.PROOF_AMBIGUOUS
    assert reason_of(GOOD._replace(signature=signed.signature)) is Reason.PROOF_AMBIGUOUS
    for two in (
        GOOD.dpop + b", " + GOOD.dpop,
        GOOD.dpop + b"," + GOOD.dpop,
        (GOOD.dpop + b",") * 9,
    ):
        assert reason_of(GOOD._replace(dpop=two)) is Reason.PROOF_AMBIGUOUS


# The other point with the same x: a key of which Ada's signature holds for no message.
MIRRORED = jwk_of(derive_private_key(ORDER - 17, SECP256R1()))
PRIVATE = ADA.jwk | {"d": text((17).to_bytes(32))}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, Reason.PROOF_ALGORITHM),
        ({"alg": "HS256"}, Reason.PROOF_ALGORITHM),
        ({"alg": "ES384"}, Reason.PROOF_ALGORITHM),
        ({"alg": "es256"}, Reason.PROOF_ALGORITHM),
        ({"alg": None}, Reason.PROOF_MALFORMED),
        ({"typ": None}, Reason.PROOF_MALFORMED),
        ({"typ": "JWT"}, Reason.PROOF_MALFORMED),
        ({"typ": "DPOP+JWT"}, Reason.PROOF_MALFORMED),
        ({"typ": "application/dpop+jwt"}, Reason.PROOF_MALFORMED),
        ({"typ": "watchword+jwt"}, Reason.PROOF_MALFORMED),
        ({"kid": "1"}, Reason.PROOF_MALFORMED),
        ({"crit": []}, Reason.PROOF_MALFORMED),
        ({"jku": "https://evil.example"}, Reason.PROOF_MALFORMED),
        ({"jwk": None}, Reason.PROOF_MALFORMED),
        ({"jwk": "key"}, Reason.PROOF_MALFORMED),
        ({"jwk": PRIVATE}, Reason.PROOF_MALFORMED),
        ({"jwk": ADA.jwk | {"kid": "1"}}, Reason.PROOF_MALFORMED),
        ({"jwk": ADA.jwk | {"use": "sig"}}, Reason.PROOF_MALFORMED),
        ({"jwk": ADA.jwk | {"x": 1}}, Reason.PROOF_MALFORMED),
        ({"jwk": ADA.jwk | {"kty": "OKP"}}, Reason.PROOF_KEY),
        ({"jwk": ADA.jwk | {"crv": "P-384"}}, Reason.PROOF_KEY),
        ({"jwk": EVE.jwk}, Reason.PROOF_KEY),
        ({"jwk": MIRRORED}, Reason.PROOF_KEY),
        ({"jwk": ADA.jwk | {"x": ADA.jwk["x"] + "="}}, Reason.PROOF_KEY),
    ],
)
def test_other_headers(header: dict[str, Any], reason: Reason) -> None:
    """Exactly typ, alg and the token's own public key; read twice, since good headers are kept."""
    for _ in range(2):
        assert reason_of(ADA.dpop(GET, header)) is reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"jti": None}, Reason.PROOF_MALFORMED),
        ({"jti": "short"}, Reason.PROOF_MALFORMED),
        ({"jti": "j" * 65}, Reason.PROOF_MALFORMED),
        ({"jti": "j" * 15 + "+"}, Reason.PROOF_MALFORMED),
        ({"jti": 7}, Reason.PROOF_MALFORMED),
        ({"htm": None}, Reason.PROOF_MALFORMED),
        ({"htm": ["GET"]}, Reason.PROOF_MALFORMED),
        ({"htu": None}, Reason.PROOF_MALFORMED),
        ({"iat": None}, Reason.PROOF_MALFORMED),
        ({"iat": True}, Reason.PROOF_MALFORMED),
        ({"iat": float(NOW)}, Reason.PROOF_MALFORMED),
        ({"iat": str(NOW)}, Reason.PROOF_MALFORMED),
        ({"iat": -1}, Reason.PROOF_MALFORMED),
        ({"iat": 2**41}, Reason.PROOF_MALFORMED),
        ({"iat": 2**70}, Reason.PROOF_MALFORMED),
        ({"ath": None}, Reason.PROOF_MALFORMED),
        ({"nonce": "with blank and \n"}, Reason.PROOF_MALFORMED),
        ({"nonce": ""}, Reason.PROOF_MALFORMED),
        ({"nonce": 1}, Reason.PROOF_MALFORMED),
        ({"exp": NOW + 600}, Reason.PROOF_MALFORMED),
        ({"nbf": NOW}, Reason.PROOF_MALFORMED),
        ({"aud": "x"}, Reason.PROOF_MALFORMED),
        ({"htm": "POST"}, Reason.PROOF_TARGET),
        ({"htm": "get"}, Reason.PROOF_TARGET),
        ({"htm": ""}, Reason.PROOF_TARGET),
        ({"ath": text(bytes(32))}, Reason.PROOF_TOKEN),
        ({"ath": ""}, Reason.PROOF_TOKEN),
        ({"iat": NOW + LEEWAY + 1}, Reason.PROOF_EARLY),
        ({"iat": NOW - 60 - LEEWAY}, Reason.PROOF_EXPIRED),
        ({"iat": 0}, Reason.PROOF_EXPIRED),
    ],
)
def test_other_payloads(changes: dict[str, Any], reason: Reason) -> None:
    """Exactly the five claims, and nonce; in the compact and in the spaced spelling alike."""
    for spaces in (False, True):
        assert reason_of(ADA.dpop(GET, spaces=spaces, **changes)) is reason


@pytest.mark.parametrize(
    ("htu", "request_"),
    [
        ("https://api.clinic.example/v1/patients/7?other=1#part", GET),
        ("HTTPS://API.Clinic.example:443/v1/patients/7", GET),
        (
            "https://api.clinic.example/v1/patients/7",
            GET._replace(authority=b"api.clinic.example:443"),
        ),
        (
            "https://api.clinic.example:8443/a",
            GET._replace(authority=b"api.clinic.example:8443", path=b"/a"),
        ),
        ("https://api.clinic.example", GET._replace(path=b"/")),
        ("https://api.clinic.example?a=/b", GET._replace(path=b"/")),
        ("https://[::1]:443/a", GET._replace(authority=b"[::1]", path=b"/a")),
    ],
)
def test_targets_that_are_the_same(htu: str, request_: SignedRequest) -> None:
    """Query and fragment are left aside, scheme and authority normalised (RFC 9449 section 4.3)."""
    assert verify(request_, ADA.dpop(request_, htu=htu), KEYS, LEEWAY, NOW).nonce == JTI


@pytest.mark.parametrize(
    "htu",
    [
        "",
        "/v1/patients/7",
        "api.clinic.example/v1/patients/7",
        "https:///v1/patients/7",
        "https:api.clinic.example/v1/patients/7",
        "http://api.clinic.example/v1/patients/7",
        "wss://api.clinic.example/v1/patients/7",
        "https://api.clinic.example/v1/patients/8",
        "https://api.clinic.example/v1/patients/7/",
        "https://api.clinic.example/v1/%70atients/7",
        "https://api.clinic.example/V1/patients/7",
        "https://api.clinic.example//v1/patients/7",
        "https://api.clinic.example/x/../v1/patients/7",
        "https://api.clinic.example:444/v1/patients/7",
        "https://api.clinic.example:80/v1/patients/7",
        "https://api.clinic.example:/v1/patients/7",
        "https://api.clinic.example./v1/patients/7",
        "https://user@api.clinic.example/v1/patients/7",
        "https://evil.example/v1/patients/7",
        "https://evil.example?https://api.clinic.example/v1/patients/7",
        "https://evil.example#https://api.clinic.example/v1/patients/7",
        "https://\u0430pi.clinic.example/v1/patients/7",
        " https://api.clinic.example/v1/patients/7",
        "https://api.clinic.example/v1/patients/7\n",
        "https://api.clinic.example\\/v1/patients/7",
    ],
)
def test_other_targets(htu: str) -> None:
    """Another scheme, authority or path, or a URL that others may read otherwise."""
    assert reason_of(ADA.dpop(GET, htu=htu)) is Reason.PROOF_TARGET


def test_http_in_the_lab() -> None:
    """Without TLS a gate has to say so; its default port is then another one."""
    headers = ADA.dpop(GET, htu="http://api.clinic.example:80/v1/patients/7")
    assert verify(GET, headers, KEYS, LEEWAY, NOW, allow_http=True).nonce == JTI
    assert verify(GET, GOOD, KEYS, LEEWAY, NOW, allow_http=True).nonce == JTI
    assert reason_of(headers) is Reason.PROOF_TARGET
    crossed = ADA.dpop(GET, htu="http://api.clinic.example:443/v1/patients/7")
    assert reason_of(crossed, allow_http=True) is Reason.PROOF_TARGET


def test_another_request() -> None:
    """Method, path and token are the proof's."""
    for changes, reason in (
        ({"method": b"DELETE"}, Reason.PROOF_TARGET),
        ({"path": b"/v1/patients/8"}, Reason.PROOF_TARGET),
        ({"authority": b"evil.example"}, Reason.PROOF_TARGET),
        ({"token": b"eyJh.eyJp.c2lm"}, Reason.PROOF_TOKEN),
    ):
        assert reason_of(GOOD, GET._replace(**changes)) is reason


def test_the_window() -> None:
    """As with signatures: from iat - leeway until iat + 60 + leeway."""
    for now in (NOW - LEEWAY, NOW + 60 + LEEWAY - 0.001):
        assert verify(GET, GOOD, KEYS, LEEWAY, now).created == NOW
    assert reason_of(GOOD, now=NOW - LEEWAY - 0.001) is Reason.PROOF_EARLY
    assert reason_of(GOOD, now=NOW + 60 + LEEWAY) is Reason.PROOF_EXPIRED


def test_a_key_of_the_thief() -> None:
    """Eve's key under Ada's name, and the payload is not read before that is known."""
    thief = replace(ADA, private=derive_private_key(23, SECP256R1()))
    assert reason_of(thief.dpop(GET, {"jwk": ADA.jwk})) is Reason.PROOF_SIGNATURE
    header = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": ADA.jwk}).encode()
    assert reason_of(thief.compact(header, b"no json")) is Reason.PROOF_SIGNATURE
    assert reason_of(ADA.compact(header, b"no json")) is Reason.PROOF_MALFORMED
    assert reason_of(ADA.compact(b"no json", b"{}")) is Reason.PROOF_MALFORMED


def test_crooked_texts() -> None:
    """Two texts never stand for one proof, and long ones aren't read."""
    assert GOOD.dpop is not None
    proof = GOOD.dpop
    mutated = [
        b"",
        b"..",
        proof + b"=",
        proof + b"\n",
        b" " + proof,
        b"DPoP " + proof,
        proof + b".e30",
        proof.rpartition(b".")[0],
        proof.rpartition(b".")[0] + b".",
        proof[:-4],
        proof[:-1] + bytes([proof[-1] + 1]),
        proof.replace(b"e", b"\xd0\xb5", 1),
        proof + b"A" * MAX_PROOF_BYTES,
        b"A" * 8192,
    ]
    for text_ in mutated:
        assert reason_of(GOOD._replace(dpop=text_)) is Reason.PROOF_MALFORMED


def test_doubled_members() -> None:
    """The last of two members doesn't win."""
    header = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": ADA.jwk})
    payload = json.dumps(ADA.payload(GET), separators=(",", ":"))
    doubled = payload.replace('{"jti"', f'{{"iat":{NOW},"jti"')
    assert reason_of(ADA.compact(header.encode(), doubled.encode())) is Reason.PROOF_MALFORMED
    twice = header.replace('"alg"', '"alg": "none", "alg"')
    assert reason_of(ADA.compact(twice.encode(), payload.encode())) is Reason.PROOF_MALFORMED


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    """No byte of the proof can be another one, nor one of what it covers."""
    parts = {**GET._asdict(), "dpop": GOOD.dpop}
    name = data.draw(st.sampled_from(["token", "method", "authority", "path", "dpop"]))
    part = parts[name]
    assert part is not None
    at = data.draw(st.integers(0, len(part) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != part[at]))
    changed = part[:at] + bytes([byte]) + part[at + 1 :]
    if name == "dpop":
        reason = reason_of(GOOD._replace(dpop=changed))
    else:
        reason = reason_of(GOOD, GET._replace(**{name: changed}))
    assert reason.code.startswith("proof.")


@given(st.binary(max_size=200) | st.from_regex(rb"[A-Za-z0-9_-]{0,90}\.[\w-]{0,90}\.[\w-]{86}"))
def test_any_bytes(data: bytes) -> None:
    """Nothing but a refusal comes out of a header."""
    assert reason_of(ProofHeaders(None, None, data)).code.startswith("proof.")


@given(st.binary(max_size=120))
def test_any_signed_payload(payload: bytes) -> None:
    """Nor out of whatever an instance signs."""
    header = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": ADA.jwk}).encode()
    assert reason_of(ADA.compact(header, payload)) is Reason.PROOF_MALFORMED


NAMES = st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"])
VALUES = st.one_of(
    st.text(max_size=30),
    st.text("abcXYZ019_-", min_size=14, max_size=66),
    st.integers(-5, 2**42),
    st.sampled_from(["GET", "POST", "A" * 43, "https://api.clinic.example/", "\u00e9", '"', "\\"]),
)


def outcome(headers: ProofHeaders) -> object:
    """Return what comes out, or the reason why nothing does."""
    try:
        return verify(GET, headers, KEYS, LEEWAY, NOW)
    except RefusedError as error:
        return error.reason


@given(st.dictionaries(NAMES, VALUES))
def test_both_readings_of_a_payload_agree(changes: dict[str, Any]) -> None:
    """The quick reading of the usual spelling says the same as the reader of JSON."""
    quick = ADA.dpop(GET, **changes)
    assert outcome(quick) == outcome(ADA.dpop(GET, spaces=True, **changes))
