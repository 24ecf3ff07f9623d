"""Load evidence that was recorded on real devices, where it lies beside the project.

It isn't part of the project and nothing of it is copied.  Read independently of the verifier's own
``watchword verify``, so that a mistake there doesn't hide in a test.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.attestation import forge

from watchword.adapters.revocation import load_status_lists
from watchword.attestation.interface import (
    AndroidApp,
    AndroidKeyChain,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Attestation,
    Expected,
    IssuerCache,
    Trust,
)
from watchword.ports import Anchor
from watchword.vocabulary import AppAttestEnvironment, Distribution

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation"
ANDROID, APPLE = VECTORS / "android", VECTORS / "apple"

APPLE_SAMPLE_OF_27 = "apple-appattest-e4ca508153f6"
"""Apple's own sample of 2026, of an app that was built into a system."""


@dataclass(frozen=True)
class Recorded:
    """Hold one attestation with what it was made for, and the instant at which it was good."""

    id: str
    evidence: Attestation
    expected: Expected
    now: datetime
    row: Mapping[str, Any]


@dataclass(frozen=True)
class RecordedAssertion:
    """Hold one assertion whose key and client data are known; ``statement`` is what was hashed, if known."""

    id: str
    assertion: bytes
    client_data_hash: bytes
    public_key: bytes
    app: AppRegistration
    statement: bytes | None


def are_here() -> bool:
    """Tell whether the recorded evidence lies beside the project."""
    return VECTORS.is_dir()


