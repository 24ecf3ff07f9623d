"""Measure verification against other verifiers and against the bare cost of its cryptography.

One process, one core.  Contenders take turns in short rounds, so that a change in the machine's mood meets
all of them; what is compared are medians of processor time, in microseconds for one piece of evidence.

Each round has phones of its own, and each contender meets each of them once: we keep loaded keys and other things
that come again, and the same few phones over and over would show what no service sees.  So evidence is forged, with keys
of the vendors' kinds: App Attest under P-384; Android leaf, attestation key and ``Droid CA3`` on P-256, ``Droid CA2`` on
P-384, root RSA-4096.  Rows that say "real, met again" are of real devices' evidence where it lies beside the project; they
are for information and have no goal.  Play tokens are the lab's: no real one is public.

Run: ``python -m benchmarks.bench_attestation``
"""

import asyncio
import gc
import hashlib
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import cbor2
from benchmarks import attestation_floors as floors
from benchmarks.report import Row, write_report
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key
from tests.unit.attestation import forge, peers, recorded
from tests.unit.attestation.mutations import key_of

from watchword.adapters.revocation import StatusList
from watchword.attestation import receipts
from watchword.attestation.certificates import BoundedIssuerCache, p256_point
from watchword.attestation.interface import (
    AndroidKeyChain,
    AppAttestAssertion,
    AppAttestAttestation,
    AppleApp,
    Attestation,
    Expected,
    PlayIntegrityToken,
    PlayKeys,
    Trust,
)
from watchword.attestation.receipts import examine_receipt
from watchword.attestation.registry import verify, verify_renewal
from watchword.encoding import base64url
from watchword.lab.google_play import GooglePlay
from watchword.ports import Anchor, RevocationEntry

ROUNDS = 25
PHONES = 24
"""Phones of a round; no other round has any of them."""

CHALLENGE = b"challenge"
NO_RECEIPT = b"\x00"
"""What stands for a receipt where receipts are left out on all sides: nobody can read it."""

Work = Callable[[Any], object]
"""What a contender does with one piece of evidence."""


@dataclass(frozen=True)
class Case:
    """Hold one piece of evidence with what it is verified against."""

    evidence: Attestation
    expected: Expected
    now: datetime


def interleaved(
    contenders: Mapping[str, Work], batches: Sequence[Sequence[Any]]
) -> dict[str, float]:
    """Return the median of each contender's microseconds for one piece, from rounds in turn.

    :param batches: the evidence of each round; the first round only warms up.
    """
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    for batch in batches:
        for name, work in contenders.items():
            gc.collect()
            before = time.process_time()
            for item in batch:
                work(item)
            seen[name].append((time.process_time() - before) / len(batch) * 1e6)
    return {name: statistics.median(times[1:]) for name, times in seen.items()}


def rounds(make: Callable[[], Any]) -> list[list[Any]]:
    """Return fresh evidence for every round."""
    return [[make() for _ in range(PHONES)] for _ in range(ROUNDS + 1)]


def against(
    what: str,
    found: Mapping[str, float],
    at_most: Mapping[str, float] | None = None,
    faster: Mapping[str, float] | None = None,
) -> list[Row]:
    """Return a row for each contender beside ours.

    :param at_most: upper bounds of ours as a multiple of a contender's.
    :param faster: lower bounds of how many times faster ours is.
    """
    rows = []
    for name, value in found.items():
        measure, ours = f"{what}; peer: {name}", found["ours"]
        if at_most and name in at_most:
            rows.append(Row.at_most_times(measure, ours, value, at_most[name]))
        elif faster and name in faster:
            rows.append(Row.times_faster(f"{measure} (times faster)", ours, value, faster[name]))
        elif name != "ours":
            rows.append(Row(measure, ours, value))
    return rows


# App Attest


def forged_apple() -> tuple[forge.Apple, Trust]:
    """Return an Apple with keys on P-384, as the real one has them, and trust in it."""
    root_key, issuer_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    name = forge.name(common_name="Apple App Attestation Root CA")
    root = forge.certify(name, None, key=root_key)
    issuer = forge.name(common_name="Apple App Attestation CA 1")
    vendor = forge.Apple(root, forge.certify(issuer, root, key=issuer_key))
    return vendor, forge.trust(vendor.anchor)


