"""Use an injected key for what it isn't injected for: another path of the third party, another method."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    Injection,
    MissingError,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.third_party_keys import (
    INJECTED_EVIDENCE,
    as_genuine,
    at,
    beyond,
    injected_samples,
    there,
)
from watchword.drill.wire import Call
from watchword.reasons import Reason

_HEX_BYTES = 8

# Safe ones (RFC 9110 section 9.2.1, RFC 4918): where one gets through, it changes nothing there.
_SAFE = ("GET", "OPTIONS", "PROPFIND", "TRACE")

Calls = Callable[[AttackContext, Sample, Injection], Iterator[Call]]


def _by(calls: Calls, lacking: str) -> Run:
    """Return a variant that sends these as a genuine instance; where they are none, it isn't run.

    :param lacking: what a route would have to be like.
    """

    def run(context: AttackContext) -> Attempts:
        attempts = [
            Attempt(sample, context.wire.send(as_genuine(context, sample, call)))
            for sample, injection in injected_samples(context)
            for call in calls(context, sample, injection)
        ]
        if not attempts:
            raise MissingError(Need.INJECTED_ROUTE, lacking)
        return attempts

    return run


def _listed(injection: Injection, path: str) -> bool:
    """Tell whether a key is injected for a path without escapes."""
    asked = path.strip("/").split("/") if path.strip("/") else []
    return any(_fits(pattern.split("/")[1:], asked) for pattern in injection.rule.patterns)


def _fits(pattern: Sequence[str], asked: Sequence[str]) -> bool:
    if pattern and pattern[-1] == "**":
        pattern, asked = pattern[:-1], asked[: len(pattern) - 1]
    return len(pattern) == len(asked) and all(
        part in {"*", got} for part, got in zip(pattern, asked, strict=True)
    )


def _others(context: AttackContext, sample: Sample, injection: Injection) -> Iterator[Call]:
    unknown, path = context.random(_HEX_BYTES).hex(), there(sample, injection)
    names = (f"/{unknown}", f"/{unknown}{path}", path.rpartition("/")[0], path[:-1], "/", "/admin")
    for name in dict.fromkeys(names):
        if not _listed(injection, name):
            yield at(sample, beyond(injection, name))


def _decorated(_context: AttackContext, sample: Sample, injection: Injection) -> Iterator[Call]:
    """Begin as a listed path does, and end elsewhere for a server that folds what it reads."""
    path = there(sample, injection).rstrip("/")
    first = "/" + path[1:].partition("/")[0]
    for name in (
        f"{path}/../../admin",
        f"{path}/%2e%2e/%2e%2e/admin",
        f"{path}%2f..%2f..%2fadmin",
        f"{path}/..;/admin",
        f"{first}/..\\admin",
        f"/{path}",
        f"{path}//admin",
        f"{path}%00/admin",
        f"{path}/%252e%252e/admin",
    ):
        yield at(sample, beyond(injection, name))


def _methods(_context: AttackContext, sample: Sample, injection: Injection) -> Iterator[Call]:
    for method in _SAFE:
        if method not in injection.rule.methods:
            yield replace(sample.call(), method=method, body=b"")


_UNLISTED = frozenset({Reason.SECRET_PATH, Reason.GATE_ROUTE_UNKNOWN})

ATTACK = Attack(
    id="lent-path-unlisted",
    title="Use an injected key for another path",
    techniques=("MT-B18",),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(Need.GENUINE,),
    sends="Requests of a genuine instance, with its token and proof: to unlisted paths of the third party, to paths "
    "that two servers read in two ways, and by unlisted methods.",
    must="Each is refused before a key is added.",
    blind="It tries only methods that change nothing. The third party decides what a listed path does there: list as "
    "few as the app needs.",
    variants=(
        Variant("other-path", _by(_others, "one that injects for some paths alone"), _UNLISTED),
        Variant(
            "dressed-path", _by(_decorated, "one"), _UNLISTED | {Reason.REQUEST_PATH_AMBIGUOUS}
        ),
        Variant(
            "other-method",
            _by(_methods, "one that injects for some methods alone"),
            _UNLISTED | {Reason.REQUEST_METHOD, Reason.GATE_PROTOCOL},
        ),
    ),
)
