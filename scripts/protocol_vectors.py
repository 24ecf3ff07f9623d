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
from watchword.encoding import base64url, strict_json
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
            "id": f"{purpose.value}-{kind}",
            "rules": [
                "ST1",
                "ST3",
                "ST4",
                "ST6",
                "CH2",
                "EN1",
                *([] if purpose is Purpose.ENROL else ["ST5"]),
            ],
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


OPTIONAL = {"X25519": {"by": "optional"}}
"""Seal keys that a client may have or not."""


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
            {
                "id": f"secret-{curve.lower()}",
                "rules": ["SE2", "ST10"],
                **OPTIONAL.get(curve, {}),
                "seal_key": private,
                "sealed": SEALED_SECRETS[curve],
            }
            for curve, private in seal_jwks().items()
        ],
    }


HOST = "api.clinic.example"
REQUESTS: dict[str, tuple[str, str, str, bytes | None, str]] = {
    "get": ("GET", HOST, "/v1/patients/7", None, ""),
    "get-query": ("GET", f"{HOST}:8443", "/v1/r%C3%A9sum%C3%A9?a=1&b=%2F", None, "PR10 PR11 PR15"),
    "post": ("POST", HOST, "/v1/patients", b'{"name":"Ada"}', "PR7"),
    "put": ("PUT", HOST, "/v1/patients/7?dry=1", b"\x00\xff", "PR7"),
    "host-ipv6": ("GET", "[2001:db8::1]:8443", "/v1/patients", None, "PR10"),
    "host-ipv6-upper": ("GET", "[2001:DB8::A]", "/v1/patients", None, "PR10"),
    "host-default-port": ("GET", f"{HOST}:443", "/v1/patients", None, "PR10"),
    "host-upper": ("GET", "API.Clinic.Example", "/v1/patients", None, "PR10"),
    "host-final-dot": ("GET", f"{HOST}.", "/v1/patients", None, "PR10"),
    "target-root": ("GET", HOST, "/", None, "PR11"),
    "target-slash-encoded": ("GET", HOST, "/v1/files/a%2Fb%2e%2E", None, "PR11"),
    "target-case-of-escapes": ("GET", HOST, "/v1/%c3%A9", None, "PR11"),
    "target-lone-mark": ("GET", HOST, "/v1/patients?", None, "PR11"),
    "target-marks-in-query": ("GET", HOST, "/v1/patients?a=?&b=/?", None, "PR11"),
    "target-dots": ("GET", HOST, "/v1/../v1/./patients", None, "PR11"),
    "target-double-slash": ("GET", HOST, "//v1//patients/", None, "PR11"),
    "target-reserved": ("GET", HOST, "/v1/a;b=c,d@e:f!$&'()*+~|?x=%20+", None, "PR11"),
    "post-empty": ("POST", HOST, "/v1/patients", None, "PR7"),
    "method-extension": ("PURGE", HOST, "/v1/patients", None, ""),
}
"""By name the proved requests: method, Host and target as they are sent, body, and rules that it holds beside those of all."""


def proof_token(*, device_for_session: bool = False) -> str:
    """Return the token of the vectors' requests, which says ``prf`` or doesn't."""
    now = int(NOW.timestamp())
    device = derive_p256(key("proof"), "proof", ec.SECP256R1())
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
        session_id=sealing()[1],
        epoch=EPOCH,
        device_for_session=device_for_session,
    )
    return issue(claims, FixedSigner(derive_p256(key("token"), "token", ec.SECP256R1())))


EPOCH = 7


def proof_vectors() -> dict[str, Any]:
    """Return a token, the derivation of its session key, and proofs of requests with it."""
    binding, session_id, _ = sealing()
    device = derive_p256(key("proof"), "proof", ec.SECP256R1())
    signer = FixedSigner(derive_p256(key("token"), "token", ec.SECP256R1()))
    now = int(NOW.timestamp())
    token = proof_token()
    own = read_own_token(token)
    session_key = derive_key(
        key("gate-secret"),
        issuer=ISSUER,
        audience=AUDIENCE,
        session_id=session_id,
        thumbprint=own.thumbprint,
    )
    rows = []
    for number, (name, (method, host, target, body, rules)) in enumerate(REQUESTS.items()):
        digest = None if body is None else proofs.content_digest(body)
        path, _, query = target.partition("?")
        covered = proofs.Covered("https", method, host.lower(), path, query, digest)
        gate_nonce = base64url.encode(key("gate")[:22])[:30] if number == 1 else None
        fresh = proofs.Freshness(now, base64url.encode(key(f"nonce-{number}")[:16]), gate_nonce)

        def sign(message: bytes) -> bytes:
            return sign_message(device, message)

        rows.append(
            {
                "id": f"request-{name}",
                "rules": ["PR6", "PR8", "PR9", "PR12", "PR13", *rules.split()],
                "method": method,
                "host": host,
                "target": target,
                "authority": covered.authority,
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
            "id": "session-key-derived",
            "rules": ["PR4"],
            "by": "service",
            "gate_secret": key("gate-secret").hex(),
            "epoch": EPOCH,
            "sid": session_id,
            "thumbprint": own.thumbprint,
            "key": session_key.hex(),
        },
        "sealed": {
            "binding": binding.hex(),
            "sid": session_id,
            "keys": [
                {
                    "id": f"session-key-{curve.lower()}",
                    "rules": ["PR5", "ST7"],
                    **OPTIONAL.get(curve, {}),
                    "seal_key": private,
                    "sealed": SEALED[curve],
                }
                for curve, private in seal_jwks().items()
            ],
        },
        "requests": rows,
    }


