"""Evidence of real devices: each is recorded, replays to the same result, and no identifier is kept.

The recorded evidence isn't part of the project; these tests run where it lies beside it.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps import recording_lab as lab

from watchword.apps.evidence.files import read_anchors, read_certificates, with_packaged
from watchword.apps.evidence.records import record_from_line
from watchword.apps.evidence.replay import Conditions, replay
from watchword.encoding import base64url
from watchword.vocabulary import Vendor

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation" / "android"

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")

UNIQUE = ("serial", "imei", "meid", "secondImei", "713", "714", "715", "723", "uniqueId")


def identifiers(value: Any) -> Iterator[str]:
    """Yield the identifiers of a device in recorded fields, as hex or text."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in UNIQUE and isinstance(inner, str) and inner:
                yield inner
            yield from identifiers(inner)


def test_real_chains_are_recorded_and_replay_to_the_same() -> None:
    """All of them, whatever comes out; those that identify their device are withheld."""
    anchors = tuple(
        with_packaged(
            read_anchors(VECTORS / "roots.json", [Vendor.ANDROID_KEY]), replace_production=True
        ).for_vendor(Vendor.ANDROID_KEY)
    )
    rows = json.loads((VECTORS / "index.json").read_text())
    forms: dict[str, int] = {}
    secrets = 0
    for row in rows:
        if row["kind"] != "android-key-attestation":
            continue
        chain = read_certificates(VECTORS / row["file"])
        evidence = {"format": "android-key", "chain": [base64url.encode(der) for der in chain]}
        at = datetime.fromisoformat(row["valid_at"])
        line = lab.appraised_line(evidence, lab.ANDROID, anchors=anchors, at=at)
        record = record_from_line(line)
        found = replay(record, Conditions(anchors))
        assert found.differences == (), row["id"]
        forms[record.evidence.form] = forms.get(record.evidence.form, 0) + 1
        kept = b"".join(
            base64url.decode(der, limit=2**16) for der in record.evidence.members.get("chain", [])
        )
        for secret in identifiers(row.get("expected") or {}):
            secrets += 1
            assert secret.encode() not in line, row["id"]
            assert secret.encode().hex().encode() not in line, row["id"]
            assert secret.encode() not in kept, row["id"]
            assert not _is_hex(secret) or bytes.fromhex(secret) not in kept, row["id"]
    assert sum(forms.values()) == 179
    assert forms["wire"] > 150
    assert forms["withheld"] > 0
    assert secrets > 0


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and all(char in "0123456789abcdef" for char in text)
