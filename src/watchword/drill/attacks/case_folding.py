"""Reach a guarded path in other letters, which an API that ignores case takes for the same."""

from collections.abc import Callable

from watchword.drill.around import known_by, path_of, strictest
from watchword.drill.interface import Attack, AttackContext, Attempts, Run, Variant
from watchword.reasons import Reason


def _in(spelled: Callable[[str], list[str]]) -> Run:
    def run(context: AttackContext) -> Attempts:
        path = path_of(strictest(context))
        return known_by(context, [name for name in dict.fromkeys(spelled(path)) if name != path])

    return run


def _whole(path: str) -> list[str]:
    return [path.upper(), path.title(), path.swapcase()]


def _one_letter(path: str) -> list[str]:
    """Return the path with the first letter of each segment, in turn, in the other case."""
    return [
        f"{path[:at]}{sign.swapcase()}{path[at + 1 :]}"
        for at, sign in enumerate(path)
        if path[at - 1] == "/" and sign.isalpha()
    ]


def _encoded(path: str) -> list[str]:
    """Return the same by the letters' codes, which mean the letters (RFC 3986 section 6.2.2.2)."""
    return [
        f"{path[:at]}%{ord(sign.swapcase()):02X}{path[at + 1 :]}"
        for at, sign in enumerate(path)
        if path[at - 1] == "/" and sign.isalpha()
    ]


_GUARDED = frozenset(
    {
        Reason.TOKEN_MISSING,
        Reason.PROOF_MISSING,
        Reason.GATE_ROUTE_AMBIGUOUS,
        Reason.GATE_ROUTE_UNKNOWN,
    }
)

ATTACK = Attack(
    id="case-folding",
    title="Reach a guarded path in other letters",
    techniques=("MT-B01", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="The path that asks for most in upper case, in title case, and with one letter in the other case, plain or "
    "percent-encoded. It has a genuine token without the proof that the path asks for, or no token if the path asks "
    "for no proof.",
    must="The path's rule applies in any case of its letters, or the path is refused.",
    blind="It tries one path. An API that tells paths apart by case answers these like any unknown path, and then "
    "nothing is shown of its gate.",
    variants=(
        Variant("whole", _in(_whole), _GUARDED),
        Variant("one-letter", _in(_one_letter), _GUARDED),
        Variant("encoded", _in(_encoded), _GUARDED),
    ),
)
