"""Reach a guarded path under a name that the gate may read otherwise than the API does."""

from collections.abc import Callable

from watchword.drill.around import first_and_rest, named, path_of, strictest
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Run, Variant
from watchword.drill.wire import Part
from watchword.reasons import Reason

Names = Callable[[AttackContext, str], list[str]]
"""Return other names of a path."""


def _by(names: Names) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample = strictest(context)
        path = path_of(sample)
        return [Attempt(sample, named(context, name)) for name in names(context, path)]

    return run


def _dots(context: AttackContext, path: str) -> list[str]:
    first, rest = first_and_rest(path)
    begun, _, last = path.rpartition("/")
    names = [f"{first}/.{rest}", f"{first}/x/..{rest}", f"/.{path}", f"{begun}/./{last}"]
    names += [f"{first}/%2e{rest}", f"{first}/x/%2e%2e{rest}", f"{first}/x/.%2E{rest}"]
    return names + [f"{off}/..{path}" for off in context.facts.off[:2]]


def _slashes(context: AttackContext, path: str) -> list[str]:
    first, rest = first_and_rest(path)
    begun, _, last = path.rpartition("/")
    names = [f"/{path}", f"//x/..{path}", f"/\\{path[1:]}", f"/%5c{path[1:]}"]
    if len(rest) > 1:
        names += [f"{first}/{rest}", f"{begun}//{last}"]
        names += [f"{first}\\{rest[1:]}", f"{first}%5c{rest[1:]}", f"{begun}%5C{last}"]
    return names + [f"{off}//..{path}" for off in context.facts.off[:1]]


def _encoded(_context: AttackContext, path: str) -> list[str]:
    first, rest = first_and_rest(path)
    begun, _, last = path.rpartition("/")
    # A server that decodes twice, and one that takes overlong UTF-8 (RFC 3629 section 10), make slashes of the last.
    names = [f"/%2f{path[1:]}", f"/x%2f..{path}", f"/%252f{path[1:]}", f"/%c0%af{path[1:]}"]
    if len(rest) > 1:
        names += [f"{first}%2f{rest[1:]}", f"{begun}%2F{last}", "/" + path[1:].replace("/", "%2f")]
        names += [f"{first}%252f{rest[1:]}", f"{begun}%c0%af{last}"]
    return names


def _parameters(context: AttackContext, path: str) -> list[str]:
    first, rest = first_and_rest(path)
    names = [f"{first};jsessionid=1{rest}", f"{first};{rest}", f"{path};.css", f"{first}%3b{rest}"]
    return names + [f"{off};/..{path}" for off in context.facts.off[:1]]


def _cut(context: AttackContext, path: str) -> list[str]:
    names = [f"{path}%00", f"{path}%00.png", f"{path}%0a", f"{path}%23", f"{path}%3f"]
    return names + [f"{off}%00{path}" for off in context.facts.off[:1]]


def _same(context: AttackContext, path: str) -> list[str]:
    """Return names that mean this very path to every server, so that its own rule must hold."""
    origin = f"{context.wire.scheme(Part.GATE)}://other.example"
    names = [f"{path.rstrip('/')}/", origin + path]
    # The first sign of each segment by its code, in turn: unreserved ones mean the same (RFC 3986 section 6.2.2.2).
    for at, sign in enumerate(path):
        if path[at - 1] == "/" and sign.isalnum():
            names.append(f"{path[:at]}%{ord(sign):02x}{path[at + 1 :]}")
    return names


def _fragment(_context: AttackContext, path: str) -> list[str]:
    """Return the path with a fragment, which a server drops, refuses or takes for a part of the path."""
    return [f"{path}#", f"{path}#/x"]


_AMBIGUOUS = frozenset({Reason.REQUEST_PATH_AMBIGUOUS})
_GUARDED = frozenset({Reason.TOKEN_MISSING, Reason.PROOF_MISSING})
# A gate may know the other writing of a path as the same, as none, or not at all.
_SAME = _GUARDED | _AMBIGUOUS | {Reason.GATE_ROUTE_UNKNOWN}

ATTACK = Attack(
    id="path-confusion",
    title="Reach a guarded path under another name",
    techniques=("MT-B01", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="The path that asks for most, written so that a gate and the API may read it in two ways. It has a genuine "
    "token without the proof that the path asks for, or no token if the path asks for no proof.",
    must="An ambiguous name is refused. An unambiguous one falls under the rule of its path.",
    blind="It tries the readings of common servers, on one path. An API with its own names for a path needs a rule for "
    "each.",
    variants=(
        Variant("dots", _by(_dots), _AMBIGUOUS),
        Variant("slashes", _by(_slashes), _AMBIGUOUS),
        Variant("encoded-slash", _by(_encoded), _AMBIGUOUS),
        Variant("path-parameters", _by(_parameters), _AMBIGUOUS),
        Variant("cut-off", _by(_cut), _AMBIGUOUS),
        Variant("fragment", _by(_fragment), _AMBIGUOUS | _GUARDED),
        Variant("same-path", _by(_same), _SAME),
    ),
)
