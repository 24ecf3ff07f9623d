"""Send as a token what isn't one, or is one in a spelling that only a careless reader takes."""

from collections.abc import Callable

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.requests import Credential
from watchword.drill.tokens import (
    asked,
    claims_of,
    compact,
    genuine_credential,
    header_of,
    mutated,
    new_attacker,
    parts_of,
    session_key_for,
)
from watchword.encoding import strict_json
from watchword.reasons import Reason

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PAYLOAD_BYTES = 1450
"""Of claims that make a token longer than gates take, while no part of it is too long by itself."""


def _mutated(change: Callable[[str], str]) -> Run:
    """Return a variant that sends the genuine token in another form."""

    def run(context: AttackContext) -> Attempts:
        return [mutated(context, change(genuine_credential(context).token))]

    return run


def _no_token(_token: str) -> str:
    return "let-me-in"


def _two_segments(token: str) -> str:
    return token.rpartition(".")[0]


def _in_the_clear(token: str) -> str:
    """Send the claims as JSON, which a reader may take that looks for a brace first."""
    return strict_json.dumps(parts_of(token)[1]).decode("ascii")


def _padded(token: str) -> str:
    """Pad the signature's base64, which leaves what is signed as it was."""
    return token + "=" * (-len(token.rpartition(".")[2]) % 4)


def _spare_bits(token: str) -> str:
    """Set the last spare bit: another text for the same bytes, and so new to whoever remembers texts."""
    return token[:-1] + _ALPHABET[_ALPHABET.index(token[-1]) | 1]


def _signed(
    header: Callable[[str], bytes], claims: Callable[[bytes], bytes] = lambda raw: raw
) -> Run:
    """Return a variant with a genuine signature over a header and claims of any bytes.

    :param header: makes the header of the key's id.
    :param claims: changes the bytes of claims that would be accepted.
    """

    def run(context: AttackContext) -> Attempts:
        attacker = new_attacker(context)
        signer = context.borrowed().token_signer()
        right = claims_of(context, attacker)
        token = compact(header(signer.kid), claims(strict_json.dumps(right)), signer)
        key = session_key_for(context, attacker, right)
        return [asked(context, Credential(token, attacker.own, attacker.sign, key))]

    return run


def _oversized(raw: bytes) -> bytes:
    """Add a claim that nobody asked for."""
    return raw[:-1] + b',"pad":"' + b"a" * (_PAYLOAD_BYTES - len(raw)) + b'"}'


def _header(**changes: object) -> Callable[[str], bytes]:
    return lambda kid: strict_json.dumps(header_of(kid, **changes))


def _twice_in_header(kid: str) -> bytes:
    return b'{"alg":"none",' + strict_json.dumps(header_of(kid))[1:]


def _twice_in_claims(raw: bytes) -> bytes:
    return b'{"sub":"somebody","lvl":"none",' + raw[1:]


def _other_type(context: AttackContext) -> Attempts:
    """Give a token out as something else that is signed: a plain JWT, a gate bundle, a proof."""
    types = ("JWT", "watchword-gate+jwt", "dpop+jwt", "WATCHWORD+JWT")
    return [attempt for typ in types for attempt in _signed(_header(typ=typ))(context)]


_EXPECTED = frozenset({Reason.TOKEN_MALFORMED})
_BASE64_ONLY = frozenset({Reason.TOKEN_MALFORMED, Reason.REQUEST_MALFORMED})

ATTACK = Attack(
    id="token-garbage",
    title="Send something for a token that isn't one",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="Free text, claims in the clear, and genuine tokens that are cut short or spelled in a second way. Then "
    "genuinely signed tokens that are too long, name a key twice, have another type or ask for extensions.",
    must="Each is refused before anything in it is trusted.",
    blind="It tries a few forms, not all that a fuzzer would find.",
    variants=(
        Variant("free-text", _mutated(_no_token), _EXPECTED),
        Variant("two-segments", _mutated(_two_segments), _EXPECTED),
        Variant("json-in-the-clear", _mutated(_in_the_clear), _BASE64_ONLY),
        Variant("padding", _mutated(_padded), _EXPECTED),
        Variant("spare-bits", _mutated(_spare_bits), _EXPECTED),
        Variant("oversized", _signed(_header(), _oversized), _EXPECTED),
        Variant("key-twice-in-claims", _signed(_header(), _twice_in_claims), _EXPECTED),
        Variant("key-twice-in-header", _signed(_twice_in_header), _EXPECTED),
        Variant("other-type", _other_type, _EXPECTED),
        Variant("no-type", _signed(_header(typ=None)), _EXPECTED),
        Variant("unknown-extension", _signed(_header(crit=["wonder"], wonder=1)), _EXPECTED),
    ),
)
