"""Play Integrity tokens: what each step accepts and refuses, held against another implementation.

No real token is public together with the keys that open it: all of these are forged.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.attestation import forge, forge_play
from tests.unit.attestation.forge_play import (
    DECRYPTION,
    EXPECTED,
    KEYS,
    SIGNING,
    b64,
    open_elsewhere,
    payload,
    sealed,
    signed,
    token,
)

from watchword.attestation import play_tokens
from watchword.attestation.claims import AppClaims, KeySecurity
from watchword.attestation.formats.play_integrity import PlayIntegrity
from watchword.attestation.interface import (
    CLOCK_LEEWAY,
    MAX_AGE,
    AndroidKeyChain,
    AndroidKeySignature,
    Examination,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    PlayKeys,
    ProofKeySignature,
)
from watchword.attestation.play_tokens import MAX_PAYLOAD_BYTES, read_payload
from watchword.attestation.proof_key_renewal import RENEWAL_PREFIX
from watchword.attestation.registry import examine, verify, verify_renewal
from watchword.reasons import MalformedError, Reason, RefusedError

FORMAT = PlayIntegrity()
GOOD = token()
STATEMENT = b'{"purpose":"renew"}'


def examined(
    data: bytes, expected: Expected = EXPECTED, keys: PlayKeys | None = KEYS
) -> Examination:
    """Return what is found in a token."""
    return examine(PlayIntegrityToken(data), expected, forge_play.trust(keys), forge.NOW)


def reasons(examination: Examination) -> list[Reason]:
    """Return everything that is wrong, in order."""
    return [refusal.reason for refusal in examination.refusals]


def over(document: Mapping[str, Any] | bytes) -> bytes:
    """Return a token over a document as it stands."""
    return sealed(
        signed(document if isinstance(document, bytes) else json.dumps(document).encode())
    )


def test_good_token_says_all_that_google_says() -> None:
    """Every verdict arrives under Google's own words; no key is attested."""
    claims = verify(PlayIntegrityToken(GOOD), EXPECTED, forge_play.trust(), forge.NOW).claims
    assert (claims.format, claims.public_key, claims.device_key) == ("play-integrity", None, None)
    assert claims.key_security is claims.attestation_security is KeySecurity.UNATTESTED
    assert claims.app == AppClaims(
        (forge.PACKAGE,), {forge.PACKAGE: "42"}, frozenset({forge.SIGNER})
    )
    play = claims.play
    assert play is not None
    assert (play.request, play.requested_at) == ("standard", forge_play.REQUESTED)
    assert play.app_recognition == "PLAY_RECOGNIZED"
    assert play.device_labels == {"MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"}
    assert (play.licensing, play.sdk_version, play.recent_activity) == ("LICENSED", 35, "LEVEL_2")
    assert play.app_access_risk == frozenset({"KNOWN_INSTALLED", "UNKNOWN_CAPTURING"})
    assert play.recalled == frozenset({"bitFirst", "bitThird"})
    assert play.play_protect == "NO_ISSUES"
    assert claims.fields == payload()
    assert (claims.leniencies, claims.unchecked) == ((), ())


def test_steps_are_numbered_as_the_page_numbers_them() -> None:
    """A report shows seven steps, each with what was found and what was wanted."""
    steps = examined(GOOD).steps
    assert [step.number for step in steps] == ["1", "2", "3", "4", "5", "6", "7"]
    assert all(step.checked and step.found and step.wanted for step in steps)
    assert [step.number for step in steps if step.refusals] == []


@pytest.mark.parametrize("member", ["kid", "typ"])
def test_headers_that_joserfc_takes_are_refused_all_the_same(member: str) -> None:
    """Real tokens have no such member; docs/divergences.md tells it."""
    for data in (
        sealed(INNER, {**forge_play.JWE_HEADER, member: "JWT"}),
        sealed(signed(CONTENT, {**forge_play.JWS_HEADER, member: "JWT"})),
    ):
        assert open_elsewhere(data) == CONTENT
        assert reasons(examined(data)) == [Reason.PLAY_TOKEN]


