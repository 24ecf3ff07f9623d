"""Sit between the app and the API, with a certificate that the phone trusts."""

from watchword.drill.channel import delivered, intercepted
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Variant


def _now(context: AttackContext) -> Attempts:
    return [
        attempt for each in delivered(context) for attempt in intercepted(context, each.installed)
    ]


ATTACK = Attack(
    id="pins-intercepted",
    title="Read a pinning app's traffic under an authority that the phone trusts",
    techniques=("MT-C01", "MT-C03", "MT-C06", "MT-C07"),
    protections={"PR-C03": "live:pins.expiry_days"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="A chain of the interceptor's own keys for each pinned host, to an installation that holds what the service "
    "hands out now. Then the request, if the installation would send it.",
    must="The set is there, a new installation accepts it, and it enforces: the connection isn't used.",
    blind="The installation is the reference client's logic. Intercept your app to see that it uses it "
    "(docs/pinning-client.md). What ships inside of the app isn't known here.",
    variants=(Variant("own-authority", _now),),
    exploits=False,  # Whoever reads on the way learns.
)
