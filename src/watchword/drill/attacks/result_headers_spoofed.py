"""Say in the gate's place who is there: by its own headers, in every spelling that a server may take for them."""

from collections.abc import Iterator

from watchword.drill.around import RESULT_NAMES, armed, echo_sample
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Variant
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import TOKEN_HEADER, genuine_call
from watchword.drill.wire import Answer, Call
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_MARKER_BYTES = 12


def _spellings() -> Iterator[str]:
    """Yield the names as CGI, WSGI and servers that fold signs or case would take them."""
    for name in RESULT_NAMES:
        yield name
        yield name.upper()
        for sign in "_.~":
            yield name.replace("-", sign)


def _decorated(call: Call, value: str) -> Call:
    more = tuple((name, value) for name in _spellings())
    return Call(call.part, call.method, call.target, call.headers + more, call.body)


def _without_token(context: AttackContext) -> Attempts:
    """Claim to be verified already, also by names that only look as if they were the gate's."""
    attempts = []
    for sample in armed(context):
        call = _decorated(sample.call(), "hardware")
        for name in RESULT_NAMES:
            call = call.with_header(f"X-{name}", "hardware")
        attempts.append(Attempt(sample, context.wire.send(call)))
    return attempts


def _with_token(context: AttackContext) -> Attempts:
    """Claim to be somebody else, as a genuine instance that may speak for itself alone."""
    sample = echo_sample(context)
    marker = context.random(_MARKER_BYTES).hex()
    call = genuine_call(context, sample, context.genuine())
    answer = context.wire.send(_decorated(call, marker))
    told = "the API was told what the sender claims of itself"
    return [_told(Attempt(sample, answer), told if _in(marker, answer) else "")]


def _token_passed_on(context: AttackContext) -> Attempts:
    """Look whether the API, and so whatever logs there, gets what the next request could be made with."""
    sample = echo_sample(context)
    call = genuine_call(context, sample, context.genuine())
    answer = context.wire.send(call)
    secrets = [call.header(TOKEN_HEADER) or ""]
    if sample.proof is not Proof.BEARER:
        secrets.append(_longest_word(call.header("signature") or ""))
    found = any(each and _in(each, answer) for each in secrets)
    return [_told(Attempt(sample, answer), "the API was sent the token or its proof" * found)]


def _hop_by_hop(context: AttackContext) -> Attempts:
    """Have the gate's own headers taken out on the way, by naming them as options of the connection."""
    sample = echo_sample(context)
    call = genuine_call(context, sample, context.genuine())
    options = "close, " + ", ".join(RESULT_NAMES)
    answer = context.wire.send(call.with_header("Connection", options))
    # An API that was sent Connection repeats it, with names that aren't headers there.
    seen = answer.body.lower().replace(options.lower().encode(), b"").replace(b"_", b"-")
    missing = not all(name.lower().encode() in seen for name in RESULT_NAMES[:3])
    return [_told(Attempt(sample, answer), "the API wasn't told who is there" * missing)]


def _told(attempt: Attempt, leaked: str) -> Attempt:
    """Return the attempt as one that isn't about being served: the genuine instance is."""
    if not is_of_the_api(attempt.answer):
        return attempt
    return Attempt(attempt.sample, attempt.answer, served=(0, 1), leaked=leaked)


def _in(value: str, answer: Answer) -> bool:
    return value.encode() in answer.body


def _longest_word(value: str) -> str:
    """Return the longest part of a header that no way of writing an answer down would escape."""
    return max("".join(c if c.isalnum() else " " for c in value).split(), key=len, default="")


ATTACK = Attack(
    id="result-headers-spoofed",
    title="Tell the API in the gate's place who is there",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="The headers by which the gate informs the API, in several spellings, with and without a genuine token. Then "
    "the same headers named in Connection, so that the next hop drops them.",
    must="Without a token it is refused. With one, the API gets everything that the gate says, and nothing that the "
    "sender said.",
    blind="It sees what the API was told only if a sample's answer repeats its headers. It doesn't see names of your "
    "own.",
    variants=(
        Variant("without-token", _without_token, frozenset({Reason.TOKEN_MISSING})),
        Variant("beside-a-token", _with_token),
        Variant("token-passed-on", _token_passed_on),
        Variant("dropped-by-connection", _hop_by_hop),
    ),
)