@pytest.mark.parametrize("padding", ["", "="])
def test_classic_request_is_bound_by_its_nonce(padding: str) -> None:
    """Google pads the nonce that the app sent without padding."""
    data = token(
        requestDetails__requestHash=None, requestDetails__nonce=b64(forge.BINDING) + padding
    )
    found = examined(data)
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.play is not None
    assert found.claims.play.request == "classic"


@pytest.mark.parametrize(
    "bound",
    [
        b64(bytes(32)),
        b64(forge.BINDING) + "==",
        b64(forge.BINDING)[:-1],
        "=" + b64(forge.BINDING),
        forge.BINDING.hex(),
        base64.b64encode(forge.BINDING + b"\0").decode(),
        "\u00e9",
    ],
)
@pytest.mark.parametrize("name", ["nonce", "requestHash"])
def test_token_of_another_statement(name: str, bound: str) -> None:
    """A recorded token doesn't fit another statement, however it is spelt."""
    changes: dict[str, Any] = {
        "requestDetails__requestHash": None,
        f"requestDetails__{name}": bound,
    }
    assert reasons(examined(token(**changes))) == [Reason.ATTESTATION_BINDING]


@pytest.mark.parametrize(
    "changes",
    [
        {"requestDetails__nonce": b64(forge.BINDING)},
        {"requestDetails__requestHash": None},
        {"requestDetails__requestHash": ""},
        {"requestDetails__requestHash": 7},
        {"requestDetails__requestHash": "A" * 1025},
        {"requestDetails__requestPackageName": None},
        {"requestDetails__requestPackageName": 7},
        {"requestDetails__timestampMillis": None},
        {"requestDetails__timestampMillis": "soon"},
        {"requestDetails__timestampMillis": -1},
        {"requestDetails__timestampMillis": 1.5},
        {"requestDetails__timestampMillis": True},
        {"requestDetails__timestampMillis": 253402300800000},
        {"requestDetails__timestampMillis": "9" * 20},
        {"requestDetails": None},
        {"requestDetails": []},
        {"appIntegrity": "PLAY_RECOGNIZED"},
        {"appIntegrity__certificateSha256Digest": b64(forge.SIGNER)},
        {"appIntegrity__certificateSha256Digest": ["AAAA"]},
        {"appIntegrity__certificateSha256Digest": ["+" * 43]},
        {"appIntegrity__versionCode": "1.2"},
        {"deviceIntegrity__deviceRecognitionVerdict": "MEETS_DEVICE_INTEGRITY"},
        {"deviceIntegrity__deviceRecognitionVerdict": [7]},
        {"deviceIntegrity__deviceRecognitionVerdict": ["x"] * 33},
        {"deviceIntegrity__deviceRecall__values__bitFirst": 1},
        {"deviceIntegrity__deviceRecall__values__bitFirst": []},
        {"deviceIntegrity__deviceRecall": [1]},
        {"deviceIntegrity__deviceAttributes__sdkVersion": [35]},
        {"accountDetails__appLicensingVerdict": {}},
        {"environmentDetails__appAccessRiskVerdict": []},
    ],
)
def test_content_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    """What policy hangs on is read strictly; nothing is guessed."""
    found = examined(token(**changes))
    assert reasons(found) == [Reason.PLAY_TOKEN]
    assert (found.claims, found.steps[-1].number) == (None, "4")


def test_null_is_not_absence() -> None:
    """A member that is there and null isn't taken for one that Google left out."""
    document = payload()
    document["accountDetails"]["appLicensingVerdict"] = None
    assert reasons(examined(over(document))) == [Reason.PLAY_TOKEN]
    document = payload()
    document["deviceIntegrity"]["deviceAttributes"]["sdkVersion"] = None
    assert reasons(examined(over(document))) == [Reason.PLAY_TOKEN]


