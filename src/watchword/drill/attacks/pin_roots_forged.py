"""Hand the app a root list of one's own, and a pin set that it vouches for."""

from dataclasses import replace

from watchword.drill.channel import Delivered, delivered, handed
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.tokens import new_key
from watchword.pins.interface import PinSet
from watchword.pins.roots import sign_roots, unsigned
from watchword.pins.sets import sign_set
from watchword.tokens.jose import SigningKey

_YEAR = 365 * 86_400


def _forged(context: AttackContext, each: Delivered, version: int) -> Attempts:
    root, pin = new_key(context), new_key(context)
    now = int(context.now())
    listed = unsigned(
        version=version,
        expires=now + _YEAR,
        keys=[root.public],
        threshold=1,
        pin_keys=[pin.public],
        floors=each.installed.roots.floors,
    )
    data = sign_roots(listed, [root])
    return handed(context, each.installed, (data,), _set_of(each, pin, now))


def _set_of(each: Delivered, pin: SigningKey, now: int) -> bytes:
    """Return a set that pins nothing, of a version that is newer than any."""
    held = each.installed.set
    empty = PinSet(each.app, 1, now, now + 1, now + _YEAR, 1, (), pin.kid)
    if held is not None:
        empty = replace(empty, version=held.version + 1)
    return sign_set(empty, pin)


def _ahead(versions: int) -> Run:
    """Return a variant: a list that is by so many versions newer than the one that is installed."""
    return lambda context: [
        attempt
        for each in delivered(context)
        for attempt in _forged(context, each, each.installed.roots.version + versions)
    ]


ATTACK = Attack(
    id="pin-roots-forged",
    title="Hand the app root keys of one's own",
    techniques=("MT-C03", "MT-C04"),
    protections={"PR-C03": "live:pins.expiry_days"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="To an installation that holds what the service hands out: a root list that only its own keys signed, as the "
    "next version, the present one and a far one, with a matching set. Then what pins-intercepted sends.",
    must="The list is refused, because no key of the list before signed it, and the genuine set continues to enforce.",
    blind="Here the first root list comes from the service, while an app has it in its package: whoever replaces it "
    "there has replaced the app.",
    variants=(
        Variant("next-version", _ahead(1)),
        Variant("present-version", _ahead(0)),
        Variant("far-version", _ahead(1000)),
    ),
    exploits=False,  # Whoever reads on the way learns.
)
