"""Phones that send Play Integrity tokens: their verdicts have Google's shape, their keys their life."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.lab.conftest import FixedClock

from watchword.adapters.anchors import AnchorSet
from watchword.attestation.interface import (
    AndroidApp,
    AppRegistration,
    Expected,
    PlayIntegrityToken,
    PlayKeys,
    Trust,
)
from watchword.attestation.registry import examine
from watchword.encoding import base64url
from watchword.lab import InstalledAndroidApp, InstalledIosApp, LabAuthorities, PhoneSetup
from watchword.lab.google_play import GooglePlay
from watchword.lab.phones.play import PLAY_PHONES, RENEWAL_PREFIX, PlayPhone
from watchword.reasons import Reason
from watchword.tokens.jose import public_key_from_jwk

BINDING = hashlib.sha256(b"statement").digest()
AUTHORITIES = LabAuthorities.from_seed(bytes(range(32)))
GOOGLE = GooglePlay(AUTHORITIES.seed)
APP = InstalledAndroidApp("com.example.clinic", (bytes(range(32)),), 120)
SETUP = PhoneSetup(AUTHORITIES, FixedClock(), "phone")
PHONE = PLAY_PHONES["play-phone"].build(APP, SETUP)
TOKEN = PHONE.token(BINDING).encode()
EXPECTED = Expected(
    BINDING, AppRegistration("clinic", AndroidApp(APP.package, frozenset(APP.signing_digests)))
)
TRUST = Trust(
    AnchorSet(()),
    play_keys={APP.package: PlayKeys(GOOGLE.decryption_key, GOOGLE.verification_key)},
)


@pytest.mark.parametrize("kind", sorted(PLAY_PHONES))
def test_verdicts_have_googles_shape(kind: str) -> None:
    """The request names the package, one binding and a time as text; the rest is there."""
    phone = PLAY_PHONES[kind].build(APP, SETUP)
    verdict = phone.verdict(BINDING)
    request = verdict["requestDetails"]
    assert request["requestPackageName"] == APP.package
    assert len({"nonce", "requestHash"} & set(request)) == 1
    assert int(request["timestampMillis"]) <= SETUP.clock.timestamp() * 1000
    assert isinstance(request["timestampMillis"], str)
    assert list(verdict)[1:] == [
        "appIntegrity", "deviceIntegrity", "accountDetails", "environmentDetails"
    ]  # fmt: skip
    assert GOOGLE.open(phone.attest(BINDING)["token"]) == verdict


def test_nonce_comes_back_padded() -> None:
    """The library wants base64url without padding, and Google's answer has it."""
    nonce = (
        PLAY_PHONES["play-classic"].build(APP, SETUP).verdict(BINDING)["requestDetails"]["nonce"]
    )
    assert nonce == base64url.encode(BINDING) + "="


def test_keys_change_with_each_enrolment() -> None:
    """A new enrolment has new keys; proof key and seal key are two."""
    phone = PLAY_PHONES["play-phone"].build(APP, SETUP)
    before = (phone.proof_jwk, phone.seal_jwk)
    phone.create_keys()
    assert len({str(each) for each in (*before, phone.proof_jwk, phone.seal_jwk)}) == 4
    assert phone.generation == 1
    again = PLAY_PHONES["play-phone"].build(APP, replace(SETUP, generation=1))
    assert again.proof_jwk == phone.proof_jwk


def test_renewal_is_signed_by_the_proof_key() -> None:
    """The signature holds over prefix and statement; a token made anew is for that statement."""
    signature = base64url.decode(PHONE.renew(b"statement")["signature"])
    key = public_key_from_jwk(PHONE.proof_jwk)
    key.verify(signature, RENEWAL_PREFIX + b"statement", ec.ECDSA(hashes.SHA256()))
    anew = PHONE.renew_anew(b"statement")
    assert anew["token"] == PHONE.token(BINDING)
    assert base64url.decode(anew["signature"]) == signature


def test_iphones_have_no_google_play(ios_app: InstalledIosApp) -> None:
    """An app for iOS can't be on such a phone."""
    with pytest.raises(ValueError, match="for iOS"):
        PLAY_PHONES["play-phone"].build(ios_app, SETUP)


def test_phone_is_named_without_its_keys() -> None:
    """A repr helps a person, and nobody else."""
    assert repr(PHONE) == "PlayPhone(name='phone', app='com.example.clinic')"
    assert isinstance(PHONE, PlayPhone)


def mutants() -> Iterator[bytes]:
    """Yield tokens of every phone with parts mutated, cut, swapped, repeated and left out."""
    binding = hashlib.sha256(b"another statement").digest()
    tokens = [model.build(APP, SETUP).token(BINDING).encode() for model in PLAY_PHONES.values()]
    other = PHONE.token(binding).encode().split(b".")
    elsewhere = GooglePlay(bytes(32)).issue(PHONE.verdict(BINDING)).encode().split(b".")
    for token in tokens:
        parts = token.split(b".")
        for at in range(0, len(token), 3):
            yield token[:at]
            for bit in (1, 2, 4, 32):
                yield token[:at] + bytes([token[at] ^ bit]) + token[at + 1 :]
        for at in range(5):
            yield b".".join(parts[:at] + parts[at + 1 :])
            yield b".".join(parts[:at] + [parts[at]] * 2 + parts[at + 1 :])
            yield b".".join([*parts[:at], b"", *parts[at + 1 :]])
            for foreign in (other, elsewhere):
                yield b".".join([*parts[:at], foreign[at], *parts[at + 1 :]])
            for second in range(at + 1, 5):
                swapped = list(parts)
                swapped[at], swapped[second] = parts[second], parts[at]
                yield b".".join(swapped)
        yield b".".join(elsewhere)
        yield b".".join(other)


def test_no_mutant_of_a_token_passes() -> None:
    """Of thousands none is accepted, and none raises anything of another kind."""
    genuine = {PLAY_PHONES[kind].build(APP, SETUP).token(BINDING).encode() for kind in PLAY_PHONES}
    made, accepted = 0, []
    for mutant in mutants():
        if mutant in genuine:
            continue
        made += 1
        found = examine(PlayIntegrityToken(mutant), EXPECTED, TRUST, SETUP.clock.now())
        if not found.refusals:
            accepted.append(mutant)
    assert accepted == []
    assert made > 20_000


@given(at=st.integers(0, len(TOKEN) - 1), instead=st.binary(max_size=2))
def test_no_mutated_token_passes(at: int, instead: bytes) -> None:
    """Bent tokens of the lab are refused for their form, their cipher or their signature."""
    mutated = TOKEN[:at] + instead + TOKEN[at + 1 :]
    found = examine(PlayIntegrityToken(mutated), EXPECTED, TRUST, SETUP.clock.now())
    if mutated == TOKEN:
        assert found.refusals == ()
    else:
        assert found.claims is None
        (refusal,) = found.refusals
        assert refusal.reason in {Reason.PLAY_TOKEN, Reason.PLAY_DECRYPTION}
