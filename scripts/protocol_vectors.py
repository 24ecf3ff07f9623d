"""Write docs/protocol-vectors.json: one enrolment on each platform and proofs of requests, byte by byte.

Everything comes from fixed seeds, so that the file changes only when the protocol does (ECDSA
signatures made with a random nonce aside: the vectors hold one that verifies).
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from scripts.pin_vectors import pin_vectors

from watchword.broker.envelope import SecretContext, seal_secret, secret_info
from watchword.broker.interface import SecretValue
from watchword.client import proofs
from watchword.client.own_token import read_own_token
from watchword.client.statement import binding_of, build_statement
from watchword.encoding import base64url
from watchword.enrolment.service import pairwise_subject
from watchword.enrolment.statement import make_challenge
from watchword.gate import references
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.lab.keys import derive_key as derive_p256
from watchword.lab.keys import public_jwk, sign_message
from watchword.reasons import Reason, Refusal
from watchword.tokens import jose
from watchword.tokens.envelope import seal
from watchword.tokens.interface import TokenClaims
from watchword.tokens.proofs.session import derive_key
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level, Platform, Purpose

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
    """Return one enrolment, one renewal and one call for a secret of a simulated phone."""
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
        made = make_challenge(
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
            secret=SECRET_NAME if purpose is Purpose.SECRET else None,
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


@dataclass(frozen=True)
class FixedSigner:
    """Sign tokens by a fixed key, deterministically."""

    key: ec.EllipticCurvePrivateKey

    @property
    def kid(self) -> str:
        """Return the key's thumbprint."""
        return jose.thumbprint(public_jwk(self.key.public_key()))

    def sign(self, message: bytes) -> bytes:
        """Return r and s."""
        r, s = decode_dss_signature(sign_message(self.key, message))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


SEALED = {
    "P-256": (
        "BGK0AXxuOVp8PPmIQdIuhM9SpP6AKSd4ajDLzcvFYXFcZ5LfUrdKKoBfACCs5p_UfZj9Q3_clFRD"
        "Ve6TJmrqADhXITvKq8G2F7ERlrLfrdrQyn7V7yoEM8pvugZH-eA2LrmhHLjZF4D93S0MJc1mU_s"
    ),
    "X25519": (
        "qaU05D-P3rT6YGlLAQp_oocXfL8Cc8dCEevah2UbE3Ijeb2YijQMQ5y0BVsz6nPfwCrVFrZzNc7A"
        "LyLImCtLGu44EHSYhnmrcsAM_2dBsa8"
    ),
}
"""Session keys that were sealed once: each sealing has a fresh ephemeral key, so that they can't be made
again.  They open with the keys beside them; :func:`resealed` makes new ones."""


def sealing() -> tuple[bytes, str, dict[str, Any]]:
    """Return binding and session id of the sealed keys, and the private seal keys by curve."""
    binding = hashlib.sha256(b"watchword protocol vectors/a statement").digest()
    keys = {
        "P-256": derive_p256(key("seal"), "seal", ec.SECP256R1()),
        "X25519": X25519PrivateKey.from_private_bytes(key("seal-x25519")),
    }
    return binding, base64url.encode(key("sid")[:16]), keys


def seal_jwks() -> dict[str, dict[str, str]]:
    """Return the private seal keys as JWKs (RFC 7518 section 6.2, RFC 8037 section 2)."""
    keys = sealing()[2]
    p256, x25519 = keys["P-256"], keys["X25519"]
    private = p256.private_numbers().private_value.to_bytes(32, "big")
    return {
        "P-256": {**public_jwk(p256.public_key()), "d": base64url.encode(private)},
        "X25519": {
            "kty": "OKP",
            "crv": "X25519",
            "x": base64url.encode(x25519.public_key().public_bytes_raw()),
            "d": base64url.encode(x25519.private_bytes_raw()),
        },
    }


def resealed() -> dict[str, str]:
    """Return new sealed session keys, to be put into :data:`SEALED` when the key's derivation changes."""
    binding, session_id, _ = sealing()
    session_key = bytes.fromhex(proof_vectors()["session_key"]["key"])
    sealed = {}
    for curve, private in seal_jwks().items():
        public = {name: value for name, value in private.items() if name != "d"}
        sealed[curve] = base64url.encode(seal(session_key, public, binding, session_id))
    return sealed


SECRET_NAME = "push"
SECRET_VALUE = "wwk-push-0123456789abcdef-\N{LATIN SMALL LETTER E WITH ACUTE}"
SEALED_SECRETS = {
    "P-256": (
        "BBIFkT-BH4XMy9AgsZz3wVBif6SXSNr1Xghd_2iScPyxUFHJoQwgMiAp9Uil6p2qFGEpTBdYWjdT"
        "0xxEdsGrIr5vSqj7SLMZY4DBpsvjH3AxrwoM4sQW4QnMgzslehN9z3DT7EjCOL1KJWYaJA"
    ),
    "X25519": (
        "L5K92fkYCBHM5Bjc0O2cUQkmD35mWmJsGeKtYjy8gGhz4i48wYD9q44-wOOB_VIWofcP0Q4XvHtY"
        "YJ5AC9J1wJk3gZCW54ZW45lRmQ"
    ),
}
"""That secret, sealed once, as :data:`SEALED` is; :func:`resealed_secrets` seals it anew."""


def secret_context(binding: str) -> SecretContext:
    """Return what the sealed secrets are bound to.

    :param binding: of the iPhone's statement, in hex.
    """
    return SecretContext(
        binding=bytes.fromhex(binding),
        app="clinic-ios",
        name=SECRET_NAME,
        version=3,
        lease=base64url.encode(key("lease")[:16]),
        expires_at=int(NOW.timestamp()) + 3600,
    )