def test_verdicts_that_google_left_out_are_absent() -> None:
    """An UNEVALUATED app has no name; options that weren't switched on say nothing."""
    document = payload(
        appIntegrity={"appRecognitionVerdict": "UNEVALUATED"},
        deviceIntegrity={},
        accountDetails=None,
        environmentDetails={"appAccessRiskVerdict": {}},
    )
    found = examined(over(document))
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.app is None
    play = found.claims.play
    assert play is not None
    assert (play.app_recognition, play.device_labels) == ("UNEVALUATED", frozenset())
    assert (play.licensing, play.sdk_version, play.recent_activity) == (None, None, None)
    assert (play.app_access_risk, play.play_protect, play.recalled) == (None, None, None)


def test_unknown_members_and_labels_are_kept() -> None:
    """Google adds members every year: they are told, and never fatal."""
    document = payload(
        deviceIntegrity__deviceRecognitionVerdict=["MEETS_QUANTUM_INTEGRITY"],
        guidanceDetails={"userRemediation": [{"label": "UNKNOWN"}]},
    )
    found = examined(over(document))
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.play is not None
    assert found.claims.play.device_labels == {"MEETS_QUANTUM_INTEGRITY"}
    assert found.claims.fields["guidanceDetails"] == document["guidanceDetails"]


@pytest.mark.parametrize("said", [True, "true", 1])
def test_testing_response_is_claimed(said: object) -> None:
    """A verdict that the app's owner wrote for a tester says so, for policy; Google signed it all the same."""
    found = examined(token(testingDetails={"isTestingResponse": said}))
    assert found.claims is not None
    assert found.claims.play is not None
    assert (reasons(found), found.claims.play.testing) == ([], True)


def test_numbers_are_read_as_numbers_and_as_text() -> None:
    """Google's API writes 64-bit numbers as text; its pages show both."""
    data = token(
        requestDetails__timestampMillis=int(forge_play.REQUESTED.timestamp() * 1000),
        appIntegrity__versionCode=42,
        deviceIntegrity__deviceAttributes__sdkVersion="35",
    )
    found, same = examined(data).claims, examined(GOOD).claims
    assert found is not None
    assert same is not None
    assert (found.app, found.play) == (same.app, same.play)


def test_package_of_another_app() -> None:
    """A token that another app asked for isn't ours, though the keys open it."""
    found = examined(token(requestDetails__requestPackageName="org.example.other"))
    assert reasons(found) == [Reason.PLAY_PACKAGE]
    assert "org.example.other" not in str(found.refusals)


@pytest.mark.parametrize(
    ("ago", "wanted"),
    [
        (MAX_AGE, []),
        (MAX_AGE + timedelta(milliseconds=1), [Reason.PLAY_AGE]),
        (-CLOCK_LEEWAY, []),
        (-CLOCK_LEEWAY - timedelta(milliseconds=1), [Reason.PLAY_AGE]),
        (timedelta(days=20000), [Reason.PLAY_AGE]),
    ],
)
def test_age(ago: timedelta, wanted: list[Reason]) -> None:
    """Ten minutes, to the millisecond; a minute ahead, since clocks differ."""
    millis = int((forge.NOW - ago).timestamp() * 1000)
    assert reasons(examined(token(requestDetails__timestampMillis=str(millis)))) == wanted


def test_age_is_left_out_of_reports_alone() -> None:
    """Recorded evidence is old; the service asks for the age always."""
    old = token(requestDetails__timestampMillis="0")
    loose = replace(EXPECTED, fresh=False)
    found = examined(old, loose)
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.unchecked == ("age",)
    assert [step.number for step in found.steps if not step.checked] == ["6"]
    with pytest.raises(ValueError, match="age"):
        verify(PlayIntegrityToken(old), loose, forge_play.trust(), forge.NOW)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Steps 4 to 7 don't hide each other."""
    data = token(
        requestDetails__requestPackageName="org.example.other",
        requestDetails__requestHash=b64(bytes(32)),
        requestDetails__timestampMillis="1",
    )
    found = examined(data, replace(EXPECTED, app=forge.ANDROID_APP))
    assert reasons(found) == [Reason.PLAY_PACKAGE, Reason.ATTESTATION_BINDING, Reason.PLAY_AGE]


