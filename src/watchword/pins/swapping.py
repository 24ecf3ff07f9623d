"""Say what speaks against a server showing another key, or against a root list that takes a pin key out, before it happens.

Publishing asks whether apps can bear a set with the servers as they are; a swap asks whether the sets that apps hold can
bear the servers as they are to be.  A set is held by whoever took it until its hard expiry, however many newer ones there are.
"""

from collections.abc import Iterator, Mapping, Sequence

from watchword.pins.installed import matches
from watchword.pins.interface import Builtin, PinMode, PinSet, RootList
from watchword.pins.publishing import Objection, shipped_refuses
from watchword.reasons import Reason


def swap_objections(
    host: str,
    chain: Sequence[bytes],
    held: Sequence[PinSet],
    fleet: Sequence[Builtin],
    now: float,
) -> tuple[Objection, ...]:
    """Return everything that speaks against a server showing a chain for a host.

    :param chain: pins of the chain that it is to show, the leaf first.
    :param held: every published set of the app that hasn't expired, the newest last.
    :param fleet: what the app versions that are still supported were built with.
    """
    return (*_sets(host, chain, held, now), *_builds(host, chain, fleet, now))


def list_objections(
    found: RootList, previous: RootList, published: Mapping[str, int]
) -> tuple[Objection, ...]:
    """Return what speaks against a root list: a pin key that is taken out without its floors.

    Apps that hold a set by that key forget which versions they have seen.  Unless the floor is the highest version that was published, an
    attacker can give them an older set that another key signed: a rollback that the list itself has opened.

    :param published: by app, the highest version that was published.
    """
    if not previous.pin_keys.keys() - found.pin_keys.keys():
        return ()
    return tuple(
        Objection(
            Reason.PINS_SET_OLD,
            "",
            f"{app}: a pin key is taken out; got a floor of {found.floors.get(app, 1)}, expected {version}",
        )
        for app, version in published.items()
        if found.floors.get(app, 1) < version
    )


def _sets(
    host: str, chain: Sequence[bytes], held: Sequence[PinSet], now: float
) -> Iterator[Objection]:
    for pin_set in held:
        entry = pin_set.entry(host)
        if entry is None or now >= pin_set.hard_expiry or matches(entry, chain):
            continue
        newest = pin_set is held[-1]
        yield Objection(
            Reason.PINS_PUBLISH_LOCKOUT if newest else Reason.PINS_PUBLISH_FLEET,
            host,
            f"apps that hold version {pin_set.version} would refuse this key"
            + ("" if newest else " until they have fetched a newer one"),
            blocks=entry.mode is PinMode.ENFORCE,
        )


def _builds(
    host: str, chain: Sequence[bytes], fleet: Sequence[Builtin], now: float
) -> Iterator[Objection]:
    for builtin in fleet:
        text = shipped_refuses(builtin, host, chain, now)
        if text is not None:
            text = f"version {builtin.app_version} {text}"
            yield Objection(Reason.PINS_PUBLISH_FLEET, host, text)