def resealed_secrets() -> dict[str, str]:
    """Return new sealed secrets, to be put into :data:`SEALED_SECRETS` when the info changes."""
    iphone = enrolment("genuine-iphone", LabAuthorities.from_seed(key("lab")))
    context = secret_context(iphone[Purpose.SECRET.value]["binding"])
    sealed = {}
    for curve, private in seal_jwks().items():
        public = {name: value for name, value in private.items() if name != "d"}
        sealed[curve] = base64url.encode(seal_secret(SecretValue(SECRET_VALUE), public, context))
    return sealed


def secret_vectors(binding: str) -> dict[str, Any]:
    """Return one delivery: what it is bound to, the info of that, and the sealed value for each kind of seal key."""
    context = secret_context(binding)
    return {
        "value": SECRET_VALUE,
        "binding": binding,
        "app": context.app,
        "name": context.name,
        "version": context.version,
        "lease": context.lease,
        "expires_at": context.expires_at,
        "info": secret_info(context).hex(),
        "keys": [
            {"seal_key": private, "sealed": SEALED_SECRETS[curve]}
            for curve, private in seal_jwks().items()
        ],
    }


REQUESTS = (
    ("GET", "api.clinic.example", "/v1/patients/7", "", None),
    ("GET", "api.clinic.example:8443", "/v1/r%C3%A9sum%C3%A9", "a=1&b=%2F", None),
    ("POST", "api.clinic.example", "/v1/patients", "", b'{"name":"Ada"}'),
    ("PUT", "api.clinic.example", "/v1/patients/7", "dry=1", b"\x00\xff"),
)
"""Method, authority, path, query and body of the proved requests."""


def proof_vectors() -> dict[str, Any]:
    """Return a token, the derivation of its session key, and proofs of requests with it."""
    binding, session_id, _ = sealing()
    device = derive_p256(key("proof"), "proof", ec.SECP256R1())
    signer = FixedSigner(derive_p256(key("token"), "token", ec.SECP256R1()))
    now = int(NOW.timestamp())
    claims = TokenClaims(
        issuer=ISSUER,
        audience=AUDIENCE,
        subject=pairwise_subject("AAAAAAAAAAAAAAAAAAAAAA", AUDIENCE, key("pairwise")),
        issued_at=now,
        expires_at=now + 300,
        token_id=base64url.encode(key("jti")[:16]),
        environment=Environment.PROD,
        app_id="clinic-ios",
        app_version="120",
        level=Level.HARDWARE,
        key=public_jwk(device.public_key()),
        session_id=session_id,
        epoch=7,
    )
    token = issue(claims, signer)
    own = read_own_token(token)
    session_key = derive_key(
        key("gate-secret"),
        issuer=ISSUER,
        audience=AUDIENCE,
        session_id=session_id,
        thumbprint=own.thumbprint,
    )
    rows = []
    for number, (method, authority, path, query, body) in enumerate(REQUESTS):
        digest = None if body is None else proofs.content_digest(body)
        covered = proofs.Covered("https", method, authority, path, query, digest)
        gate_nonce = base64url.encode(key("gate")[:22])[:30] if number == 1 else None
        fresh = proofs.Freshness(now, base64url.encode(key(f"nonce-{number}")[:16]), gate_nonce)

        def sign(message: bytes) -> bytes:
            return sign_message(device, message)

        rows.append(
            {
                "method": method,
                "host": authority,
                "path": path,
                "query": query,
                "body": None if body is None else body.hex(),
                "content_digest": digest,
                "gate_nonce": gate_nonce,
                "session": proofs.session_proof(covered, token, own, session_key, fresh),
                "device": proofs.device_proof(covered, token, own, sign, fresh),
                "dpop": proofs.dpop_proof(covered, token, own, sign, fresh),
            }
        )
    return {
        "token": token,
        "token_key": public_jwk(signer.key.public_key()),
        "created": now,
        "session_key": {
            "gate_secret": key("gate-secret").hex(),
            "epoch": claims.epoch,
            "sid": session_id,
            "thumbprint": own.thumbprint,
            "key": session_key.hex(),
        },
        "sealed": {
            "binding": binding.hex(),
            "sid": session_id,
            "keys": [
                {"seal_key": private, "sealed": SEALED[curve]}
                for curve, private in seal_jwks().items()
            ],
        },
        "requests": rows,
    }


def vectors() -> dict[str, Any]:
    """Return everything that the file holds."""
    authorities = LabAuthorities.from_seed(key("lab"))
    nonce = FixedEntropy("reference").token_bytes(references.NONCE_BYTES)
    refusals = (Refusal(Reason.TOKEN_EXPIRED, "not part of the reference"),)
    kinds = ("genuine-iphone", "genuine-android")
    enrolments = [enrolment(kind, authorities) for kind in kinds]
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
        "enrolments": enrolments,
        "subject": {
            "instance": "AAAAAAAAAAAAAAAAAAAAAA",
            "audience": AUDIENCE,
            "subject": pairwise_subject("AAAAAAAAAAAAAAAAAAAAAA", AUDIENCE, key("pairwise")),
        },
        "reference": {"ref": reference, "reasons": ["token.expired"], "route": "clinic[1] /**"},
        "proofs": proof_vectors(),
        "secret": secret_vectors(enrolments[0][Purpose.SECRET.value]["binding"]),
        "pins": pin_vectors(lambda name: derive_p256(key("pins"), name, ec.SECP256R1())),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {TARGET}")