def test_an_ios_app_has_no_play_tokens() -> None:
    """Evidence of the wrong platform is named as such."""
    evidence = PlayIntegrityPayload(json.dumps(payload()).encode())
    expected = Expected(forge.BINDING, forge.APPLE_APP)
    found = examine(evidence, expected, forge_play.trust(), forge.NOW)
    assert reasons(found) == [Reason.PLAY_PACKAGE, Reason.EVIDENCE_PLATFORM]


def test_reports_may_leave_binding_and_app_out() -> None:
    """The offline verifier says what it didn't compare; the only keys there are open the token."""
    found = examined(GOOD, Expected(None, None))
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.unchecked == ("binding", "app")
    assert [step.number for step in found.steps if not step.checked] == ["4", "5", "7"]


def test_without_keys_nothing_is_opened() -> None:
    """An app that has no keys has no verdicts, and of two apps' keys none is tried on a guess."""
    found = examined(GOOD, keys=None)
    assert (reasons(found), found.claims) == ([Reason.PLAY_UNCONFIGURED], None)
    keys = {"org.example.one": KEYS, "org.example.two": KEYS}
    trust = replace(forge_play.trust(), play_keys=keys)
    for expected in (EXPECTED, Expected(None, None)):
        unopened = examine(PlayIntegrityToken(GOOD), expected, trust, forge.NOW)
        assert reasons(unopened) == [Reason.PLAY_UNCONFIGURED]


def test_other_keys() -> None:
    """Another app's decryption key opens nothing; another signer's verdict isn't Google's."""
    other = forge.p256()
    assert reasons(examined(GOOD, keys=replace(KEYS, decryption=bytes(32)))) == [
        Reason.PLAY_DECRYPTION
    ]
    assert reasons(examined(GOOD, keys=replace(KEYS, verification=forge.spki(other)))) == [
        Reason.PLAY_SIGNATURE
    ]
    p384 = forge.spki(ec.generate_private_key(ec.SECP384R1()))
    assert reasons(examined(GOOD, keys=replace(KEYS, verification=p384))) == [Reason.PLAY_SIGNATURE]
    forged = sealed(signed(json.dumps(payload()).encode(), key=other))
    assert reasons(examined(forged)) == [Reason.PLAY_SIGNATURE]


def test_keys_are_in_no_repr() -> None:
    """A decryption key in a log is a key lost."""
    shown = repr(KEYS) + repr(forge_play.trust())
    assert DECRYPTION.hex() not in shown
    assert repr(DECRYPTION)[2:10] not in shown


INNER = signed(json.dumps(payload()).encode())

OUTER_HEADERS: dict[str, dict[str, Any]] = {
    "another wrap": {"alg": "A128KW", "enc": "A256GCM"},
    "direct": {"alg": "dir", "enc": "A256GCM"},
    "another cipher": {"alg": "A256KW", "enc": "A256CBC-HS512"},
    "zip": {"alg": "A256KW", "enc": "A256GCM", "zip": "DEF"},
    "type": {"alg": "A256KW", "enc": "A256GCM", "typ": "JWT"},
    "critical": {"alg": "A256KW", "enc": "A256GCM", "crit": ["exp"], "exp": 1},
    "key id": {"alg": "A256KW", "enc": "A256GCM", "kid": "1"},
}
KEY_SIZES = {"A128KW": 16}


