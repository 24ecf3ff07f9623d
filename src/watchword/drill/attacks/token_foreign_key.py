"""Sign a token oneself: by a key of one's own, under one's own name or the service's."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Run, Variant
from watchword.drill.requests import Credential
from watchword.drill.tokens import (
    asked,
    assembled,
    claims_like_genuine,
    genuine_credential,
    header_of,
    minted,
    new_attacker,
    new_key,
    published_kid,
)
from watchword.ports import Signer
from watchword.reasons import Reason
from watchword.tokens.jose import SigningKey, jwk_from_public_key

_ELSEWHERE = "https://keys.attacker.example/jwks.json"
"""A name that is nobody's (RFC 2606 section 3)."""

_SERIAL_BYTES = 8
_DAY = timedelta(days=1)


def _sent(context: AttackContext, header: dict[str, Any], key: Signer) -> Attempts:
    attacker = new_attacker(context)
    token = assembled(header, claims_like_genuine(context, attacker), key)
    return [asked(context, Credential(token, attacker.own, attacker.sign))]


def _kid(context: AttackContext) -> str:
    return published_kid(genuine_credential(context).token)


def _own_name(context: AttackContext) -> Attempts:
    """Name the attacker's key, which nobody knows."""
    key = new_key(context)
    return _sent(context, header_of(key.kid), key)


def _service_name(context: AttackContext) -> Attempts:
    """Name the service's key, which anyone reads in the JWKS."""
    return _sent(context, header_of(_kid(context)), new_key(context))


def _brought_along(member: Callable[[AttackContext, SigningKey], dict[str, Any]]) -> Run:
    """Return a variant whose header tells where the attacker's key is, under his name and the service's."""

    def run(context: AttackContext) -> Attempts:
        attempts: list[Attempt] = []
        key = new_key(context)
        for kid in (_kid(context), key.kid):
            attempts += _sent(context, header_of(kid, **member(context, key)), key)
        return attempts

    return run


def _embedded(_context: AttackContext, key: SigningKey) -> dict[str, Any]:
    """Bring the key along in the header (CVE-2018-0114)."""
    return {"jwk": dict(jwk_from_public_key(key.public))}


def _certificate(context: AttackContext, key: SigningKey) -> dict[str, Any]:
    """Bring a certificate along that the attacker gave to himself (RFC 7515 section 4.1.6)."""
    now = datetime.fromtimestamp(int(context.now()), UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Watchword")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public)
        .serial_number(int.from_bytes(context.random(_SERIAL_BYTES)) + 1)
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .sign(key.private, SHA256())
    )
    return {"x5c": [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")]}


def _elsewhere(name: str) -> Callable[[AttackContext, SigningKey], dict[str, Any]]:
    """Name an address where the key would be (RFC 7515 sections 4.1.2 and 4.1.5)."""
    return lambda _context, _key: {name: _ELSEWHERE}


def _bundle_key(context: AttackContext) -> Attempts:
    """Sign by the key that signs what gates are told, which is good for nothing else."""
    attacker = new_attacker(context)
    signer = context.borrowed().bundle_signer()
    right = minted(context, attacker)
    claims = claims_like_genuine(context, attacker)
    token = assembled(header_of(signer.kid), claims, signer)
    key = right.session_key
    return [asked(context, Credential(token, attacker.own, attacker.sign, key))]


_SIGNATURE = frozenset({Reason.TOKEN_SIGNATURE})
_UNKNOWN = frozenset({Reason.TOKEN_KEY_UNKNOWN})
_EITHER = _SIGNATURE | _UNKNOWN | {Reason.TOKEN_MALFORMED}

ATTACK = Attack(
    id="token-foreign-key",
    title="Sign a token with a key of one's own",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="Tokens with correct claims that the attacker signed: under the attacker's key name, under the service's, or "
    "with key, certificate or their address in the header. Then one that the key of gate bundles signed.",
    must="Each is refused: the key isn't known, or the signature isn't the service's.",
    blind="It doesn't tell whether the service's private key is kept well, nor whether the gate fetches the address. "
    "No key is withdrawn, because that would end everybody's tokens.",
    variants=(
        Variant("own-name", _own_name, _UNKNOWN),
        Variant("service-name", _service_name, _SIGNATURE),
        Variant("key-in-header", _brought_along(_embedded), _EITHER),
        Variant("certificate-in-header", _brought_along(_certificate), _EITHER),
        Variant("key-elsewhere", _brought_along(_elsewhere("jku")), _EITHER),
        Variant("certificate-elsewhere", _brought_along(_elsewhere("x5u")), _EITHER),
        Variant("bundle-key", _bundle_key, _UNKNOWN),
    ),
)
