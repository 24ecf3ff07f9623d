"""Send what a script sends that has the app's key, and nothing that the device would vouch for."""

from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Variant
from watchword.reasons import Reason


def _plain(context: AttackContext) -> Attempts:
    """Ask for every sample with the stolen key alone."""
    return [Attempt(sample, context.wire.send(sample.call())) for sample in context.guarded]


def _decorated(context: AttackContext) -> Attempts:
    """Ask as the app's own HTTP library would: what it says of itself is free text."""
    decorated = (
        ("User-Agent", "okhttp/4.12.0"),
        ("X-Requested-With", "com.example.app"),
        ("X-App-Version", "999.0.0"),
    )
    attempts = []
    for sample in context.guarded:
        call = sample.call()
        for name, value in decorated:
            call = call.with_header(name, value)
        attempts.append(Attempt(sample, context.wire.send(call)))
    return attempts


def _empty(context: AttackContext) -> Attempts:
    """Ask with a token header that holds nothing."""
    sample = context.sample()
    return [Attempt(sample, context.wire.send(sample.call().with_header("Watchword-Token", "")))]


_EXPECTED = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="script-with-key",
    title="Call the API with the key from the app",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends="Each sample request with the headers that every copy of the app sends, the key among them, and without a token.",
    must="Every request is refused for want of a token, on every route.",
    blind="It doesn't find routes that no sample falls under. It leaves out those that the file opens to all (mode "
    "off).",
    variants=(
        Variant("key-alone", _plain, _EXPECTED),
        Variant("dressed-as-the-app", _decorated, _EXPECTED),
        Variant("empty-token", _empty, _EXPECTED | {Reason.TOKEN_MALFORMED}),
    ),
)