@pytest.mark.parametrize("case", OUTER_HEADERS)
def test_outer_header_can_only_agree(case: str) -> None:
    """Each freedom of JWE is refused before anything is decrypted, also where the token is sound."""
    header = OUTER_HEADERS[case]
    key = DECRYPTION[: KEY_SIZES.get(header["alg"], 32)]
    try:
        data = sealed(INNER, header, key)
    except Exception:  # noqa: BLE001 - joserfc refuses to make some; then the header is put on by hand.
        data = b64(json.dumps(header).encode()).encode() + GOOD[GOOD.index(b".") :]
    found = examined(data, keys=replace(KEYS, decryption=key))
    assert reasons(found) == [Reason.PLAY_TOKEN]
    assert found.steps[-1].number == "1"


def by_hand(header: bytes, plaintext: bytes = INNER) -> bytes:
    """Return a JWE that is sound under our algorithms, with any bytes as its protected header."""
    protected = b64(header).encode()
    content_key, vector = bytes(range(32)), bytes(12)
    sealed_ = AESGCM(content_key).encrypt(vector, plaintext, protected)
    wrapped = aes_key_wrap(DECRYPTION, content_key)
    parts = [wrapped, vector, sealed_[:-16], sealed_[-16:]]
    return b".".join([protected, *(b64(part).encode() for part in parts)])


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","enc":"A256GCM"}',
        b'{"alg":"RSA1_5","enc":"A256GCM"}',
        b'{"alg":"A256KW","alg":"A256KW","enc":"A256GCM"}',
        b'{"alg":"A256KW","enc":"A256GCM","enc":"A256GCM"}',
        b'{"alg":["A256KW"],"enc":"A256GCM"}',
        b'{"enc":"A256GCM"}',
        b'{"alg":"a256kw","enc":"A256GCM"}',
        b'\xef\xbb\xbf{"alg":"A256KW","enc":"A256GCM"}',
        b'["A256KW","A256GCM"]',
        b"{}",
        b"",
        b'{"alg":"A256KW","enc":"A256GCM","x":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
def test_outer_header_bytes(header: bytes) -> None:
    """Duplicate members, other types, a byte order mark: the token opens, and is refused for them."""
    assert reasons(examined(by_hand(header))) == [Reason.PLAY_TOKEN]


def test_another_spelling_of_the_headers_is_read() -> None:
    """Order and white space say nothing; nothing but the two members is there."""
    header = b' {"enc": "A256GCM", "alg": "A256KW"} '
    inner = signed(json.dumps(payload()).encode())
    assert reasons(examined(by_hand(header, inner))) == []


def by_hand_signed(header: bytes, content: bytes, signature: bytes | None = None) -> bytes:
    """Return a JWS with any bytes as its header, signed soundly under ES256 unless told otherwise."""
    signing_input = b64(header).encode() + b"." + b64(content).encode()
    if signature is None:
        made = SIGNING.sign(signing_input, ec.ECDSA(hashes.SHA256()))
        signature = raw_signature(made)
    return signing_input + b"." + b64(signature).encode()


def raw_signature(der: bytes) -> bytes:
    """Return r and s, 32 bytes each."""
    return b"".join(number.to_bytes(32) for number in decode_dss_signature(der))


CONTENT = json.dumps(payload()).encode()


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none"}',
        b'{"alg":"ES384"}',
        b'{"alg":"ES256","alg":"ES256"}',
        b'{"alg":"ES256","typ":"JWT"}',
        b'{"alg":"ES256","kid":"1"}',
        b'{"alg":"ES256","crit":["b64"],"b64":false}',
        b'{"alg":"ES256","jwk":{"kty":"EC"}}',
        b"{}",
        b"",
    ],
)
def test_inner_header_can_only_agree(header: bytes) -> None:
    """Each freedom of JWS is refused, also where the signature holds."""
    assert reasons(examined(sealed(by_hand_signed(header, CONTENT)))) == [Reason.PLAY_TOKEN]


