"""Have the gate carry the key, or the request, to another host than the third party's."""

from collections.abc import Iterator
from dataclasses import replace

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    Injection,
    Need,
    Sample,
    Variant,
)
from watchword.drill.requests import covered_by, credential_of, proved
from watchword.drill.third_party_keys import (
    INJECTED_EVIDENCE,
    as_genuine,
    at,
    beyond,
    injected_samples,
    there,
    unchanged,
)
from watchword.drill.wire import Call
from watchword.reasons import Reason

# The deployment's own addresses, and a name that is nobody's (RFC 6761 section 6): nobody else is reached, whatever happens.
_INSIDE = ("127.0.0.1", "localhost", "[::1]", "internal.example")
_NAMING = ("X-Forwarded-Host", "X-Host", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Server")


def _compared(context: AttackContext, sample: Sample, calls: Iterator[Call]) -> Iterator[Attempt]:
    """Send requests beside the genuine one; yield whether any was answered from elsewhere."""
    control = context.wire.send(as_genuine(context, sample, sample.call()))
    for call in calls:
        yield unchanged(sample, context.wire.send(call), control)


def _by_host(context: AttackContext) -> Attempts:
    attempts: list[Attempt] = []
    for sample, _ in injected_samples(context)[:1]:
        calls = (
            as_genuine(context, sample, sample.call().with_header("Host", host)) for host in _INSIDE
        )
        attempts += _compared(context, sample, calls)
    return attempts


def _by_absolute_target(context: AttackContext) -> Attempts:
    """Name the host in the request line, where it counts more than Host does (RFC 9112 section 3.2.2)."""
    attempts: list[Attempt] = []
    credential = credential_of(context.genuine(), context.facts.audience)
    for sample, _ in injected_samples(context)[:1]:
        plain = sample.call()
        calls = (
            replace(
                proved(
                    context, plain, credential, sample.proof, covered=covered_by(context, plain)
                ),
                target=f"https://{host}{sample.target}",
            )
            for host in _INSIDE
        )
        attempts += _compared(context, sample, calls)
    return attempts


def _by_header(context: AttackContext) -> Attempts:
    attempts: list[Attempt] = []
    for sample, _ in injected_samples(context)[:1]:
        calls = (
            as_genuine(context, sample, sample.call().with_header(name, _value(name, sample)))
            for name in _NAMING
        )
        attempts += _compared(context, sample, calls)
    return attempts


def _value(name: str, sample: Sample) -> str:
    return f"https://127.0.0.1{sample.target}" if name.endswith("URL") else "127.0.0.1"


def _by_path(context: AttackContext) -> Attempts:
    """Write an address where a URL that is glued together would take it for the host's."""
    return [
        Attempt(sample, context.wire.send(as_genuine(context, sample, call)))
        for sample, injection in injected_samples(context)
        for call in _glued(sample, injection)
    ]


def _glued(sample: Sample, injection: Injection) -> Iterator[Call]:
    path = there(sample, injection)
    for host in ("127.0.0.1", "[::1]", "0x7f000001", "2130706433"):
        for name in (f"//{host}{path}", f"/\\{host}{path}", f"/https://{host}{path}"):
            yield at(sample, beyond(injection, name))
    yield at(sample, beyond(injection, f"/%2f127.0.0.1{path}"))
    yield at(sample, beyond(injection, f"/..@127.0.0.1{path}"))


ATTACK = Attack(
    id="lent-elsewhere",
    title="Have the key carried to another host",
    techniques=("MT-B16", "MT-B18"),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(Need.GENUINE,),
    sends="Requests of a genuine instance that name an inner host in Host, in the request line, in proxy headers and "
    "in the path.",
    must="Each is refused, or goes to the one origin of the file as if the name weren't there.",
    blind="It can't tell a host that answers as the third party does from the third party. DNS decides where the third "
    "party's name leads: the gate refuses addresses that aren't public, which the product's own tests cover.",
    variants=(
        Variant("host", _by_host),
        Variant("absolute-target", _by_absolute_target),
        Variant("headers", _by_header),
        Variant(
            "path",
            _by_path,
            frozenset(
                {Reason.SECRET_PATH, Reason.REQUEST_PATH_AMBIGUOUS, Reason.GATE_ROUTE_UNKNOWN}
            ),
        ),
    ),
)