def statement_vectors() -> list[dict[str, Any]]:
    """Return statements: what each is to say, and one way to write it."""
    device = public_jwk(derive_p256(key("proof"), "proof", ec.SECP256R1()).public_key())
    seal_jwk = {name: value for name, value in seal_jwks()["P-256"].items() if name != "d"}
    header = "Bearer users-own-token"
    bound = base64url.encode(hashlib.sha256(header.encode()).digest())
    said: dict[str, tuple[str, str, dict[str, Any]]] = {
        "ios": ("enrol", "ST1 ST2 ST3", {}),
        "android": ("enrol", "ST1 ST2 ST3 ST6", {"proof_jwk": None}),
        "two-audiences": ("renew", "ST2", {"aud": [AUDIENCE, "https://pay.clinic.example"]}),
        "x25519": (
            "enrol",
            "ST7",
            {
                "seal_jwk": {
                    name: value for name, value in seal_jwks()["X25519"].items() if name != "d"
                }
            },
        ),
        "bnd": ("renew", "ST8", {"bnd": bound}),
        "prf-enrol": ("enrol", "ST9", {"prf": "device"}),
        "prf-renew": ("renew", "ST9", {"prf": "device", "bnd": bound}),
        "secret": ("secret", "ST10", {"secret": SECRET_NAME}),
    }
    refused: dict[str, tuple[str, str, dict[str, Any], str]] = {
        "bnd-129": ("renew", "ST8", {"bnd": "b" * 129}, "statement.malformed"),
        "prf-session": ("renew", "ST9", {"prf": "session"}, "statement.malformed"),
        "prf-true": ("renew", "ST9", {"prf": True}, "statement.malformed"),
        "prf-secret": (
            "secret",
            "ST9",
            {"prf": "device", "secret": SECRET_NAME},
            "statement.malformed",
        ),
        "secret-renew": ("renew", "ST10", {"secret": SECRET_NAME}, "statement.malformed"),
        "secret-missing": ("secret", "ST10", {}, "statement.malformed"),
        "member-unknown": ("enrol", "ST1", {"os": "ios-18"}, "statement.malformed"),
        "version": ("enrol", "ST2", {"v": 2}, "statement.version"),
        "audience-twice": ("enrol", "ST2", {"aud": [AUDIENCE, AUDIENCE]}, "statement.audience"),
    }
    rows = []
    accepted = {name: (*each, None) for name, each in said.items()}
    for name, (purpose, rules, changes, reason) in {**accepted, **refused}.items():
        members: dict[str, Any] = {
            "v": 1,
            "purpose": purpose,
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "app": "clinic-ios",
            "challenge": base64url.encode(bytes(57)),
            "proof_jwk": device,
            "seal_jwk": seal_jwk,
            **changes,
        }
        members = {name: value for name, value in members.items() if value is not None}
        written = strict_json.dumps(members)
        row: dict[str, Any] = {"id": f"statement-{name}", "rules": rules.split()}
        if reason is not None:
            row |= {"by": "service", "refused": reason}
        if members["seal_jwk"]["kty"] == "OKP":
            row |= OPTIONAL["X25519"]
        if members.get("bnd") == bound:
            row["header_value"] = header
        rows.append(
            {
                **row,
                "members": members,
                "statement": base64url.encode(written),
                "binding": hashlib.sha256(written).hexdigest(),
            }
        )
    return rows