def test_our_public_key_is_no_hmac_secret() -> None:
    """HS256 with the verification key as its secret, the oldest trick, is another algorithm."""
    for secret in (KEYS.verification, forge_play.pem(KEYS.verification)):
        signing_input = b64(b'{"alg":"HS256"}').encode() + b"." + b64(CONTENT).encode()
        tag = hmac.new(secret, signing_input, hashlib.sha256).digest()
        forged = sealed(signing_input + b"." + b64(tag).encode())
        assert reasons(examined(forged)) == [Reason.PLAY_TOKEN]


@pytest.mark.parametrize("length", [0, 63, 65, 70, 72])
def test_signature_has_its_length(length: int) -> None:
    """DER, or a number cut short, isn't ES256."""
    forged = sealed(by_hand_signed(b'{"alg":"ES256"}', CONTENT, bytes(length)))
    assert reasons(examined(forged)) == [Reason.PLAY_TOKEN]


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_numbers_out_of_range_are_no_signature(fill: bytes) -> None:
    """Zero signed for any message in a verifier of note (CVE-2022-21449)."""
    forged = sealed(by_hand_signed(b'{"alg":"ES256"}', CONTENT, fill * 64))
    assert reasons(examined(forged)) == [Reason.PLAY_SIGNATURE]


def segments(data: bytes) -> list[bytes]:
    """Return the parts of a token."""
    return data.split(b".")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"....",
        b"." * 5000,
        GOOD[: GOOD.rindex(b".")],
        GOOD + b".AAAA",
        GOOD + b"=",
        GOOD + b"\n",
        b" " + GOOD,
        GOOD.replace(b".", b"..", 1),
        GOOD + b"A" * (16 * 1024),
        INNER,
        b'{"protected":"","recipients":[]}',
        "\u0410".encode() + GOOD[2:],
        b".".join([*segments(GOOD)[:1], b64(bytes(48)).encode(), *segments(GOOD)[2:]]),
        b".".join([*segments(GOOD)[:2], b64(bytes(16)).encode(), *segments(GOOD)[3:]]),
        b".".join([*segments(GOOD)[:4], b64(bytes(8)).encode()]),
        b".".join([*segments(GOOD)[:2], b"", *segments(GOOD)[3:]]),
    ],
)
def test_what_is_no_token(data: bytes) -> None:
    """Form, caps and lengths are looked at before any key is used."""
    found = examined(data)
    assert (reasons(found), found.steps[-1].number) == ([Reason.PLAY_TOKEN], "1")


@pytest.mark.parametrize("at", range(5))
def test_no_part_fits_another_token(at: int) -> None:
    """Parts of two good tokens don't make a third (the first part is the same in all)."""
    other = segments(token(appIntegrity__versionCode="43"))
    mixed = segments(GOOD)
    mixed[at] = other[at]
    wanted = [] if at == 0 else [Reason.PLAY_DECRYPTION]
    assert reasons(examined(b".".join(mixed))) == wanted


