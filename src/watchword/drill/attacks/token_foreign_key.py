"""Sign a token oneself: by a key of one's own, under one's own name or the service's."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from watchword.drill.interface import Arena, Attack, Attempt, Attempts, Need, Run, Variant
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


def _sent(arena: Arena, header: dict[str, Any], key: Signer) -> Attempts:
    attacker = new_attacker(arena)
    token = assembled(header, claims_like_genuine(arena, attacker), key)
    return [asked(arena, Credential(token, attacker.own, attacker.sign))]


def _kid(arena: Arena) -> str:
    return published_kid(genuine_credential(arena).token)


def _own_name(arena: Arena) -> Attempts:
    """Name the attacker's key, which nobody knows."""
    key = new_key(arena)
    return _sent(arena, header_of(key.kid), key)


def _service_name(arena: Arena) -> Attempts:
    """Name the service's key, which anyone reads in the JWKS."""
    return _sent(arena, header_of(_kid(arena)), new_key(arena))


def _brought_along(member: Callable[[Arena, SigningKey], dict[str, Any]]) -> Run:
    """Return a variant whose header tells where the attacker's key is, under his name and the service's."""

    def run(arena: Arena) -> Attempts:
        attempts: list[Attempt] = []
        key = new_key(arena)
        for kid in (_kid(arena), key.kid):
            attempts += _sent(arena, header_of(kid, **member(arena, key)), key)
        return attempts

    return run


def _embedded(_arena: Arena, key: SigningKey) -> dict[str, Any]:
    """Bring the key along in the header (CVE-2018-0114)."""
    return {"jwk": dict(jwk_from_public_key(key.public))}


def _certificate(arena: Arena, key: SigningKey) -> dict[str, Any]:
    """Bring a certificate along that the attacker gave to himself (RFC 7515 section 4.1.6)."""
    now = datetime.fromtimestamp(int(arena.now()), UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Watchword")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public)
        .serial_number(int.from_bytes(arena.random(_SERIAL_BYTES)) + 1)
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .sign(key.private, SHA256())
    )
    return {"x5c": [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")]}


def _elsewhere(name: str) -> Callable[[Arena, SigningKey], dict[str, Any]]:
    """Name an address where the key would be (RFC 7515 sections 4.1.2 and 4.1.5)."""
    return lambda _arena, _key: {name: _ELSEWHERE}


def _bundle_key(arena: Arena) -> Attempts:
    """Sign by the key that signs what gates are told, which is good for nothing else."""
    attacker = new_attacker(arena)
    signer = arena.borrowed().bundle_signer()
    right = minted(arena, attacker)
    claims = claims_like_genuine(arena, attacker)
    token = assembled(header_of(signer.kid), claims, signer)
    key = right.session_key
    return [asked(arena, Credential(token, attacker.own, attacker.sign, key))]


_SIGNATURE = frozenset({Reason.TOKEN_SIGNATURE})
_UNKNOWN = frozenset({Reason.TOKEN_KEY_UNKNOWN})
_EITHER = _SIGNATURE | _UNKNOWN | {Reason.TOKEN_MALFORMED}

ATTACK = Attack(
    id="token-foreign-key",
    title="Sign a token with a key of one's own",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="A token whose claims are all right, signed by the attacker: under the name of his key, under the service's, with "
    "his key, his certificate or an address of them in the header; and one that the key of gate bundles signed.",
    must="Each is refused: the key isn't known, or the signature isn't the service's.",
    blind="It doesn't tell whether the service's private key is kept well, nor whether the gate asks the address; no key is "
    "withdrawn either, since that would end the tokens of everybody.",
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
