"""Make seeds: evidence as vendors write it, with keys of this run, and nothing of any vendor's."""

import hashlib
import json
from collections.abc import Iterator
from functools import cache

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ObjectIdentifier
from tests.unit.attestation import forge

from watchword.apps.evidence.records import app_to_document, claims_to_document
from watchword.attestation.interface import Expected, PlayKeys, Trust
from watchword.attestation.registry import examine
from watchword.lab import apple as apple_systems
from watchword.lab.google_play import GooglePlay
from watchword.ports import Anchor

_SIGNER_MARKER = ObjectIdentifier("1.2.840.113635.100.12.15")
_OIDS = {
    "signed data": bytes.fromhex("06092a864886f70d010702"),
    "data": bytes.fromhex("06092a864886f70d010701"),
    "sha256": bytes.fromhex("300b0609608648016503040201"),
    "ecdsa": bytes.fromhex("300a06082a8648ce3d040302"),
    "content type": bytes.fromhex("06092a864886f70d010903"),
    "message digest": bytes.fromhex("06092a864886f70d010904"),
}


@cache
def google() -> forge.Google:
    """Return the Google of this run."""
    return forge.google()


@cache
def apple() -> forge.Apple:
    """Return the Apple of this run."""
    return forge.apple()


@cache
def play() -> GooglePlay:
    """Return the Google Play of this run; its keys are derived, so that its tokens stay the same."""
    return GooglePlay(b"seed of the fuzzed tokens")


@cache
def _receipt_signer() -> tuple[forge.Party, forge.Party, forge.Party]:
    root = forge.certify(forge.name(common_name="Apple Root CA - G3"), None)
    issuer = forge.certify(forge.name(common_name="Apple Application Integration CA 5"), root)
    name = forge.name(common_name="Application Attestation Fraud Receipt Signing")
    marker = [(_SIGNER_MARKER, b"\x05\x00")]
    signer = forge.certify(name, issuer, ca=False, signs=False, extensions=marker)
    return signer, issuer, root


@cache
def trust() -> Trust:
    """Return trust in all vendors of this run."""
    anchors: list[Anchor] = [google().anchor, apple().anchor]
    anchors.append(_receipt_signer()[2].anchor("apple-receipt"))
    found = forge.trust(*anchors, revoked={})
    keys = PlayKeys(play().decryption_key, play().verification_key)
    return Trust(found.anchors, found.revocation, None, {forge.PACKAGE: keys})


def certificates() -> Iterator[bytes]:
    """Yield certificates."""
    yield from google().evidence().chain
    yield google().leaf(key=forge.mldsa_key()).der
    yield forge.remote_google().attester.der
    yield apple().intermediate.der


def descriptions() -> Iterator[bytes]:
    """Yield KeyDescriptions."""
    yield forge.key_description()
    yield forge.key_description(version=3, levels=(2, 2), unique_id=b"u" * 16)
    backwards = dict(reversed(forge.hardware_tags().items()))
    yield forge.key_description(hardware=backwards)
    yield forge.key_description(hardware=forge.hardware_tags(tag_704=forge.root_of_trust(state=1)))
    identifiers = {number: forge.tlv(0x04, b"name") for number in (710, 713, 714, 716, 717, 723)}
    yield forge.key_description(software={**identifiers, 709: forge.application_id()})


def authenticators() -> Iterator[bytes]:
    """Yield authenticator data, and an assertion with some."""
    key = forge.p256()
    trailing = cbor2.dumps(
        {"apple_bundle_version_01": "1", "apple_validation_category_01": b"\0" * 4}
    )
    yield forge.authenticator_data(key)
    yield forge.authenticator_data(key, trailing=trailing)
    yield forge.authenticator_data(None, counter=7, trailing=trailing)
    yield forge.assertion(key, b"statement")


def objects() -> Iterator[bytes]:
    """Yield attestation objects and an assertion."""
    yield apple().evidence(receipt=next(receipts())).attestation
    yield apple().evidence(receipt=b"").attestation
    yield forge.assertion(forge.p256(), b"statement")


def apple_extensions() -> Iterator[bytes]:
    """Yield extensions of Apple's leaves: of phones, an iPad and Macs."""
    for name, device_class in ((b"iphoneos", 2), (b"iphoneos", 0), (b"macosx", None), (None, 2)):
        yield forge.apple_system(name, device_class=device_class)
    for listed in (
        apple_systems.IPHONE_KEY,
        apple_systems.SEALED_MAC_KEY,
        apple_systems.OPEN_MAC_KEY,
    ):
        yield forge.apple_key_access(listed)


def values() -> Iterator[bytes]:
    """Yield CBOR."""
    for value in (0, -1, 2**40, b"bytes", "text", [1, [2, {"a": None}]], {1: True, "b": False}):
        yield cbor2.dumps(value)


def chains() -> Iterator[bytes]:
    """Yield Android chains, joined."""
    yield join(google().evidence().chain)
    yield join(google().evidence(root=False).chain)


def members() -> Iterator[bytes]:
    """Yield evidence as JSON."""
    yield b'{"format":"android-key","chain":["MAA","MAA"]}'
    yield b'{"attestation":"oA","key_id":"AAAA"}'
    yield b'{"assertion":"oA"}'
    yield b'{"signature":"MAA"}'
    yield b'{"token":"a.b.c.d.e"}'


def receipts() -> Iterator[bytes]:
    """Yield receipts: with and without attributes, in BER with indefinite lengths and in DER."""
    fields = {2: b"TEAM123456.org.example.clinic", 3: b"key", 4: b"c" * 32, 6: b"ATTEST"}
    fields |= {12: b"2026-11-01T12:00:00.5Z", 21: b"2027-01-30T12:00:00Z"}
    yield _signed(_receipt_content(fields), attributes=True, indefinite=True)
    fields |= {6: b"RECEIPT", 17: b"3", 19: b"2026-11-02T12:00:00Z"}
    yield _signed(_receipt_content(fields), attributes=False, indefinite=False)
    yield _signed(_receipt_content(fields), attributes=True, indefinite=False)