def recorded_cases() -> list[Case]:
    """Return the recorded attestations."""
    return [Case(row.evidence, row.expected, row.now) for row in recorded.app_attest_attestations()]


def known_apple_issuers(cases: Sequence[Case]) -> dict[bytes, floors.Known]:
    """Return the intermediates as the floor knows them."""
    known = {}
    for case in cases:
        assert isinstance(case.evidence, AppAttestAttestation)
        data = cbor2.loads(case.evidence.attestation)["attStmt"]["x5c"][1]
        issuer = x509.load_der_x509_certificate(data)
        digest = hashlib.sha256(data).digest()
        known[digest] = floors.Known(issuer.public_key(), issuer.not_valid_after_utc)
    return known


def measure_app_attest() -> list[Row]:
    """Return the rows on attestations, their receipts left out on all sides."""
    vendor, trust = forged_apple()
    expected = Expected(hashlib.sha256(CHALLENGE).digest(), forge.APPLE_APP)
    binding = expected.binding
    batches = rounds(
        lambda: Case(vendor.evidence(binding=binding, receipt=NO_RECEIPT), expected, forge.NOW)
    )
    warm = replace(trust, issuers=BoundedIssuerCache())
    known = known_apple_issuers(batches[0][:1])
    loop = asyncio.new_event_loop()

    def pyattest(case: Case) -> None:
        evidence = case.evidence
        assert isinstance(evidence, AppAttestAttestation)
        peer = peers.Pyattest(
            evidence.key_id, forge.APPLE_APP.app_id, production=True, root=vendor.root.der
        )
        loop.run_until_complete(peer.attest_within_loop(evidence.attestation, CHALLENGE))

    contenders: dict[str, Work] = {
        "ours": lambda c: verify(c.evidence, c.expected, warm, c.now),
        "floor": lambda case: floor_of_apple(case, known),
    }
    what = "App Attest attestation, receipt left out on all sides"
    if peers.are_installed():
        with peers.pyattest_at(forge.NOW):
            found = interleaved({**contenders, "pyattest": pyattest}, batches)
    else:
        found = interleaved(contenders, batches)
    loop.close()
    return against(what, found, {"floor": 1.25}, {"pyattest": 15})


def floor_of_apple(case: Case, known: Mapping[bytes, floors.Known]) -> None:
    """Carry out the floor on a case."""
    evidence, app = case.evidence, case.expected.app
    assert isinstance(evidence, AppAttestAttestation)
    assert app is not None
    assert isinstance(app.identity, AppleApp)
    floors.app_attest(
        evidence.attestation,
        evidence.key_id,
        case.expected.binding or b"",
        app.identity.app_id,
        app.identity.environment.value,
        known,
        case.now,
    )


def measure_receipts() -> list[Row]:
    """Return the rows on real attestations with their receipts, and on those receipts alone."""
    cases = recorded_cases()
    warm = replace(recorded.trust(), issuers=BoundedIssuerCache())
    known = known_apple_issuers(cases)
    found = []
    for case in cases:
        assert isinstance(case.evidence, AppAttestAttestation)
        receipt = cbor2.loads(case.evidence.attestation)["attStmt"]["receipt"]
        signed = receipts.read_signed_data(receipt)
        over = signed.content if signed.attributes is None else signed.attributes_der
        signers = [x509.load_der_x509_certificate(data) for data in signed.certificates]
        serial = int(signed.serial_hex, 16)
        key = next(each.public_key() for each in signers if each.serial_number == serial)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            floors.receipt(over, signed.signature, key)
        except InvalidSignature:
            continue  # Those of 2020 are signed in another way.
        found.append((case, receipt, (over, signed.signature, key)))

    def whole_floor(item: tuple[Case, bytes, Any]) -> None:
        floor_of_apple(item[0], known)
        floors.receipt(*item[2])

    batches = [found] * (ROUNDS + 1)
    both = interleaved(
        {
            "ours": lambda i: verify(i[0].evidence, i[0].expected, warm, i[0].now),
            "floor": whole_floor,
        },
        batches,
    )
    alone = interleaved(
        {"ours": lambda i: examine_receipt(i[1], warm), "floor": lambda i: floors.receipt(*i[2])},
        batches,
    )
    return [
        *against("App Attest attestation with its receipt (real, met again)", both),
        *against("receipt alone, signer known (real, met again; floor reads nothing)", alone),
    ]


