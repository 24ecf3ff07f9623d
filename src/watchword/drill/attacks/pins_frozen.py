"""Keep newer pins from the app until those that it has count no more, and sit in between then."""

from watchword.drill.channel import delivered, intercepted
from watchword.drill.interface import Attack, Need, Run, Variant

_DAY = 86_400


def _after(days: int) -> Run:
    return lambda context: [
        attempt
        for each in delivered(context)
        for attempt in intercepted(context, each.installed, days * _DAY)
    ]


ATTACK = Attack(
    id="pins-frozen",
    title="Keep newer pins back until the old ones expire",
    techniques=("MT-C01", "MT-C03", "MT-C07"),
    protections={"PR-C03": "live:pins.expiry_days"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="What pins-intercepted sends, by the clock of a day and of a week from now, with nothing newer in between.",
    must="The set that the service hands out now still enforces then: somebody publishes well before it expires.",
    blind="Whoever keeps updates back for longer gets past any pins that expire. That is intended: not locking out "
    "genuine users matters more. Secrets are withheld then.",
    variants=(Variant("a-day", _after(1)), Variant("a-week", _after(7))),
    exploits=False,  # Whoever reads on the way learns.
)
