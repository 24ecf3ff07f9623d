"""Prepare a run: what may be attacked by whose leave, and what of it will be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from watchword.adapters.drill_wire import Resolver, read_drill_key, system_resolver
from watchword.apps.drill.arena import Reach
from watchword.apps.drill.consenting import Agreement, RunSigner, permitted
from watchword.apps.drill.course import CourseError, attacks_of, urls_of
from watchword.apps.drill.invited_instance import read_instance
from watchword.apps.settings import ApiSettings, Settings
from watchword.drill.interface import Attack, Held
from watchword.drill.wire import Part
from watchword.encoding import base64url
from watchword.ports import Clock, Entropy

_RUN_BYTES = 12


@dataclass(frozen=True, slots=True)
class Orders:
    """Hold what the command line says of a run.

    :param only: ids of attacks, techniques or protections; all attacks where there are none.
    :param key: file of the drill's key.
    :param named: private addresses that are meant.
    :param instance: file of the test instance.
    """

    target: str | None = None
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    key: Path | None = None
    named: Sequence[str] = ()
    ca: Path | None = None
    rate: float | None = None
    instance: Path | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Hold a run that may begin.

    :param url: of the gate.
    :param attacks: those that will be tried; ``left_out`` says of the others why they won't be.
    """

    url: str
    reach: Reach
    agreement: Agreement
    attacks: tuple[Attack, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_this_machine(self) -> bool:
        """Tell whether any part is reached on this machine, by whatever name: that proves nothing of what stands elsewhere."""
        return self.reach.loopback or any(
            origin.is_loopback for origin in self.reach.origins.values()
        )


def prepared(
    settings: Settings,
    api: ApiSettings,
    orders: Orders,
    clock: Clock,
    entropy: Entropy,
    resolver: Resolver = system_resolver,
) -> Prepared:
    """Return what may be run, by everybody's leave; nothing is attacked yet.

    :param resolver: finds the addresses of a name.

    :raises CourseError: when an order can't be followed.
    :raises ConsentError: when a target's owner doesn't agree.
    :raises AddressError: when a target may not be spoken to at all.
    :raises InstanceFileError: when the test instance can't be read.
    """
    attacks = attacks_of(orders.only, orders.without)
    urls = urls_of(settings, api, orders.target)
    key = None if orders.key is None else read_drill_key(orders.key)
    invited = None if orders.instance is None else _invited(orders.instance, api)
    agreement = permitted(
        urls,
        key=key,
        attacks=[each.id for each in attacks] if orders.only else None,
        now=clock.now(),
        named=orders.named,
        rate=orders.rate,
        ca=orders.ca,
        resolver=resolver,
    )
    reach = Reach(
        agreement.origins,
        loopback=agreement.loopback,
        rate=agreement.rate,
        invited=invited,
        ca=orders.ca,
    )
    if key is not None and not agreement.loopback:
        run = base64url.encode(entropy.token_bytes(_RUN_BYTES))
        reach = Reach(
            agreement.origins,
            loopback=False,
            rate=agreement.rate,
            invited=invited,
            ca=orders.ca,
            signed=RunSigner(agreement, key, run, clock.timestamp),
        )
    allowed = agreement.attacks
    left_out = {
        each.id: "the target's consent doesn't list it"
        for each in attacks
        if allowed is not None and each.id not in allowed
    }
    chosen = tuple(each for each in attacks if each.id not in left_out)
    return Prepared(urls[Part.GATE], reach, agreement, chosen, left_out)


def _invited(file: Path, api: ApiSettings) -> Held:
    """Return the test instance in a file, which must be one of this API.

    :raises CourseError: when it is of another app, or wasn't enrolled for this API.
    """
    found = read_instance(file)
    if found.app not in api.apps or api.audience not in found.audiences:
        raise CourseError(
            f"{file}: got an instance that isn't for API {api.name}, expected one of "
            f"{', '.join(api.apps)} for {api.audience}; enrol another: watchword drill enrol"
        )
    return found.held()
