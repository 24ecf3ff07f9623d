"""Use a token without the key that it is bound to (RFC 7800)."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.tokens import Attacker, asked, minted, new_attacker
from watchword.encoding import base64url
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_COORDINATE_BYTES = 48


def _bound_to(*bindings: Any) -> Run:
    """Return a variant with tokens of the service's signature that are bound to each of these, or to nothing."""

    def run(context: AttackContext) -> Attempts:
        sample = context.sample(Proof.DEVICE, Proof.SESSION, Proof.BEARER)
        attempts = []
        for each in bindings:
            attacker = new_attacker(context)
            cnf = each(context, attacker) if callable(each) else each
            attempts.append(asked(context, minted(context, attacker, cnf=cnf), sample))
        return attempts

    return run


def _thumbprint(_context: AttackContext, attacker: Attacker) -> dict[str, Any]:
    """Name the key by its thumbprint alone, as RFC 9449 section 6.1 does."""
    return {"jkt": attacker.own.thumbprint}


def _off_curve(_context: AttackContext, attacker: Attacker) -> dict[str, Any]:
    """Move the point off the curve, to a group where logarithms are easy."""
    y = bytearray(base64url.decode(attacker.own.key["y"]))
    y[-1] ^= 1
    return {"jwk": {**attacker.own.key, "y": base64url.encode(bytes(y))}}


def _other_curve(context: AttackContext, _attacker: Attacker) -> dict[str, Any]:
    key = derive_private_key(int.from_bytes(context.random(32)) + 1, SECP384R1())
    point = key.public_key().public_numbers()
    x, y = (base64url.encode(each.to_bytes(_COORDINATE_BYTES)) for each in (point.x, point.y))
    return {"jwk": {"kty": "EC", "crv": "P-384", "x": x, "y": y}}


def _secret(_context: AttackContext, attacker: Attacker) -> dict[str, Any]:
    """Bind it to a secret that stands in the token, for whoever verifies by what a JWK says."""
    return {"jwk": {"kty": "oct", "k": attacker.own.thumbprint}}


_EXPECTED = frozenset({Reason.TOKEN_MALFORMED})

ATTACK = Attack(
    id="token-without-key",
    title="Use a token without the key behind it",
    techniques=("MT-B20", "MT-B03"),
    protections={"PR-B15": "live:tokens.bound_ratio"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that are bound to no key, only to a key's name, or to something that can't be "
    "a phone's key: a point off the curve, another curve, a secret.",
    must="Each is refused: a token without a key is invalid.",
    blind="It doesn't use a token that is bound to somebody else's key: attacks on proofs do.",
    variants=(
        Variant("no-key", _bound_to(None, {}, {"jwk": {}}), _EXPECTED),
        Variant("thumbprint-alone", _bound_to(_thumbprint), _EXPECTED),
        Variant("off-the-curve", _bound_to(_off_curve), _EXPECTED),
        Variant("another-kind", _bound_to(_other_curve, _secret), _EXPECTED),
    ),
)