def measure_assertions() -> list[Row]:
    """Return the rows on assertions, each by another phone."""
    app_id = forge.APPLE_APP.app_id
    statement = b"a statement of three hundred bytes " * 9

    def make() -> tuple[bytes, bytes]:
        key = forge.p256()
        return forge.assertion(key, statement, counter=7), forge.spki(key)

    contenders: dict[str, Work] = {
        "ours": lambda i: verify_renewal(
            AppAttestAssertion(i[0]), statement, i[1], forge.APPLE_APP
        ),
        "floor": lambda i: floors.assertion(i[0], statement, i[1], app_id),
    }
    if peers.are_installed():
        peer = peers.Pyattest(b"", app_id, production=True)
        digest = hashlib.sha256(statement).digest()
        contenders["pyattest, signature only"] = lambda i: peer.renew(i[0], digest, i[1])
    found = interleaved(contenders, rounds(make))
    return against("App Attest assertion, all checks", found, {"floor": 1.4})


# Android


@dataclass(frozen=True)
class Phone:
    """Hold a phone's chain, and the WebAuthn statement around it."""

    chain: tuple[bytes, ...]
    webauthn: bytes


def remote_phones(client_data: bytes) -> list[list[Phone]]:
    """Return phones with remotely provisioned keys, after the real chains under the RSA root."""
    p384 = ec.generate_private_key(ec.SECP384R1())
    name = forge.name(serial_number="f92009e853b6b045")
    root = forge.certify(name, None, key=rsa.generate_private_key(65537, 4096))
    name = forge.name(common_name="Droid CA2", organization_name="Google LLC")
    ca2 = forge.certify(name, root, key=p384)
    name = forge.name(common_name="Droid CA3", organization_name="Google LLC")
    ca3 = forge.certify(name, ca2, digest=SHA384())
    tags = forge.hardware_tags(tag_1=forge.tlv(0x31, forge.integer(2)), tag_4711=None)
    description = forge.key_description(
        challenge=hashlib.sha256(client_data).digest(), version=300, hardware=tags
    )
    above = tuple(each.der for each in (ca3, ca2, root))

    def make() -> Phone:
        key, unit = forge.p256(), forge.p256()
        name = forge.name(organization_name="TEE", common_name=forge.spki(unit)[-16:].hex())
        info = [(forge.PROVISIONING_INFO, b"\xa1\x01\x08")]
        attester = forge.certify(name, ca3, key=unit, extensions=info)
        leaf = forge.Google(root, ca3, attester).leaf(description, key=key)
        data = forge.authenticator_data(key, app_id=peers.RP_ID, flags=0x45)
        signed = data + hashlib.sha256(client_data).digest()
        chain = (leaf.der, attester.der, *above)
        signature = key.sign(signed, ec.ECDSA(SHA256()))
        return Phone(chain, peers.webauthn_object(chain, signature, data))

    return rounds(make)


def measure_remote_chains() -> list[Row]:
    """Return the rows on chains of five certificates, the issuers of attestation keys being known."""
    client_data = peers.client_data(b"challenge")
    batches = remote_phones(client_data)
    chain = batches[0][0].chain
    root = chain[-1]
    subject = x509.load_der_x509_certificate(root).subject.public_bytes()
    anchor = Anchor("forged root", "android-key", "production", key_of(root), subject)
    revoked = {format(1000 + number, "x"): "REVOKED" for number in range(467)}
    # The list as the service holds it, digest and all; a test's stand-in works its digest out on every call.
    entry = RevocationEntry("REVOKED", "KEY_COMPROMISE")
    trust = replace(forge.trust(anchor), revocation=StatusList(dict.fromkeys(revoked, entry)))
    warm = replace(trust, issuers=BoundedIssuerCache())
    expected = Expected(hashlib.sha256(client_data).digest(), forge.ANDROID_APP)
    above = hashlib.sha256()
    for data in chain[:1:-1]:
        above.update(data)
    issuers = [x509.load_der_x509_certificate(data) for data in chain[2:]]
    known = {
        above.digest(): floors.Known(
            issuers[0].public_key(),
            min(each.not_valid_after_utc for each in issuers[:2]),
            tuple(format(each.serial_number, "x") for each in issuers),
        )
    }
    binding = expected.binding or b""

    def ours(chosen: Trust) -> Work:
        return lambda p: verify(AndroidKeyChain(p.chain), expected, chosen, forge.NOW)

    contenders: dict[str, Work] = {
        "ours": ours(warm),
        "floor": lambda p: floors.android_key(p.chain, binding, known, revoked, forge.NOW),
        "ours, no issuer known": ours(trust),
    }
    if peers.are_installed():
        contenders["py_webauthn"] = lambda p: peers.webauthn_android_key(
            p.webauthn, client_data, [root]
        )
        with peers.webauthn_at(forge.NOW):
            found = interleaved(contenders, batches)
    else:
        found = interleaved(contenders, batches)
    what = "Android chain, 5 certificates (RKP), issuers known"
    return against(what, found, {"floor": 1.3}, {"py_webauthn": 8})


