"""Write docs/protocol-vectors.json: one enrolment on each platform, seen byte by byte.

Everything comes from fixed seeds, so that the file changes only when the protocol does (ECDSA
signatures made with a random nonce aside: the vectors hold one that verifies).
"""

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watchword.client.statement import binding_of, build_statement
from watchword.encoding import base64url
from watchword.enrolment import challenge
from watchword.enrolment.subjects import pairwise_subject
from watchword.gate import references
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform, Purpose

TARGET = Path(__file__).parents[1] / "docs" / "protocol-vectors.json"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ISSUER, AUDIENCE = "https://attest.clinic.example", "https://api.clinic.example"
TEAM, BUNDLE, PACKAGE = "ABCDE12345", "com.example.clinic", "com.example.clinic"
DIGEST = bytes(range(32))


class FixedEntropy:
    """Give bytes that depend on how often it was asked."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._asked = 0

    def token_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        self._asked += 1
        stream = hashlib.shake_256(f"{self._label}/{self._asked}".encode())
        return stream.digest(count)


class FixedClock:
    """Stand still."""

    def now(self) -> datetime:
        """Return the instant of the vectors."""
        return NOW

    def timestamp(self) -> float:
        """Return it as seconds."""
        return NOW.timestamp()


def key(label: str) -> bytes:
    """Return a throw-away key of the vectors."""
    return hashlib.sha256(f"watchword protocol vectors/{label}".encode()).digest()


def enrolment(kind: str, authorities: LabAuthorities) -> dict[str, Any]:
    """Return one enrolment and one renewal of a simulated phone."""
    model = PHONES[kind]
    app: InstalledIosApp | InstalledAndroidApp = (
        InstalledIosApp(TEAM, BUNDLE, "120")
        if model.platform is Platform.IOS
        else InstalledAndroidApp(PACKAGE, (DIGEST,), 120)
    )
    phone = model.build(app, PhoneSetup(authorities, FixedClock(), name="vectors"))
    phone.create_keys()
    row: dict[str, Any] = {"kind": kind, "platform": model.platform.value}
    for purpose in Purpose:
        made = challenge.make(
            app=f"clinic-{model.platform.value}",
            purpose=purpose,
            issuer=ISSUER,
            key=key("challenge"),
            now=NOW,
            entropy=FixedEntropy(f"{kind}/{purpose}"),
        )
        statement = build_statement(
            purpose=purpose,
            issuer=ISSUER,
            audiences=[AUDIENCE],
            app=f"clinic-{model.platform.value}",
            challenge=base64url.encode(made),
            proof_jwk=phone.proof_jwk,
            seal_jwk=phone.seal_jwk,
        )
        evidence = (
            phone.attest(binding_of(statement))
            if purpose is Purpose.ENROL
            else phone.renew(statement)
        )
        row[purpose.value] = {
            "challenge": base64url.encode(made),
            "statement": base64url.encode(statement),
            "binding": binding_of(statement).hex(),
            "evidence": evidence,
        }
    return row


def vectors() -> dict[str, Any]:
    """Return everything that the file holds."""
    authorities = LabAuthorities.from_seed(key("lab"))
    nonce = FixedEntropy("reference").token_bytes(references.NONCE_BYTES)
    refusals = (Refusal(Reason.TOKEN_EXPIRED, "not part of the reference"),)
    reference = references.seal(refusals, "clinic[1] /**", NOW.timestamp(), key("reference"), nonce)
    return {
        "now": NOW.isoformat(),
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "apps": {
            "clinic-ios": {"team_id": TEAM, "bundle_id": BUNDLE},
            "clinic-android": {"package": PACKAGE, "signing_digests": [DIGEST.hex()]},
        },
        "keys": {name: key(name).hex() for name in ("challenge", "pairwise", "reference")},
        "anchors": [
            {
                "name": anchor.name,
                "vendor": anchor.vendor,
                "spki": base64.b64encode(anchor.spki).decode(),
                "subject": base64.b64encode(anchor.subject).decode(),
            }
            for anchor in authorities.anchors()
            if anchor.kind == "lab"
        ],
        "enrolments": [
            enrolment(kind, authorities) for kind in ("genuine-iphone", "genuine-android")
        ],
        "subject": {
            "instance": "AAAAAAAAAAAAAAAAAAAAAA",
            "audience": AUDIENCE,
            "subject": pairwise_subject("AAAAAAAAAAAAAAAAAAAAAA", AUDIENCE, key("pairwise")),
        },
        "reference": {"ref": reference, "reasons": ["token.expired"], "route": "clinic[1] /**"},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {TARGET}")