def test_instance_vectors() -> dict[str, Any]:
    """Return an operator's code, the signature that spends it on a key, and a renewal."""
    private = derive_p256(key("test-instance"), "proof", ec.SECP256R1())
    code = f"wwt_{base64url.encode(key('code')[:9])}{base64url.encode(key('code')[:24])}"
    proof_jwk = public_jwk(private.public_key())
    row = next(each for each in statement_vectors() if each["id"] == "statement-prf-renew")
    binding = bytes.fromhex(row["binding"])
    statement = base64url.decode(row["statement"])
    return {
        "id": "test-instance",
        "rules": ["EN1", "EN9", "ST5"],
        "code": code,
        "proof_jwk": proof_jwk,
        "binding": binding.hex(),
        "signed": (b"watchword/test/v1\0" + binding).hex(),
        "evidence": {
            "format": "operator_code",
            "code": code,
            "key_signature": base64url.encode(
                sign_message(private, b"watchword/test/v1\0" + binding)
            ),
        },
        "renewal": {
            "statement": row["statement"],
            "evidence": {
                "format": "operator_code",
                "signature": base64url.encode(
                    sign_message(private, b"watchword/renew/v1\0" + statement)
                ),
            },
        },
    }


def der_vectors() -> list[dict[str, Any]]:
    """Return signatures as devices return them, and their 64 bytes; none where that isn't a signature in DER."""
    private = derive_p256(key("proof"), "proof", ec.SECP256R1())
    # The first numbers at which the signatures of this key have such r and s.
    numbers = {
        "plain": 1,
        "r-high-bit": 8,
        "s-high-bit": 0,
        "both-high-bits": 2,
        "r-short": 85,
        "s-short-high-bit": 103,
        "r-short-high-bit": 762,
    }
    rows: list[dict[str, Any]] = []
    for name, number in numbers.items():
        message = f"watchword protocol vectors/{number}".encode()
        signature = sign_message(private, message)
        r, s = decode_dss_signature(signature)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        rows.append(
            {
                "id": f"der-{name}",
                "rules": ["PR12"],
                "message": message.hex(),
                "der": signature.hex(),
                "raw": raw.hex(),
            }
        )
    one = "0201" + "01"
    long = "0221" + "01" + "00" * 32
    bad = {
        "empty": "",
        "not-a-sequence": f"3106{one}{one}",
        "cut": f"3006{one}0201",
        "trailing": f"3006{one}{one}00",
        "trailing-inside": f"3009{one}{one}020101",
        "one-number": f"3003{one}",
        "r-33-bytes": f"3026{long}{one}",
        "negative": f"3006020180{one}",
        "r-spare-zero": f"300702020001{one}",
        "length-indefinite": f"3080{one}{one}0000",
        "length-long-form": f"308106{one}{one}",
        "number-empty": f"30050200{one}",
        "raw-64-bytes": "01" * 64,
    }
    rows += [
        {"id": f"der-{name}", "rules": ["PR12"], "der": text, "raw": None}
        for name, text in bad.items()
    ]
    return rows


REFUSAL_TYPE = "watchword-refusal+jwt"


def refusal_vectors() -> dict[str, Any]:
    """Return signed refusals, and whether a client believes them."""
    signers = {
        name: FixedSigner(derive_p256(key(name), name, ec.SECP256R1()))
        for name in ("token", "next token", "stranger")
    }
    binding = hashlib.sha256(b"watchword protocol vectors/a refused statement").digest()
    said: dict[str, Any] = {
        "v": 1,
        "iss": ISSUER,
        "app": "clinic-ios",
        "binding": base64url.encode(binding),
        "type": "evidence-refused",
        "now": int(NOW.timestamp()),
    }

    def signed(by: str = "token", typ: str = REFUSAL_TYPE, **changes: Any) -> str:
        members = {name: value for name, value in {**said, **changes}.items() if value is not None}
        return jose.assemble(strict_json.dumps(members), typ, signers[by])

    good = signed()
    head, payload, signature = good.split(".")
    forged = signed("stranger").rpartition(".")[2]
    other = base64url.encode(bytes(32))
    texts = {
        "taken": ("evidence-refused", good, True),
        "taken-next-key": ("evidence-refused", signed("next token"), True),
        "taken-instance": ("instance-refused", signed(type="instance-refused"), True),
        "other-binding": ("evidence-refused", signed(binding=other), False),
        "other-issuer": ("evidence-refused", signed(iss="https://other.example"), False),
        "other-app": ("evidence-refused", signed(app="clinic-android"), False),
        "other-class": ("instance-refused", good, False),
        "class-not-final": ("challenge-refused", signed(type="challenge-refused"), False),
        "version-2": ("evidence-refused", signed(v=2), False),
        "version-true": ("evidence-refused", signed(v=True), False),
        "member-missing": ("evidence-refused", signed(now=None), False),
        "member-unknown": ("evidence-refused", signed(ref="x"), False),
        "now-text": ("evidence-refused", signed(now="1795521600"), False),
        "unknown-key": ("evidence-refused", signed("stranger"), False),
        "forged": ("evidence-refused", f"{head}.{payload}.{forged}", False),
        "typ-token": ("evidence-refused", signed(typ="watchword+jwt"), False),
        "padded": ("evidence-refused", f"{head}.{payload}.{signature}==", False),
        "empty": ("evidence-refused", "", False),
    }
    return {
        "jwks": {
            "keys": [
                jose.published_jwk(each.kid, each.key.public_key())
                for name, each in signers.items()
                if name != "stranger"
            ]
        },
        "app": "clinic-ios",
        "binding": binding.hex(),
        "vectors": [
            {
                "id": f"refusal-{name}",
                "rules": ["RF4"],
                "type": f"urn:watchword:problem:{type_}",
                "signed": text,
                "taken": taken,
            }
            for name, (type_, text, taken) in texts.items()
        ],
    }