def is_p256(row: recorded.Recorded) -> bool:
    """Tell whether a recorded chain attests a key on P-256, which alone enrols."""
    assert isinstance(row.evidence, AndroidKeyChain)
    return p256_point(key_of(row.evidence.chain[0])) is not None


def measure_recorded_chains() -> list[Row]:
    """Return rows on real chains, warm against cold: for information."""
    rows = []
    for size, kind in ((4, "factory"), (5, "RKP")):
        chosen = [
            row
            for row in recorded.android_chains()
            if isinstance(row.evidence, AndroidKeyChain)
            and len(row.evidence.chain) == size
            and (row.row["provisioning"] == "rkp") == (kind == "RKP")
            and is_p256(row)
            and row.expected.app is not None
        ][:PHONES]
        cold = recorded.trust()
        warm = replace(cold, issuers=BoundedIssuerCache())

        def work(trust: Trust) -> Work:
            return lambda r: verify(r.evidence, r.expected, trust, r.now)

        contenders = {"ours": work(warm), "ours, no issuer known": work(cold)}
        found = interleaved(contenders, [chosen] * (ROUNDS + 1))
        what = f"Android chain, {size} certificates ({kind}; real, met again), issuers known"
        rows += against(what, found)
    return rows


# Play Integrity


def measure_play_tokens() -> list[Row]:
    """Return the row on tokens that are decrypted locally."""
    google = GooglePlay(b"seed of the benchmark")
    binding = forge.BINDING
    digest = base64url.encode(forge.SIGNER)
    count = iter(range(PHONES * (ROUNDS + 1)))

    def make() -> bytes:
        payload = {
            "requestDetails": {
                "requestPackageName": forge.PACKAGE,
                "requestHash": base64url.encode(binding),
                "timestampMillis": str(int(forge.NOW.timestamp() * 1000) - next(count)),
            },
            "appIntegrity": {
                "appRecognitionVerdict": "PLAY_RECOGNIZED",
                "packageName": forge.PACKAGE,
                "certificateSha256Digest": [digest],
                "versionCode": "42",
            },
            "deviceIntegrity": {
                "deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"],
                "deviceAttributes": {"sdkVersion": 36},
            },
            "accountDetails": {"appLicensingVerdict": "LICENSED"},
            "environmentDetails": {"playProtectVerdict": "NO_ISSUES"},
        }
        return google.issue(payload).encode()

    keys = PlayKeys(google.decryption_key, google.verification_key)
    trust = replace(forge.trust(), play_keys={forge.PACKAGE: keys})
    expected = Expected(binding, forge.ANDROID_APP)
    key = load_der_public_key(google.verification_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)

    contenders: dict[str, Work] = {
        "ours": lambda token: verify(PlayIntegrityToken(token), expected, trust, forge.NOW),
        "floor": lambda token: floors.play_token(
            token, google.decryption_key, key, forge.PACKAGE, binding, forge.NOW
        ),
    }
    found = interleaved(contenders, rounds(make))
    return against("Play Integrity token (the lab's), decrypted here", found, {"floor": 1.4})


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal is missed."""
    warnings.simplefilter("ignore")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if not peers.are_installed():
        print("pyattest or py_webauthn isn't installed: their rows are left out")
    if not recorded.are_here():
        print("the recorded evidence isn't here: rows on real evidence are left out")
    real = recorded.are_here()
    rows = [
        *measure_app_attest(),
        *(measure_receipts() if real else []),
        *measure_assertions(),
        *measure_remote_chains(),
        *(measure_recorded_chains() if real else []),
        *measure_play_tokens(),
    ]
    if not write_report("attestation", rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