@cache
def rows(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of a folder."""
    return tuple(json.loads((folder / "index.json").read_text()))


def pem_chain(row: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return a chain as DER; split by hand, since ``cryptography`` can't read all of them."""
    text = (ANDROID / row["file"]).read_text()
    blocks = text.split("-----BEGIN CERTIFICATE-----")[1:]
    return tuple(base64.b64decode(block.split("-----END")[0]) for block in blocks)


@cache
def android_chains() -> tuple[Recorded, ...]:
    """Return the chains that an independent parser and policy accepted."""
    return tuple(
        _android(row)
        for row in rows(ANDROID)
        if row["kind"] == "android-key-attestation" and row["computed_verdict"]["accept"]
    )


def _android(row: Mapping[str, Any]) -> Recorded:
    expected = row["expected"]
    named = expected["softwareEnforced"].get("attestationApplicationId")
    app = None
    if named:
        digests = frozenset(map(bytes.fromhex, named["signatureDigests"]))
        app = AppRegistration(row["id"], AndroidApp(named["packages"][0]["name"], digests))
    binding = bytes.fromhex(expected["attestationChallenge"])
    instant = datetime.fromisoformat(row["valid_at"])
    evidence = AndroidKeyChain(pem_chain(row))
    return Recorded(row["id"], evidence, Expected(binding, app), instant, row)


def appraised_at(recorded: Recorded) -> datetime:
    """Return an instant that is no earlier than the system on the phone.

    Where neither phone nor source recorded a time, ``valid_at`` is when the certificates begin, and a
    system of months later would come from the future.
    """
    hardware = recorded.row["expected"].get("hardwareEnforced") or {}
    year, month = divmod(hardware.get("osPatchLevel", 197001), 100)
    return max(recorded.now, datetime(year, month, 1, tzinfo=UTC))


@cache
def app_attest_attestations() -> tuple[Recorded, ...]:
    """Return all App Attest attestations; each was recorded on a genuine device."""
    return tuple(_apple(row) for row in rows(APPLE) if row["kind"] == "app-attest-attestation")


def _apple(row: Mapping[str, Any]) -> Recorded:
    environment = AppAttestEnvironment[row["expected"]["environment"].upper()]
    evidence = AppAttestAttestation(
        (APPLE / row["file"]).read_bytes(), base64.b64decode(row["expected"]["key_id"])
    )
    binding = (
        _hash(row["challenge"], "value")
        if row["challenge"]
        else bytes.fromhex(row["client_data_hash"])
    )
    expected = Expected(binding, AppRegistration(row["id"], _apple_app(row, environment)))
    return Recorded(row["id"], evidence, expected, receipt_made_at(row), row)


def receipt_made_at(row: Mapping[str, Any]) -> datetime:
    """Return when an attestation's receipt was made: when the device attested, and no earlier.

    ``valid_at`` is an hour after the leaf begins, which is a day before.
    """
    receipt = row["expected"].get("receipt") or {}
    return datetime.fromisoformat(receipt.get("creation_time", row["valid_at"]))


@cache
def assertions() -> tuple[RecordedAssertion, ...]:
    """Return the assertions whose key and client data are known."""
    return tuple(
        RecordedAssertion(
            row["id"],
            (APPLE / row["file"]).read_bytes(),
            _hash(row["verified_with"], "client_data"),
            base64.b64decode(row["verified_with"]["public_key_spki"]),
            AppRegistration(row["id"], _apple_app(row, AppAttestEnvironment.PRODUCTION)),
            _statement(row["verified_with"]),
        )
        for row in rows(APPLE)
        if row["kind"] == "app-attest-assertion" and row["verified_with"]
    )


def _statement(known: Mapping[str, Any]) -> bytes | None:
    return None if known["client_data_hash"] == "raw" else _decoded(known, "client_data")


def decoded_client_data(row: Mapping[str, Any]) -> bytes:
    """Return the client data of a WebAuthn statement, empty where none was recorded."""
    text = row.get("client_data_json") or ""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def challenge(row: Mapping[str, Any]) -> bytes:
    """Return the recorded challenge itself, of which the client data hash was made."""
    return _decoded(row["challenge"], "value")


def _apple_app(row: Mapping[str, Any], environment: AppAttestEnvironment) -> AppleApp:
    team_id, _, bundle_id = row["app_id"].partition(".")
    # Apple's own sample of 2026 was built into a system: who takes such a build must list it.
    built_in = row["id"] == APPLE_SAMPLE_OF_27
    ways = frozenset({Distribution.OPERATING_SYSTEM} if built_in else ())
    return AppleApp(team_id, bundle_id, environment, distribution=ways)


def _decoded(recorded: Mapping[str, Any], member: str) -> bytes:
    text: str = recorded[member]
    if recorded["encoding"] == "utf8":
        return text.encode()
    if recorded["encoding"] == "hex":
        return bytes.fromhex(text)
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _hash(recorded: Mapping[str, Any], member: str) -> bytes:
    data = _decoded(recorded, member)
    return data if recorded["client_data_hash"] == "raw" else hashlib.sha256(data).digest()


def trust(issuers: IssuerCache | None = None) -> Trust:
    """Return trust in the vendors' real roots and in the recorded status lists."""
    anchors = [
        *(_anchor("android-key", pem.encode()) for pem in _google_roots()),
        _anchor("apple-app-attest", (APPLE / "Apple_App_Attestation_Root_CA.pem").read_bytes()),
        *_receipt_anchors(),
    ]
    status = load_status_lists(sorted(ANDROID.glob("status-*.json")))
    return Trust(forge.Anchors(anchors), status, issuers)


def _google_roots() -> list[str]:
    roots: list[str] = json.loads((ANDROID / "roots.json").read_text())
    return roots


def _receipt_anchors() -> list[Anchor]:
    """Return Apple's general root, under which receipts are signed."""
    root = x509.load_der_x509_certificate((APPLE / "AppleRootCA-G3.cer").read_bytes())
    return [_anchor("apple-receipt", root.public_bytes(Encoding.PEM))]


def _anchor(vendor: str, pem: bytes) -> Anchor:
    root = x509.load_pem_x509_certificate(pem)
    key = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Anchor(f"recorded {vendor}", vendor, "production", key, root.subject.public_bytes())