def kind_vectors() -> dict[str, Any]:
    """Return requests to a ``session`` route, by a token that says ``prf`` and by one that doesn't."""
    device = derive_p256(key("proof"), "proof", ec.SECP256R1())
    now = int(NOW.timestamp())
    tokens = {name: proof_token(device_for_session=name == "prf") for name in ("prf", "plain")}

    def proof(kind: str, which: str, nonce: str) -> dict[str, str]:
        token = tokens[which]
        own = read_own_token(token)
        covered = proofs.Covered("https", "GET", HOST, "/v1/patients", "", None)
        fresh = proofs.Freshness(now, base64url.encode(key(nonce)[:16]))
        if kind == "session":
            secret = bytes.fromhex(proof_vectors()["session_key"]["key"])
            return proofs.session_proof(covered, token, own, secret, fresh)
        make = proofs.device_proof if kind == "device" else proofs.dpop_proof
        return make(covered, token, own, lambda message: sign_message(device, message), fresh)

    rows: dict[str, tuple[str, str, str, str | None]] = {
        "device": ("session", "prf", "device", None),
        "session": ("session", "prf", "session", None),
        "dpop": ("session", "prf", "dpop", "proof.missing"),
        "device-without": ("session", "plain", "device", "proof.algorithm"),
        "session-without": ("session", "plain", "session", None),
        "session-on-device": ("device", "prf", "session", "proof.algorithm"),
        "device-on-device": ("device", "prf", "device", None),
    }
    return {
        "tokens": tokens,
        "host": HOST,
        "method": "GET",
        "target": "/v1/patients",
        "vectors": [
            {
                "id": f"kind-{name}",
                "rules": ["PR2", "PR3"],
                "by": "service",
                "route": route,
                "token": which,
                "proof": proof(kind, which, f"kind {name}"),
                "refused": reason,
            }
            for name, (route, which, kind, reason) in rows.items()
        ],
    }


def counts(found: Any) -> dict[str, int]:
    """Return how many vectors there are: those that every client checks, that it may, and that only a service or a gate can."""
    by = {"client": 0, "optional": 0, "service": 0}
    waiting = [found]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "id" in each:
                by[each.get("by", "client")] += 1
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return by


def vectors() -> dict[str, Any]:
    """Return everything that the file holds."""
    authorities = LabAuthorities.from_seed(key("lab"))
    nonce = FixedEntropy("reference").token_bytes(references.NONCE_BYTES)
    refusals = (Refusal(Reason.TOKEN_EXPIRED, "not part of the reference"),)
    kinds = ("genuine-iphone", "genuine-android")
    enrolments = [enrolment(kind, authorities) for kind in kinds]
    reference = references.seal(refusals, "clinic[1] /**", NOW.timestamp(), key("reference"), nonce)
    found: dict[str, Any] = {
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
            "id": "subject",
            "rules": ["TK6"],
            "by": "service",
            "instance": "AAAAAAAAAAAAAAAAAAAAAA",
            "audience": AUDIENCE,
            "subject": pairwise_subject("AAAAAAAAAAAAAAAAAAAAAA", AUDIENCE, key("pairwise")),
        },
        "reference": {
            "id": "reference",
            "rules": ["RF2"],
            "by": "service",
            "ref": reference,
            "reasons": ["token.expired"],
            "route": "clinic[1] /**",
        },
        "proofs": proof_vectors(),
        "secret": secret_vectors(enrolments[0][Purpose.SECRET.value]["binding"]),
        "statements": statement_vectors(),
        "test_instance": test_instance_vectors(),
        "der": {
            "key": public_jwk(derive_p256(key("proof"), "proof", ec.SECP256R1()).public_key()),
            "vectors": der_vectors(),
        },
        "refusals": refusal_vectors(),
        "kinds": kind_vectors(),
        "pins": pin_vectors(lambda name: derive_p256(key("pins"), name, ec.SECP256R1())),
    }
    return {"count": counts(found), **found}


if __name__ == "__main__":
    TARGET.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {TARGET}")
