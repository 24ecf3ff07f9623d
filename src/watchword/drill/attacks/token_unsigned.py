"""Send a token that nobody signed (RFC 8725 section 2.1)."""

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.requests import Credential
from watchword.drill.tokens import (
    asked,
    assembled,
    claims_like_genuine,
    genuine_credential,
    header_of,
    mutated,
    new_attacker,
    published_kid,
)
from watchword.encoding import base64url
from watchword.reasons import Reason

_SIGNATURE_BYTES = 64


def _unsigned(*algorithms: str | None, signature: int = 0) -> Run:
    """Return a variant whose header names each of these algorithms, and whose claims are forged.

    :param signature: bytes of chance that stand where a signature would.
    """

    def run(context: AttackContext) -> Attempts:
        kid = published_kid(genuine_credential(context).token)
        attempts = []
        for algorithm in algorithms:
            attacker = new_attacker(context)
            header = header_of(kid, alg=algorithm)
            token = assembled(header, claims_like_genuine(context, attacker))
            token += base64url.encode(context.random(signature))
            attempts.append(asked(context, Credential(token, attacker.own, attacker.sign)))
        return attempts

    return run


def _stripped(context: AttackContext) -> Attempts:
    """Take the signature off a genuine token, and leave the dot."""
    return [mutated(context, genuine_credential(context).token.rpartition(".")[0] + ".")]


_EXPECTED = frozenset({Reason.TOKEN_MALFORMED})
_EITHER = frozenset({Reason.TOKEN_MALFORMED, Reason.TOKEN_SIGNATURE})

ATTACK = Attack(
    id="token-unsigned",
    title="Send a token without a signature",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="Forged claims under the algorithm none in four spellings, or under no algorithm, with an empty or a random "
    "signature. Then a genuine token whose signature is cut off.",
    must="Each is refused, whatever algorithm the token names.",
    blind="More than one check stops it, so it says nothing of a single check.",
    variants=(
        Variant("none", _unsigned("none"), _EXPECTED),
        Variant("none-in-capitals", _unsigned("None", "NONE", "nOnE"), _EXPECTED),
        Variant("no-algorithm", _unsigned("", None), _EXPECTED),
        Variant("none-with-chance", _unsigned("none", signature=_SIGNATURE_BYTES), _EXPECTED),
        Variant("nothing-signed", _unsigned("ES256"), _EITHER),
        Variant(
            "chance-signed",
            _unsigned("ES256", signature=_SIGNATURE_BYTES),
            frozenset({Reason.TOKEN_SIGNATURE}),
        ),
        Variant("cut-off", _stripped, _EITHER),
    ),
)
