"""Choose what a run does: which API, where it is, which attacks."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchword.apps.settings.schema import ApiSettings, DrillSettings, Settings
from watchword.drill.interface import Attack
from watchword.drill.registry import ATTACKS
from watchword.drill.wire import Part
from watchword.reasons import ExitCode, WatchwordError
from watchword.vocabulary import Environment


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Say what is run.

    :param attacks: in this order.
    :param genuine: how many genuine requests are sent beside them.
    """

    attacks: Sequence[Attack] = tuple(ATTACKS.values())
    genuine: int = 60


class RunPlanError(WatchwordError):
    """Report a choice that can't be made: what was got, what was expected."""

    exit_code = ExitCode.USAGE


def api_of(settings: Settings, name: str | None) -> ApiSettings:
    """Return the API that is meant: by its name, or the only one that can be reached.

    :raises RunPlanError: when there is no such API, or more than one.
    """
    if name is not None:
        if name not in settings.apis:
            raise RunPlanError(f"got API {name!r}, expected one of: {', '.join(settings.apis)}")
        return settings.apis[name]
    chosen = [name for name in settings.drill if name in settings.apis]
    if not chosen:
        chosen = list(settings.apis)
    if len(chosen) != 1:
        raise RunPlanError(f"name an API with --api: {', '.join(chosen)}")
    return settings.apis[chosen[0]]


def urls_of(settings: Settings, api: ApiSettings, target: str | None) -> Mapping[Part, str]:
    """Return where each part of the deployment is.

    The API itself is attacked behind the gate only where the file names it under ``drill``: on the gate's own
    machine everything can reach it, which says nothing of those outside.

    :param target: the gate, in place of what the file says.
    :raises RunPlanError: when it can't be told where the gate is.
    """
    drill = settings.drill.get(api.name, DrillSettings())
    gate = target or drill.target or (None if api.listen is None else f"http://{api.listen}")
    if gate is None:
        raise RunPlanError(
            f"API {api.name} has no `listen`; say where its gate is: --target, or drill.{api.name}.target"
        )
    # A lab service listens on this machine, whatever its issuer is called.
    lab = settings.environment is Environment.LAB
    service = drill.service or (
        f"http://{settings.service.listen}" if lab else settings.service.issuer
    )
    urls = {Part.GATE: gate, Part.SERVICE: service}
    if drill.upstream is not None:
        urls[Part.UPSTREAM] = drill.upstream
    return urls


def attacks_of(only: Sequence[str], without: Sequence[str]) -> tuple[Attack, ...]:
    """Return the attacks that are named, all where none is, in the order of the registry.

    A name is an attack's id, a technique's or a protection's.

    :raises RunPlanError: for a name that is none.
    """
    chosen = _named(only) if only else set(ATTACKS)
    chosen -= _named(without)
    if not chosen:
        raise RunPlanError("got a choice of no attack, expected at least one")
    return tuple(attack for attack in ATTACKS.values() if attack.id in chosen)


def _named(names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        fitting = {
            attack.id
            for attack in ATTACKS.values()
            if name in {attack.id, *attack.techniques, *attack.protections}
        }
        if not fitting:
            near = difflib.get_close_matches(name, ATTACKS, n=1)
            meant = f"{near[0]}?" if near else "an id of `watchword drill attacks`"
            raise RunPlanError(f"got {name!r}, expected {meant}")
        found |= fitting
    return found