def _receipt_content(fields: dict[int, bytes]) -> bytes:
    entries = (
        forge.tlv(0x30, forge.integer(number), forge.integer(1), forge.tlv(0x04, value))
        for number, value in fields.items()
    )
    return forge.tlv(0x31, *entries)


def _signed(content: bytes, *, attributes: bool, indefinite: bool) -> bytes:
    """Return signed data around a content (RFC 5652)."""
    signer, issuer, root = _receipt_signer()
    tags, signed = b"", content
    if attributes:
        digest = hashlib.sha256(content).digest()
        found = (
            forge.tlv(0x30, _OIDS["content type"], forge.tlv(0x31, _OIDS["data"])),
            forge.tlv(0x30, _OIDS["message digest"], forge.tlv(0x31, forge.tlv(0x04, digest))),
        )
        tags, signed = forge.tlv(0xA0, *found), forge.tlv(0x31, *sorted(found))
    assert hasattr(signer.key, "curve")
    signature = signer.key.sign(signed, ECDSA(SHA256()))  # type: ignore[call-arg, arg-type]
    certificate = signer.certificate
    serial = forge.integer(certificate.serial_number)
    name = forge.tlv(0x30, certificate.issuer.public_bytes(), serial)
    info = (forge.integer(1), name, _OIDS["sha256"], tags, _OIDS["ecdsa"])
    signers = forge.tlv(0x31, forge.tlv(0x30, *info, forge.tlv(0x04, signature)))
    enclosed = forge.tlv(0xA0, signer.der, issuer.der, root.der)
    wrap = _indefinite if indefinite else forge.tlv
    if indefinite:
        halves = (forge.tlv(0x04, content[:40]), forge.tlv(0x04, content[40:]))
        octets = _indefinite(0x24, *halves)
    else:
        octets = forge.tlv(0x04, content)
    inner = wrap(0x30, _OIDS["data"], wrap(0xA0, octets))
    digests = forge.tlv(0x31, _OIDS["sha256"])
    data = wrap(0x30, forge.integer(1), digests, inner, enclosed, signers)
    return wrap(0x30, _OIDS["signed data"], wrap(0xA0, data))


def _indefinite(tag: int | bytes, *contents: bytes) -> bytes:
    """Return an element whose end is marked instead of its length."""
    assert isinstance(tag, int)
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


def payloads() -> Iterator[bytes]:
    """Yield payloads of Play Integrity verdicts, and JSON Web Signatures over them."""
    request = {"requestPackageName": forge.PACKAGE, "timestampMillis": "1793534400000"}
    app = {
        "appRecognitionVerdict": "PLAY_RECOGNIZED",
        "packageName": forge.PACKAGE,
        "certificateSha256Digest": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
        "versionCode": "42",
    }
    device = {
        "deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"],
        "deviceAttributes": {"sdkVersion": 36},
        "recentDeviceActivity": {"deviceActivityLevel": "LEVEL_1"},
        "deviceRecall": {"values": {"bitFirst": True}, "writeDates": {"yyyymmFirst": 202610}},
    }
    environment = {
        "appAccessRiskVerdict": {"appsDetected": ["KNOWN_INSTALLED"]},
        "playProtectVerdict": "NO_ISSUES",
    }
    for bound in ("nonce", "requestHash"):
        payload = {
            "requestDetails": {**request, bound: "AAAA"},
            "appIntegrity": app,
            "deviceIntegrity": device,
            "accountDetails": {"appLicensingVerdict": "LICENSED"},
            "environmentDetails": environment,
        }
        text = json.dumps(payload, separators=(",", ":")).encode()
        yield text
        yield play().sign(text)


def tokens() -> Iterator[bytes]:
    """Yield Play Integrity tokens."""
    for payload in payloads():
        yield play().encrypt(payload).encode()


def status_lists() -> Iterator[bytes]:
    """Yield status lists in the form of Google's."""
    entries = {
        "c35747a084470c3135aeefe2b8d40cd6": {"status": "REVOKED", "reason": "KEY_COMPROMISE"},
        "7": {"status": "SUSPENDED", "expires": "2027-11-01", "comment": "for tests"},
    }
    yield json.dumps({"entries": entries}).encode()
    yield b'{"entries":{}}'


def documents() -> Iterator[bytes]:
    """Yield claims, apps and policies as documents."""
    expected = Expected(forge.BINDING, forge.ANDROID_APP)
    found = examine(google().evidence(), expected, trust(), forge.NOW)
    assert found.claims is not None
    yield json.dumps(claims_to_document(found.claims)).encode()
    yield json.dumps(app_to_document(forge.ANDROID_APP)).encode()
    yield json.dumps(app_to_document(forge.APPLE_APP)).encode()
    yield b'{"base":"strict","without":["patch_level"],"unchecked":["patch_levels"]}'
    yield b'{"base":"none","levels":{"hardware":{"all":["verified_boot",{"any":["key_origin"]}]},"software":"off"}}'


def split(data: bytes) -> tuple[bytes, ...]:
    """Return the parts of an input, each behind its size in two bytes; the last may be cut off."""
    parts: list[bytes] = []
    at = 0
    while at + 2 <= len(data) and len(parts) < 16:
        size = int.from_bytes(data[at : at + 2], "big")
        parts.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return tuple(parts)


def join(parts: tuple[bytes, ...]) -> bytes:
    """Return an input that :func:`split` takes apart."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)
