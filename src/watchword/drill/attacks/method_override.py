"""Ask by a method that the gate takes for another, or that it lets pass unasked."""

from collections.abc import Iterator
from dataclasses import replace

from watchword.drill.around import armed, if_it_matters
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Run, Sample, Variant
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import credential_of, proved
from watchword.drill.wire import Answer
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_NAMES = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")
_FIRST_REDIRECT = 300


def _unrepeated(context: AttackContext) -> Iterator[Sample]:
    """Yield samples whose answer doesn't repeat the request: it would change by whatever is said."""
    return (each for each in armed(context) if not each.echo)


def _harmless(sample: Sample) -> str:
    """Return another method, which changes nothing where it's the one that counts."""
    return "GET" if sample.method != "GET" else "OPTIONS"


def _by_header(context: AttackContext) -> Attempts:
    """Say another method in a header: the gate may believe it, or the API alone."""
    attempts = []
    for sample in _unrepeated(context):
        call = sample.call()
        plain = replace(call, method=_harmless(sample))
        for name in _NAMES:
            told = call.with_header(name, _harmless(sample))
            attempts.append(Attempt(sample, context.wire.send(told)))
            asked = plain.with_header(name, sample.method)
            attempts += if_it_matters(context, sample, plain, asked)
    return attempts


def _by_query(context: AttackContext) -> Attempts:
    """Say it in the query, as form posts do where a framework reads it."""
    attempts = []
    for sample in _unrepeated(context):
        call, method = sample.call(), _harmless(sample)
        mark = "&" if "?" in call.target else "?"
        told = replace(call, target=f"{call.target}{mark}_method={method}")
        attempts.append(Attempt(sample, context.wire.send(told)))
        asked = replace(call, method=method, target=f"{call.target}{mark}_method={sample.method}")
        attempts += if_it_matters(context, sample, replace(call, method=method), asked)
    return attempts


def _head(context: AttackContext) -> Attempts:
    """Ask by HEAD without a token: it runs the same code as GET (RFC 9110 section 9.3.2)."""
    return [
        Attempt(sample, context.wire.send(replace(sample.call(), method="HEAD")))
        for sample in armed(context)
        if sample.method == "GET"
    ] or [_plain(context)]


def _options(context: AttackContext) -> Attempts:
    """Ask by OPTIONS without a token, which browsers' preflights may; only a body says that more was served."""
    attempts = []
    for sample in armed(context):
        answer = context.wire.send(replace(sample.call(), method="OPTIONS"))
        attempts.append(Attempt(sample, answer, served=(int(_is_served(answer)), 1)))
    return attempts


def _is_served(answer: Answer) -> bool:
    return is_of_the_api(answer) and answer.status < _FIRST_REDIRECT and bool(answer.body)


def _proved_as(change: str) -> Run:
    """Return a run of the genuine app's request, token and proof included, but for its method."""

    def run(context: AttackContext) -> Attempts:
        sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
        method = sample.method.lower() if change == "lower" else change
        credential = credential_of(context.genuine(), context.facts.audience)
        call = proved(context, replace(sample.call(), method=method), credential, sample.proof)
        return [Attempt(sample, context.wire.send(call))]

    return run


def _plain(context: AttackContext) -> Attempt:
    sample = context.sample()
    return Attempt(sample, context.wire.send(sample.call()))


_MISSING = frozenset({Reason.TOKEN_MISSING})
# The other method may fall under no route at all, and what is unknown is closed.
_CLOSED = _MISSING | {Reason.GATE_ROUTE_UNKNOWN}

ATTACK = Attack(
    id="method-override",
    title="Ask by another method than the rule is for",
    techniques=("MT-B01", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="Each sample without a token, with another method named in a header or the query, by HEAD and by OPTIONS. "
    "Then a genuine request by TRACE and with its method in lower case.",
    must="What is guarded for one method isn't served by another, and methods that no API needs aren't served at all.",
    blind="An answer to OPTIONS without a body passes as a browser's preflight. If the other method is open to all, an "
    "override that changes nothing in the answer isn't seen.",
    variants=(
        Variant("override-header", _by_header, _CLOSED),
        Variant("override-query", _by_query, _CLOSED),
        Variant("head", _head, _CLOSED),
        Variant("options", _options),
        Variant("lower-case", _proved_as("lower"), frozenset({Reason.REQUEST_MALFORMED})),
        Variant(
            "trace", _proved_as("TRACE"), frozenset({Reason.GATE_PROTOCOL, Reason.REQUEST_METHOD})
        ),
    ),
)
