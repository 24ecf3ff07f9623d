"""Anchors: the vendors' are those that others ship, the lab's stay in the lab."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from watchword.adapters.anchors import (
    AnchorsError,
    packaged_anchors,
    read_lab_anchors,
    trusted_anchors,
)
from watchword.ports import Anchor
from watchword.vocabulary import Environment

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation"
ROW = {"name": "lab root", "vendor": "android-key", "spki": "c3BraQ==", "subject": "c3Viag=="}


def read(document: Any) -> tuple[Anchor, ...]:
    """Read a file of the lab."""
    return read_lab_anchors(json.dumps(document).encode(), "anchors.json")


def test_packaged_anchors_are_keys_under_their_vendors() -> None:
    """Apple's two roots, Google's two, and the two software roots, each a loadable key with a name."""
    anchors = packaged_anchors()
    assert [(anchor.vendor, anchor.kind) for anchor in anchors] == [
        ("apple-app-attest", "production"),
        ("apple-receipt", "production"),
        ("android-key", "production"),
        ("android-key", "production"),
        ("android-key", "software"),
        ("android-key", "software"),
    ]
    for anchor in anchors:
        key = load_der_public_key(anchor.spki)
        encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert encoded == anchor.spki
        assert anchor.subject[:1] == b"\x30"


def test_packaged_keys_are_pinned() -> None:
    """A changed anchor is noticed here before anybody trusts it."""
    digests = {
        anchor.name: hashlib.sha256(anchor.spki).hexdigest()[:16] for anchor in packaged_anchors()
    }
    assert digests["google-rsa4096-f92009e853b6b045"] == "feb2ea7551ee316e"
    assert digests["google-ecdsa-p384-2025"] == "3ee44512a1af2beb"
    assert digests["apple-root-g3"] == "9b219d0fbff36a5f"


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")
def test_packaged_keys_are_those_of_the_recorded_roots() -> None:
    """Google's published list and Apple's two roots, from another source, have the same keys."""
    texts = json.loads((VECTORS / "android" / "roots.json").read_text())
    texts.append((VECTORS / "apple" / "Apple_App_Attestation_Root_CA.pem").read_text())
    roots = [x509.load_pem_x509_certificate(text.encode()) for text in texts]
    third = (VECTORS / "apple" / "AppleRootCA-G3.cer").read_bytes()
    recorded = set()
    for root in (*roots, x509.load_der_x509_certificate(third)):
        spki = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        recorded.add((spki, root.subject.public_bytes()))
    packaged = packaged_anchors()
    assert recorded == {(a.spki, a.subject) for a in packaged if a.kind == "production"}


def test_trust_by_vendor() -> None:
    """Packaged anchors are trusted on request, those of the lab beside them."""
    anchors = read({"kind": "lab", "anchors": [ROW, {**ROW, "kind": "software"}]})
    both = trusted_anchors(packaged=True, lab=anchors, environment=Environment.LAB)
    assert len(both.for_vendor("android-key")) == 6
    assert len(both.for_vendor("apple-app-attest")) == 1
    assert both.for_vendor("other") == ()
    lab = trusted_anchors(packaged=False, lab=anchors, environment=Environment.LAB)
    assert [a.kind for a in lab.for_vendor("android-key")] == ["lab", "software"]
    assert lab.for_vendor("android-key")[0].spki == b"spki"


def test_lab_anchors_are_refused_in_production() -> None:
    """Simulated phones can't enrol in production, whatever the configuration says."""
    anchors = read({"kind": "lab", "anchors": [ROW]})
    with pytest.raises(AnchorsError, match="environment: lab"):
        trusted_anchors(packaged=True, lab=anchors, environment=Environment.PROD)
    production = trusted_anchors(packaged=True, lab=(), environment=Environment.PROD)
    assert len(production.for_vendor("android-key")) == 4


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"kind": "production", "anchors": [ROW]},
        {"kind": "lab", "anchors": ROW},
        {"kind": "lab", "anchors": ["text"]},
        {"kind": "lab", "anchors": [{**ROW, "kind": "production"}]},
        {"kind": "lab", "anchors": [{**ROW, "vendor": "tls"}]},
        {"kind": "lab", "anchors": [{**ROW, "vendor": []}]},
        {"kind": "lab", "anchors": [{**ROW, "spki": "not base64!"}]},
        {"kind": "lab", "anchors": [{**ROW, "spki": 1}]},
        {"kind": "lab", "anchors": [{"name": "x"}]},
    ],
)
def test_files_that_are_no_anchors(document: Mapping[str, Any]) -> None:
    """A file that is wrong anywhere loads nothing, and can't promote itself to production."""
    with pytest.raises(AnchorsError):
        read(document)


def test_base64_of_the_packaged_file_is_canonical() -> None:
    """The data file holds each key once."""
    keys = [base64.b64encode(anchor.spki) for anchor in packaged_anchors()]
    assert len(set(keys)) == len(keys) == 6
