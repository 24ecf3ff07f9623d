"""Rehearse rotations and accidents with the draft, the app versions that are out there, and what servers show now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from watchword.apps.pins.bench import Bench
from watchword.apps.pins.drafting import draft_of
from watchword.apps.pins.faults import PinsError
from watchword.apps.pins.looking import Look
from watchword.pins.interface import PinMode, PinRole, PinSet
from watchword.pins.rehearsal import SCENARIOS, Rehearsal, Scenario, Situation, rehearse


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Hold how all scenarios went for one host of one app.

    :param assumed: whether the host wasn't looked at, and shows its current key by assumption.
    :param as_enforced: whether it is `report` still, and was rehearsed as if it were `enforce`.
    """

    app: str
    host: str
    rehearsals: tuple[Rehearsal, ...]
    assumed: bool
    as_enforced: bool


def scenarios_named(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, all for none.

    :raises PinsError: for a name that there isn't.
    """
    known = {each.name: each for each in SCENARIOS}
    for name in names:
        if name not in known:
            raise PinsError(f"got scenario {name!r}, expected one of: {', '.join(known)}")
    return tuple(known[name] for name in names) or SCENARIOS


def rehearse_all(
    bench: Bench,
    app: str,
    hosts: Sequence[str],
    looks: Mapping[str, Look],
    scenarios: Sequence[Scenario],
    now: float,
) -> tuple[Rehearsed, ...]:
    """Return how the scenarios go for each host of an app.

    :param looks: what hosts show now; one that isn't in it, or showed nothing, is taken to show its current key.
    :raises PinsError: when a host has no key.
    """
    draft = draft_of(bench, app, now)
    found = []
    for host in hosts:
        entry = next((each for each in draft.hosts if each.host == host), None)
        if entry is None:
            raise PinsError(
                f"{host}: got no pinned key of {app}, expected one: watchword pins add {host}"
            )
        look = looks.get(host)
        seen = look.sights[0].chain if look is not None and look.sights else None
        situation = Situation(
            host=host,
            published=_enforced(draft, host),
            roots=bench.roots,
            chain=seen or _assumed(draft, host),
            now=now,
            fleet=bench.fleet(app),
        )
        found.append(
            Rehearsed(
                app,
                host,
                tuple(rehearse(each, situation) for each in scenarios),
                assumed=seen is None,
                as_enforced=entry.mode is PinMode.REPORT,
            )
        )
    return tuple(found)


def _enforced(draft: PinSet, host: str) -> PinSet:
    hosts = (
        replace(each, mode=PinMode.ENFORCE) if each.host == host else each for each in draft.hosts
    )
    return replace(draft, hosts=tuple(hosts))


def _assumed(draft: PinSet, host: str) -> tuple[bytes, ...]:
    """Return the chain of a server that shows its current key, or one of a CDN under a pinned authority."""
    entry = next(each for each in draft.hosts if each.host == host)
    own = [pin.spki for pin in entry.of(PinRole.CURRENT)]
    authorities = [pin.spki for pin in entry.of(PinRole.CA)]
    unknown = bytes(32)
    return (own[0] if own else unknown, unknown, *authorities[:1])
