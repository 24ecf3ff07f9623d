"""Ask for a change of protocol, on an open route or a guarded one, to get a connection that nobody looks into."""

from watchword.drill.around import armed
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Sample, Variant
from watchword.drill.wire import Call, Headers, Part
from watchword.encoding import base64url
from watchword.reasons import Reason

_SWITCHED = 101

# RFC 7540 section 3.2 (taken out again by RFC 9113); the settings are SETTINGS_MAX_CONCURRENT_STREAMS = 100.
_H2C: Headers = (
    ("Connection", "Upgrade, HTTP2-Settings"),
    ("Upgrade", "h2c"),
    ("HTTP2-Settings", "AAMAAABk"),
)


def _decorated(call: Call, more: Headers) -> Call:
    return Call(call.part, call.method, call.target, call.headers + more, call.body)


def _h2c(context: AttackContext) -> Attempts:
    """Ask for HTTP/2 in the clear: a server that grants it serves all that follows, unseen by the gate."""
    attempts = [
        Attempt(sample, context.wire.send(_decorated(sample.call(), _H2C)))
        for sample in armed(context)
    ]
    return attempts + _from_off(context, _H2C)


def _websocket(context: AttackContext) -> Attempts:
    """Shake hands for a WebSocket on guarded paths, whole and by half (RFC 6455 section 4.1)."""
    key = base64url.encode(context.random(16)).replace("-", "a").replace("_", "b") + "=="
    half: Headers = (
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    )
    whole: Headers = (("Connection", "Upgrade"), *half)
    attempts = []
    for sample in armed(context):
        if sample.method == "GET":
            attempts += [_shaken(context, sample, more) for more in (half, whole)]
    return attempts + _from_off(context, whole)


def _shaken(context: AttackContext, sample: Sample, more: Headers) -> Attempt:
    answer = context.wire.send(_decorated(sample.call(), more))
    if answer.status == _SWITCHED:
        return Attempt(sample, answer, served=(1, 1))
    return Attempt(sample, answer)


def _from_off(context: AttackContext, more: Headers) -> list[Attempt]:
    """Ask on routes that are open to all; the plain answer there is everybody's, the change of protocol isn't."""
    sample = context.sample()
    found = []
    for target in context.facts.off[:4]:
        answer = context.wire.send(Call(Part.GATE, "GET", target, sample.headers + more))
        if answer.status == _SWITCHED:
            found.append(Attempt(sample, answer, served=(1, 1)))
    return found


_REFUSED = frozenset({Reason.TOKEN_MISSING, Reason.GATE_PROTOCOL})

ATTACK = Attack(
    id="off-route-hop",
    title="Have the connection's protocol changed to get past the gate",
    techniques=("MT-B01", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="Samples without a token and open routes, with a partial or complete upgrade to cleartext HTTP/2 or to a "
    "WebSocket.",
    must="A guarded path is refused as without the upgrade, and on an open one nobody changes the protocol.",
    blind="It stops at the handshake, and doesn't try what could be sent over a changed connection. An API that serves "
    "WebSockets on an open route on purpose is reported as open.",
    variants=(Variant("h2c", _h2c, _REFUSED), Variant("websocket", _websocket, _REFUSED)),
)
