"""Make the set that would be published now, out of watchword.yaml and the pinned keys."""

from collections.abc import Iterable
from datetime import UTC, datetime

from watchword.apps.pins.bench import Bench
from watchword.apps.pins.faults import PinsError
from watchword.pins.interface import HostPins, PinSet


def draft_of(bench: Bench, app: str, now: float, above: int = 0) -> PinSet:
    """Return the set that would be published for an app now; it isn't signed, and may not be fit to be published.

    A host without any key yet is left out: it is unpinned, as before.

    :param above: a version that apps may have seen, from elsewhere than this workspace.
    :raises PinsError: when no host of the app has a key.
    """
    pins = bench.file.pins
    hosts = tuple(
        HostPins(
            host=name,
            mode=pins.hosts[name].mode,
            pins=tuple(each.pin for each in bench.pinned.of(name)),
            include_subdomains=pins.hosts[name].include_subdomains,
            after_expiry=pins.hosts[name].after_expiry,
        )
        for name in pins.hosts_of(app)
        if bench.pinned.of(name)
    )
    if not hosts:
        first = next(iter(pins.hosts_of(app)), "HOST")
        raise PinsError(
            f"{app}: got no pinned key, expected some: watchword pins add {first} --from-live"
        )
    issued_at = int(now)
    return PinSet(
        app=app,
        version=next_version([*_versions(bench, app), above], now),
        issued_at=issued_at,
        soft_expiry=issued_at + pins.soft_expiry,
        hard_expiry=issued_at + pins.hard_expiry,
        root_version=bench.roots.version,
        hosts=hosts,
        key=next(iter(bench.roots.pin_keys)),
        reports=pins.reports,
    )


def next_version(known: Iterable[int], now: float) -> int:
    """Return the version of the next set: the time as digits, such as 20261127122601, or more where that isn't new.

    A count would start anew from what a restored backup knows, and apps would refuse every set that they had seen a higher
    version than.  Time goes on while a backup lies in the safe.
    """
    digits = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S")
    return max(int(digits), max(known, default=0) + 1)


def unpinned(bench: Bench, app: str) -> tuple[str, ...]:
    """Return the hosts of an app that have no key yet."""
    return tuple(name for name in bench.file.pins.hosts_of(app) if not bench.pinned.of(name))


def _versions(bench: Bench, app: str) -> list[int]:
    """Return every version that this app may have seen: of sets, of the log, of floors, of what shipped."""
    logged = (
        step.detail.get("version")
        for step in bench.workspace.log.read()
        if step.action == "publish" and step.subject == app
    )
    return [
        *bench.workspace.set_versions(app),
        *(each for each in logged if isinstance(each, int)),
        # A floor is the lowest that counts: the next one may be it.
        *(roots.floors.get(app, 1) - 1 for roots in bench.lists),
        *(each.floor for each in bench.fleet(app)),
    ]