def test_no_bit_of_a_token_can_be_flipped() -> None:
    """Every bit of wrapped key, vector, ciphertext and tag is authenticated."""
    parts = segments(GOOD)
    tried = 0
    for at in (1, 2, 4):
        raw = base64.urlsafe_b64decode(parts[at] + b"==")
        for bit in range(len(raw) * 8):
            mutated = bytearray(raw)
            mutated[bit // 8] ^= 1 << bit % 8
            mixed = [*parts[:at], b64(bytes(mutated)).encode(), *parts[at + 1 :]]
            assert reasons(examined(b".".join(mixed))) == [Reason.PLAY_DECRYPTION]
            tried += 1
    assert tried == (40 + 12 + 16) * 8


def test_no_bit_of_a_verdict_can_be_flipped() -> None:
    """Whoever had the decryption key, an insider say, can't change what Google signed."""
    header, content, signature = INNER.split(b".")
    raw = base64.urlsafe_b64decode(content + b"==")
    for at in range(0, len(raw), 7):
        mutated = bytearray(raw)
        mutated[at] ^= 1
        forged = b".".join([header, b64(bytes(mutated)).encode(), signature])
        assert reasons(examined(sealed(forged))) == [Reason.PLAY_SIGNATURE]
    assert len(raw) > 700


def test_payload_of_google_needs_no_keys() -> None:
    """What Google decoded passes steps 4 to 7; the first three are Google's."""
    data = json.dumps(payload()).encode()
    found = examine(PlayIntegrityPayload(data), EXPECTED, forge_play.trust(None), forge.NOW)
    assert reasons(found) == []
    assert [step.found for step in found.steps[:3]] == ["decoded by Google"] * 3
    same = examined(GOOD)
    assert found.claims == same.claims
    elsewhere = examine(
        PlayIntegrityPayload(data), replace(EXPECTED, binding=bytes(32)), forge_play.trust(None),
        forge.NOW,
    )  # fmt: skip
    assert reasons(elsewhere) == [Reason.ATTESTATION_BINDING]


def test_payload_is_capped() -> None:
    """Whatever Google sends is read within bounds."""
    document = payload(fill="A" * MAX_PAYLOAD_BYTES)
    evidence = PlayIntegrityPayload(json.dumps(document).encode())
    found = examine(evidence, EXPECTED, forge_play.trust(None), forge.NOW)
    assert (reasons(found), found.claims) == ([Reason.PLAY_TOKEN], None)


def test_members_of_an_enrolment() -> None:
    """The token is the text that the Play library returned, and nothing else is there."""
    read = FORMAT.read_attestation({"format": "play-integrity", "token": GOOD.decode()})
    assert read == PlayIntegrityToken(GOOD)
    bad: list[dict[str, Any]] = [
        {},
        {"token": 7},
        {"token": "\u0410"},
        {"token": GOOD.decode(), "nonce": ""},
    ]
    for members in bad:
        with pytest.raises(MalformedError) as caught:
            FORMAT.read_attestation(members)
        assert caught.value.reason is Reason.EVIDENCE_MALFORMED


@pytest.mark.parametrize(
    "text", ["", "....", "a.b.c.d", "a.b..c.d", ".a.b.c.d", "a.b.c.d.", "a.b.c.d.e.f", "a.b.c.d.+"]
)
def test_form_is_looked_at_before_anybody_is_asked(text: str) -> None:
    """What can't be a token costs no call to Google."""
    with pytest.raises(MalformedError) as caught:
        FORMAT.read_attestation({"token": text})
    assert caught.value.reason is Reason.PLAY_TOKEN
    with pytest.raises(MalformedError):
        FORMAT.read_attestation({"token": "a.b.c.d." + "e" * play_tokens.MAX_TOKEN_BYTES})


def proof(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return a DER signature."""
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def test_renewal_is_signed_by_the_proof_key() -> None:
    """The key that the statement of the enrolment brought signs the prefix and the new statement."""
    key, other = forge.p256(), forge.p256()
    signature = proof(key, RENEWAL_PREFIX + STATEMENT)
    members = {"format": "play-integrity", "signature": b64(signature)}
    renewal = FORMAT.read_renewal(members)
    assert renewal == ProofKeySignature(signature)
    spki = forge.spki(key)
    assert verify_renewal(renewal, STATEMENT, spki, forge.ANDROID_APP, FORMAT).counter is None
    bad = [
        (renewal, STATEMENT + b" ", spki, Reason.EVIDENCE_SIGNATURE),
        (renewal, STATEMENT, forge.spki(other), Reason.EVIDENCE_SIGNATURE),
        (ProofKeySignature(b""), STATEMENT, spki, Reason.EVIDENCE_SIGNATURE),
        (ProofKeySignature(proof(key, STATEMENT)), STATEMENT, spki, Reason.EVIDENCE_SIGNATURE),
        (renewal, STATEMENT, b"no key", Reason.ATTESTATION_KEY_UNSUPPORTED),
    ]
    for evidence, statement, public_key, reason in bad:
        with pytest.raises(RefusedError) as caught:
            verify_renewal(evidence, statement, public_key, forge.ANDROID_APP, FORMAT)
        assert caught.value.reason is reason
    with pytest.raises(RefusedError) as elsewhere:
        verify_renewal(renewal, STATEMENT, spki, forge.APPLE_APP, FORMAT)
    assert elsewhere.value.reason is Reason.EVIDENCE_PLATFORM


def test_renewal_may_bring_a_new_token() -> None:
    """The token is read like the one of an enrolment; other members are refused."""
    members = {"signature": b64(b"x"), "token": GOOD.decode()}
    read = FORMAT.read_renewal(members)
    assert read == ProofKeySignature(b"x", PlayIntegrityToken(GOOD))
    for bad in ({"token": GOOD.decode()}, {**members, "more": 1}, {**members, "token": "a.b"}):
        with pytest.raises(MalformedError):
            FORMAT.read_renewal(bad)


def test_evidence_of_another_format_is_a_slip_of_the_program() -> None:
    """Classes of evidence are ours: a wrong one is an error in the code, not a refusal."""
    with pytest.raises(TypeError):
        FORMAT.examine(AndroidKeyChain(()), EXPECTED, forge_play.trust(), forge.NOW)
    with pytest.raises(TypeError):
        FORMAT.examine_renewal(AndroidKeySignature(b""), b"", b"", forge.ANDROID_APP)


def test_the_page_names_every_step_and_reason() -> None:
    """docs/formats/play_integrity.md tells what the code does."""
    page = (forge_play.ROOT / "docs" / "formats" / "play_integrity.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([1-7]) \|", page, re.MULTILINE)
    assert rows == sorted(rows)
    assert set(rows) == set("1234567")
    for code in ("token", "decryption", "signature", "package", "age", "unconfigured"):
        assert f"`play.{code}`" in page


@settings(max_examples=150)
@given(data=st.data())
def test_we_accept_what_joserfc_accepts_and_no_more(data: st.DataObject) -> None:
    """Of mutated tokens we refuse all that joserfc refuses; what both open says the same."""
    mutated = bytearray(GOOD)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"A", b".", b"=", b"-_", b"\0"])
        )
    found, elsewhere = examined(bytes(mutated)), open_elsewhere(bytes(mutated))
    if not found.refusals:
        assert elsewhere is not None
        assert found.claims is not None
        assert json.loads(elsewhere) == found.claims.fields
    assert bytes(mutated) != GOOD or not found.refusals


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_by_our_own_error(data: bytes) -> None:
    """Whatever the bytes, each parser answers or raises MalformedError alone."""
    refused = 0
    for parse in (play_tokens.require_form, play_tokens.read_token, play_tokens.read_verdict,
                  read_payload):  # fmt: skip
        try:
            parse(data)
        except MalformedError:
            refused += 1
    assert refused >= 3
    assert examined(data).refusals


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**62) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200)
@given(data=st.data())
def test_any_member_in_any_place(data: st.DataObject) -> None:
    """A payload with any value in any place is read, or refused as malformed."""
    document: Any = payload()
    parent: Any = document
    name = data.draw(st.sampled_from(sorted(parent)))
    while isinstance(parent[name], dict) and data.draw(st.booleans()):
        parent = parent[name]
        name = data.draw(st.sampled_from(sorted(parent)))
    parent[name] = data.draw(json_values)
    evidence = PlayIntegrityPayload(json.dumps(document).encode())
    found = examine(evidence, EXPECTED, forge_play.trust(None), forge.NOW)
    if found.claims is None:
        assert reasons(found) == [Reason.PLAY_TOKEN]
    else:
        assert found.claims.fields == document
