"""Reach a guarded path by signs that an API which normalises Unicode takes for its letters, dots or slashes."""

from typing import Final

from watchword.drill.around import first_and_rest, known_by, path_of, strictest
from watchword.drill.interface import Attack, AttackContext, Attempts, Variant
from watchword.reasons import Reason

_FULL_WIDTH: Final = 0xFEE0
"""How far behind a sign of ASCII its full-width form stands (Unicode, block FF00)."""

_LETTERS: Final = {"k": "\u212a", "s": "\u017f", "ss": "\u00df", "fi": "\ufb01", "i": "\u0131"}
"""Signs that become these letters by normal form, upper case or case folding."""

_DOTS: Final = ("\uff0e\uff0e", "\u2025", ".\uff0e", "\u2024\u2024")
_SLASHES: Final = ("\uff0f", "\uff3c", "\ufe68")
_CUTS: Final = ("\uff1b", "\uff03", "\uff1f", "\u037e")


def _full_width(sign: str) -> str:
    return chr(ord(sign) + _FULL_WIDTH)


def _encoded(text: str) -> str:
    """Return a text with each byte outside of ASCII percent-encoded."""
    return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in text.encode("utf-8"))


def _letters(context: AttackContext) -> Attempts:
    """Put one sign in the place of one letter, then of all."""
    path = path_of(strictest(context))
    found = [path.replace(letters, sign, 1) for letters, sign in _LETTERS.items()]
    for at, sign in enumerate(path):
        if path[at - 1] == "/" and sign.isalnum():
            found.append(f"{path[:at]}{_full_width(sign)}{path[at + 1 :]}")
    found.append("".join(_full_width(sign) if sign.isalpha() else sign for sign in path))
    return known_by(context, [_encoded(name) for name in dict.fromkeys(found) if name != path])


def _dots(context: AttackContext) -> Attempts:
    path = path_of(strictest(context))
    first, rest = first_and_rest(path)
    begun = [*context.facts.off[:2], f"{first}/x"]
    names = [f"{at}/{_encoded(dots)}{path}" for at in begun[:-1] for dots in _DOTS]
    return known_by(context, names + [f"{begun[-1]}/{_encoded(dots)}{rest}" for dots in _DOTS])


def _slashes(context: AttackContext) -> Attempts:
    path = path_of(strictest(context))
    first, rest = first_and_rest(path)
    names = [f"/x{_encoded(sign)}..{_encoded(sign)}{path[1:]}" for sign in _SLASHES]
    if len(rest) > 1:
        names += [f"{first}{_encoded(sign)}{rest[1:]}" for sign in _SLASHES]
    return known_by(context, names)


def _cut(context: AttackContext) -> Attempts:
    path = path_of(strictest(context))
    return known_by(context, [f"{path}{_encoded(sign)}x" for sign in _CUTS])


_GUARDED = frozenset(
    {
        Reason.TOKEN_MISSING,
        Reason.PROOF_MISSING,
        Reason.GATE_ROUTE_AMBIGUOUS,
        Reason.GATE_ROUTE_UNKNOWN,
    }
)
_AMBIGUOUS = frozenset({Reason.REQUEST_PATH_AMBIGUOUS})

ATTACK = Attack(
    id="unicode-folding",
    title="Reach a guarded path by signs that Unicode makes the same",
    techniques=("MT-B01", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="The path that asks for most, percent-encoded, with full-width letters, dots and slashes, a long s, the "
    "Kelvin sign and the like. It has a genuine token without the proof that the path asks for, or no token if the "
    "path asks for no proof.",
    must="The path's rule applies in any form of its letters, or the path is refused. What becomes a separator is "
    "refused.",
    blind="It tries one path and the 15 best-known signs of 1,600. An API that doesn't normalise answers these like "
    "any unknown path, and then nothing is shown of its gate.",
    variants=(
        Variant("letters", _letters, _GUARDED),
        Variant("dots", _dots, _AMBIGUOUS),
        Variant("slashes", _slashes, _AMBIGUOUS),
        Variant("cut-off", _cut, _AMBIGUOUS),
    ),
)
